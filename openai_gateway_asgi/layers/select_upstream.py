"""Which upstream answers: one attempt after the other, before commit only."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from ..config import Settings
from ..errors import GatewayBusy, GatewayError, UpstreamFull
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Message, Receive, Scope, Send
from ..http.retry_after import retry_after
from ..http.sse import only_comments
from ..models import Candidate
from ..upstream.breaker import Breakers
from ..upstream.concurrency import AllSlots
from ..upstream.failures import (
    ACTIONS,
    MAY_HAVE_ACTED,
    SHORT_WAIT,
    SILENT,
    Action,
    Failure,
    classify,
    wait_before_retry,
)
from ..upstream.selection import ordered


class SelectUpstream:
    """Asks the candidates of the model, then those of its fallbacks, as ``ACTIONS`` says for each kind of failure.

    What failed last is what the client is told.
    """

    def __init__(self, app: ASGIApp, *, breakers: Breakers, slots: AllSlots, settings: Settings) -> None:
        self.app = app
        self._breakers = breakers
        self._slots = slots
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        run = _Run(Exchange.of(scope), self._settings)
        try:
            for candidate, wait, patience in run.attempts():
                if wait:
                    await asyncio.sleep(wait)
                if await self._attempt(run, candidate, patience, scope, receive, send):
                    return
            assert run.error is not None
            raise run.error
        finally:
            run.error = None  # it knows these frames: a cycle, which would keep the body until the next collection

    async def _attempt(
        self, run: _Run, candidate: Candidate, patience: float, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """One attempt; whether it was answered. For a place ``patience`` seconds are waited."""
        exchange, began = run.exchange, monotonic()
        exchange.upstream, exchange.upstream_model = candidate.upstream, candidate.model_id
        place = (candidate.upstream.name, candidate.model_id)
        breaker = self._breakers.find(*place)
        if breaker is not None:
            if not breaker.enter(exchange, began):
                run.note(_resting(breaker.open_until - began), began)
                return False
            if breaker.probe is exchange:
                send = self._healing(place, exchange, send)
        try:
            if candidate.upstream.max_concurrency is None:
                exchange.attempts += 1
                await self.app(scope, receive, send)
            else:
                async with self._slots.of(candidate.upstream, patience):
                    exchange.attempts += 1
                    await self.app(scope, receive, send)
        except GatewayError as error:
            self._judge(place, exchange, error)
            if exchange.committed:
                raise
            run.note(error, began)
            return False
        except BaseException:
            self._breakers.note_nothing(*place, exchange)
            raise
        if exchange.failed_in_band:
            self._breakers.note_nothing(*place, exchange)
        else:
            self._breakers.note_success(*place, exchange)
        return True

    def _healing(self, place: tuple[str, str], exchange: Exchange, send: Send) -> Send:
        """A probe has succeeded as soon as something comes of it: its stream may go on for minutes."""

        healed = False

        async def healing(message: Message) -> None:
            nonlocal healed
            body = message.get("body", b"")
            if not healed and body and not only_comments(body):
                healed = True
                self._breakers.note_success(*place, exchange)
            await send(message)

        return healing

    def _judge(self, place: tuple[str, str], exchange: Exchange, error: GatewayError) -> None:
        if ACTIONS[classify(error)].counts:
            asked = retry_after(error.headers)
            long = asked if asked is not None and asked > SHORT_WAIT else None
            self._breakers.note_failure(*place, exchange, monotonic(), long)
        else:
            self._breakers.note_nothing(*place, exchange)


class Attempt(NamedTuple):
    candidate: Candidate
    wait: float
    """Seconds before it."""
    patience: float
    """Seconds that a place at the upstream is waited for."""


@dataclass(slots=True)
class _Run:
    """What one call has tried so far, and what it may still do."""

    exchange: Exchange
    settings: Settings
    error: GatewayError | None = None
    full: bool = False
    """Whether the upstream asked last was at its limit."""
    failure: Failure = Failure.CALLER
    silence: float = 0.0
    """Seconds spent on upstreams that did not answer in time; their limits bound it, not ``retry_time``."""

    def attempts(self) -> Iterator[Attempt]:
        """Whom to ask next, for as long as nobody has answered."""
        exchange = self.exchange
        fallbacks = [(route.model, route.candidates) for route in exchange.fallbacks]
        for model, candidates in ((exchange.resolved, exchange.candidates), *fallbacks):
            exchange.served = model
            yield from self._among(ordered(candidates))
            if not self.may_go_on() or not self.action.fallback:
                return

    def _among(self, candidates: Sequence[Candidate]) -> Iterator[Attempt]:
        """One after the other; for a place at one that is at its limit is waited only when no other has answered."""
        queue_time = self.settings.queue_time
        if len(candidates) == 1:
            yield from self._at(candidates[0], queue_time)
            return
        full: list[Candidate] = []
        for candidate in candidates:
            yield from self._at(candidate, 0.0)
            if self.full:
                full.append(candidate)
            if not self.may_go_on() or not self.action.next:
                return
        if full:
            yield from self._at(full[0], queue_time)

    def _at(self, candidate: Candidate, patience: float) -> Iterator[Attempt]:
        """The same one as often as its failures allow."""
        yield Attempt(candidate, 0.0, patience)
        tries = 1
        while (wait := self.retry_wait(tries)) is not None:
            yield Attempt(candidate, wait, patience)
            tries += 1

    def note(self, error: GatewayError, began: float) -> None:
        """An upstream that is merely being left alone does not hide what really failed before it."""
        self.failure = classify(error)
        self.full = isinstance(error, UpstreamFull)
        if self.failure in SILENT:
            self.silence += monotonic() - began
        if self.error is None or self.failure is not Failure.BUSY:
            self.error = error

    @property
    def action(self) -> Action:
        return ACTIONS[self.failure]

    def may_go_on(self, wait: float = 0.0) -> bool:
        """Whether another attempt may begin, after ``wait`` seconds."""
        exchange, settings = self.exchange, self.settings
        spent = monotonic() - exchange.arrived - self.silence
        executed = self.failure in MAY_HAVE_ACTED and not settings.retry_executed
        left = exchange.attempts < settings.max_attempts and spent + wait <= settings.retry_time
        return left and exchange.repeatable and not executed

    def retry_wait(self, tries: int) -> float | None:
        if not self.action.same or tries > self.settings.retries or self.error is None:
            return None
        wait = wait_before_retry(self.error, tries)
        return wait if wait is not None and self.may_go_on(wait) else None


def _resting(seconds: float) -> GatewayBusy:
    return GatewayBusy(
        "The upstream of this model has been failing and is left alone for a moment; try again shortly.",
        code="upstream_unavailable",
        headers=((b"retry-after", b"%d" % max(1, math.ceil(seconds))),),
    )
