"""What kinds of failure there are before commit, and what is done about each. This table is the one in the README."""

from __future__ import annotations

import random
from enum import Enum
from typing import NamedTuple

import msgspec

from ..errors import (
    GatewayBusy,
    GatewayError,
    UpstreamCredentialError,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from ..http.retry_after import retry_after

SHORT_WAIT = 2.0
"""A ``retry-after`` of up to this many seconds is waited out; for a longer one there may be a better upstream."""


BACKOFF = 0.1
"""Seconds; the interval that the waits are drawn from doubles with each try."""


class Failure(Enum):
    """How an attempt failed. Whether the upstream may have acted on it, and whether it is a sign of ill health."""

    RATE_LIMITED_BRIEFLY = "429 with a short retry-after"
    RATE_LIMITED = "429"
    SERVER_ERROR = "5xx, or an error inside the stream before its first event"
    CUT = "the connection broke before the answer"
    REFUSED = "no connection"
    UNREACHED = "no connection in time"
    TIMEOUT = "no answer in time"
    BUSY = "the gateway's own limit for this upstream"
    CREDENTIAL = "the upstream refuses the gateway's credential, or there is none"
    CONTEXT_LENGTH = "too long for the model"
    CALLER = "any other 4xx, content policy included"


class Action(NamedTuple):
    """What follows a failure, in this order, as far as the limits allow."""

    same: bool = False
    """Ask the same upstream again."""
    next: bool = False
    """Ask the next upstream of the same model."""
    fallback: bool = False
    """Ask for the next model of the fallback chain."""
    counts: bool = False
    """The breaker counts it against the upstream and model."""


ACTIONS: dict[Failure, Action] = {
    Failure.RATE_LIMITED_BRIEFLY: Action(same=True, next=True, fallback=True),
    Failure.RATE_LIMITED: Action(same=True, next=True, fallback=True, counts=True),
    Failure.SERVER_ERROR: Action(same=True, next=True, fallback=True, counts=True),
    Failure.CUT: Action(same=True, next=True, fallback=True, counts=True),
    Failure.REFUSED: Action(same=True, next=True, fallback=True, counts=True),
    Failure.UNREACHED: Action(next=True, fallback=True, counts=True),
    Failure.TIMEOUT: Action(next=True, fallback=True, counts=True),
    Failure.BUSY: Action(next=True, fallback=True),
    Failure.CREDENTIAL: Action(next=True, fallback=True),
    Failure.CONTEXT_LENGTH: Action(fallback=True),
    Failure.CALLER: Action(),
}

MAY_HAVE_ACTED = frozenset({Failure.SERVER_ERROR, Failure.CUT, Failure.TIMEOUT})
"""After these a POST may have been executed; ``Settings(retry_executed=False)`` ends the call there."""


SILENT = frozenset({Failure.UNREACHED, Failure.TIMEOUT})
"""An upstream that did not answer in time is not waited for again by the same call."""

_TOO_LONG = ("context length", "context window", "prompt is too long")


def classify(error: GatewayError) -> Failure:
    """The kind of a failure before commit."""
    match error:
        case UpstreamRefused():
            return _of_status(error)
        case UpstreamTimeout():
            return Failure.TIMEOUT if error.reached else Failure.UNREACHED
        case UpstreamCredentialError():
            return Failure.CREDENTIAL
        case UpstreamUnavailable():
            return Failure.CUT if error.reached else Failure.REFUSED
        case UpstreamError():
            return Failure.SERVER_ERROR
        case GatewayBusy():
            return Failure.BUSY
        case _:
            return Failure.CALLER


def _of_status(error: UpstreamRefused) -> Failure:
    if error.status == 429:
        wait = retry_after(error.headers)
        return Failure.RATE_LIMITED_BRIEFLY if wait is not None and wait <= SHORT_WAIT else Failure.RATE_LIMITED
    if error.status >= 500:
        return Failure.SERVER_ERROR
    return Failure.CONTEXT_LENGTH if _says_too_long(error.body()) else Failure.CALLER


def _says_too_long(body: bytes) -> bool:
    """OpenAI's and Azure's ``context_length_exceeded``; others say it in words."""
    try:
        error = msgspec.json.decode(body)["error"]
        message = str(error["message"]).lower()
        return error["code"] == "context_length_exceeded" or any(words in message for words in _TOO_LONG)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
        return False


def wait_before_retry(error: GatewayError, tries: int) -> float | None:
    """Seconds before the same upstream is asked again after ``tries`` tries; None: not again.

    Full jitter over a doubling interval, but not before a short ``retry-after``. An upstream that asks for longer, or
    says ``x-should-retry: false`` as the OpenAI API does, is not asked again.
    """
    if (b"x-should-retry", b"false") in error.headers:
        return None
    jitter = random.uniform(0.0, BACKOFF * 2**tries)  # noqa: S311  # spreads retries, guards nothing
    asked = retry_after(error.headers) or 0.0
    return max(asked, jitter) if asked <= SHORT_WAIT else None
