"""Warnings about upstreams: one per attempt that failed, one per breaker that opens or closes. Floods are folded."""

from __future__ import annotations

import logging

from ..host.notices import Notices
from ..host.records import AttemptRecord
from ..upstream.breaker import State
from ..upstream.memory import Place
from ..upstream.words import Words
from .fields import value

logger = logging.getLogger("openai_gateway_asgi.upstreams")


def log_attempt(notices: Notices, request_id: str, attempt: AttemptRecord, words: Words) -> None:
    """Equal are those of one upstream that failed in one way, whatever they were about."""
    assert attempt.failure is not None
    assert attempt.cause is not None
    failure, cause = attempt.failure.name.lower(), attempt.cause
    text = (
        f"{request_id} attempt={attempt.number} upstream={value(attempt.upstream)} model={value(attempt.model)} "
        f"failure={failure} cause={value(words.said)}"
    )
    fields = {
        "request_id": request_id,
        "number": attempt.number,
        "upstream": attempt.upstream,
        "model": attempt.model,
        "status": attempt.status,
        "failure": failure,
        "cause": words.said,
        "advice": words.advice,
        "code": cause.code,
        "upstream_request_id": attempt.upstream_request_id,
    }
    notices.warn(
        "attempt failed",
        f"{text} advice={value(words.advice)}" if words.advice else text,
        same=(attempt.upstream, failure, cause.what, cause.status, cause.code, cause.errno),
        extra={"attempt": {name: each for name, each in fields.items() if each not in (None, "")}},
        to=logger,
    )


class BreakerLog:
    """Told of every breaker that opens or closes."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices

    def __call__(self, place: Place, state: State, seconds: float) -> None:
        lasts = f" for={seconds:.1f}" if state is State.OPEN else ""
        whose = "everyone" if place.scope is None else "the gateway's key" if not place.scope else "one credential"
        self._notices.warn(
            f"breaker {state.value}",
            f"upstream={value(place.upstream)} model={value(place.model)}{lasts} whose={value(whose)}",
            same=place[:2],
            extra={"breaker": {"state": state.value, "upstream": place.upstream, "model": place.model}},
            to=logger,
        )
