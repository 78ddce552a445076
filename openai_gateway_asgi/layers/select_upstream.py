"""Which upstream answers: one try after the other, for as long as nothing was told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic

from ..answers.endings import STREAMED
from ..answers.lacking import Lacking, lacks_api
from ..answers.translated_refusals import in_clients_words
from ..api.conversations import API_OF, CONVERSING
from ..config import Settings
from ..errors import GatewayError
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Message, Receive, Scope, Send
from ..http.headers import AllowList
from ..http.sse import only_comments
from ..limits.desk import Desk
from ..limits.estimate import expected_usage
from ..limits.reservation import Reservation
from ..models import Candidate
from ..observe.attempts import Attempts
from ..rewrites.thinking import thinks_first
from ..translate.translation import Translation
from ..upstream.apis import Apis
from ..upstream.concurrency import AllSlots
from ..upstream.credentials import Credentials
from ..upstream.memory import Blame, Memory, Place, Places
from ..upstream.tries import Route, Tries, Try

IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})  # RFC 9110, 9.2.2
KEY = b"idempotency-key"

TELLING = 4 * 1024
"""Bytes at each end of a piece of a body by which it is told from others."""
MOST_PIECES = 64
"""Pieces of a body by which it is told from others."""


class SelectUpstream:
    """Asks the candidates of the model, then those of its fallbacks, as ``ACTIONS`` says for each kind of failure."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        memory: Memory,
        slots: AllSlots,
        credentials: Credentials,
        settings: Settings,
        attempts: Attempts,
        apis: Apis,
        desk: Desk | None = None,
    ) -> None:
        self.app = app
        self.apis = apis
        self._desk = desk
        self._memory = memory
        self._slots = slots
        self._credentials = credentials
        self._settings = settings
        self._attempts = attempts
        self._sends_key = bool(AllowList(settings.forwarded_headers).select([(KEY, b"")], {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        call = _Call(exchange, self)
        tries = Tries(
            routes_of(exchange),
            self._settings,
            repeatable=call.repeatable,
            once=call.once,
            held=call.held,
            translated=call.translated,
        )
        counted = set[Place]()
        asked: Try | None = None
        try:
            for this in tries:
                if this.wait:
                    await asyncio.sleep(this.wait)
                    exchange.queued += this.wait
                made = exchange.attempts
                if await self._answered(this, tries, counted, scope, receive, send):
                    return
                if exchange.attempts > made:
                    asked = this
            if asked is not None and asked is not this:
                _ = self._can_be_asked(exchange, asked, tries)  # the record names who was asked last
            raise tries.outcome()
        finally:
            tries.forget()

    async def _answered(
        self, this: Try, tries: Tries, counted: set[Place], scope: Scope, receive: Receive, send: Send
    ) -> bool:
        exchange, memory, began = Exchange.of(scope), self._memory, monotonic()
        if not self._can_be_asked(exchange, this, tries):
            return False
        upstream = exchange.upstream
        exchange.may_switch = bool(this.others) or this.again
        exchange.fails_over = exchange.streams and self._fails_over(exchange, this, began)
        gently = False
        if memory:  # it is empty while all is well
            places = self._places(exchange)
            gently = memory.resting(places, began)
            rest = memory.enter(places, exchange, began, alone=this.alone)
            if rest is not None:
                tries.passed_over(rest)
                return False
            if memory.probed_by(places, exchange):
                send = self._healing(places, exchange, began, send)
        reservation = exchange.reservation
        if reservation is not None and reservation.needs_more(this.served, this.candidate):
            full = await self._entered(reservation, exchange, this)
            if full is not None:
                tries.failed(full)
                return False
        while True:
            try:
                if upstream.max_concurrency is None:
                    if exchange.attempt_began is None:
                        tries.sending(gently=gently)
                    await self.app(scope, receive, send)
                else:
                    async with self._slots.of(upstream, this.patience):
                        if exchange.attempt_began is None:
                            exchange.queued += monotonic() - began
                            tries.sending(gently=gently)
                        await self.app(scope, receive, send)
                break
            except GatewayError as error:
                # Under the name that Python lets go of: an error that its own frame knows is a cycle.
                error = in_clients_words(error, exchange, self.apis)
                learned = self._learns(exchange, this, error)
                if learned and self._can_be_asked(exchange, this, tries):
                    tries.failed(error)
                    continue  # the same attempt: nobody has seen the call yet
                self._note_failure(exchange, error, began, counted)
                if exchange.told:
                    raise error from error.__cause__
                if not learned:
                    tries.failed(error)
                return False
            except BaseException as error:
                self._attempts.end(exchange, error)
                self._leave(exchange)
                raise
        self._attempts.end(exchange)
        if memory:
            self._note_end(exchange, began)
        return True

    def _note_failure(self, exchange: Exchange, error: GatewayError, began: float, counted: set[Place]) -> None:
        ended = self._attempts.end(exchange, error)
        if self._desk is not None and exchange.reservation is not None and not exchange.told:
            self._desk.release(exchange.reservation, ended)
        self._memory.failed(
            self._places(exchange), exchange, error, began, monotonic(),
            blame=lambda: _blame(exchange), counted=counted,
        )  # fmt: skip

    async def _entered(self, reservation: Reservation, exchange: Exchange, this: Try) -> GatewayError | None:
        """What limits by upstream, and those of a fallback, have against the attempt."""
        if self._desk is None:
            return None
        expected = expected_usage(exchange.match.endpoint.operation, exchange.payload, this.candidate.via)
        try:
            full = await self._desk.enter(reservation, this.served, this.candidate, expected)
        except BaseException:
            self._leave(exchange)
            raise
        if full is not None:
            self._leave(exchange)
        return full

    def _can_be_asked(self, exchange: Exchange, this: Try, tries: Tries) -> bool:
        """Turns to the next candidate: whether it can be asked, be it in its own API's words."""
        exchange.turn_to(this.served, this.candidate)
        withheld, operation = exchange.withheld, exchange.match.endpoint.operation
        if withheld is None:
            if exchange.upstream.takes_any_api and not self.apis.lacks:
                return True  # as nearly always
            if API_OF.get(operation) in exchange.upstream.surely_speaks:
                return True
        if operation not in CONVERSING:
            return True
        try:
            exchange.translation = translation_of(exchange, self.apis)
            if withheld is not None and exchange.translation is None:
                raise withheld
        except GatewayError as unable:
            tries.unable(unable)
            return False
        return True

    def _learns(self, exchange: Exchange, this: Try, error: GatewayError) -> bool:
        """Whether this was a 404 of the API itself, so that the other one is to be tried here: nobody else has the
        client's own."""
        api = API_OF.get(exchange.match.endpoint.operation)
        if api is None or exchange.translation is not None or exchange.told:
            return False
        if any(not each.only_items for each in exchange.references):
            return False
        if exchange.references and (error.cause is None or "item" in error.cause.message.lower()):
            return False  # it speaks of one that it did not find
        lacks = lacks_api(error)
        if lacks is None:
            return False
        upstream, model = exchange.upstream, exchange.upstream_model
        learned = self.apis.learn(upstream, model, api, of_model=lacks is Lacking.FOR_MODEL)
        return learned and all(translates(exchange, peer, self.apis) for peer in this.peers)

    def _fails_over(self, exchange: Exchange, this: Try, now: float) -> bool:
        """Whether another upstream is asked where this one is merely slow to begin: one that is not resting itself."""
        if not this.others or exchange.match.endpoint.operation not in STREAMED or self.is_for_once(exchange):
            return False
        if self._memory and all(self._rests(exchange, each, now) for each in this.others):
            return False
        candidate = this.candidate
        return not thinks_first(candidate.model_id, candidate.upstream.reasoning_models, exchange.payload)

    def _rests(self, exchange: Exchange, candidate: Candidate, now: float) -> bool:
        return self._memory.resting(places_of(exchange, self._credentials, self._settings, candidate), now)

    def is_for_once(self, exchange: Exchange) -> bool:
        """Whether it must not be sent again once it may have been executed."""
        if exchange.method in IDEMPOTENT:
            return False
        keyed = self._sends_key and KEY in exchange.named  # then the upstream knows the second for the first
        return not self._settings.retry_executed or (exchange.is_job and not keyed)

    def _leave(self, exchange: Exchange) -> None:
        """The call has nothing to say of the upstream; if it was to try it out, another may."""
        if self._memory:
            self._memory.leave(self._places(exchange), exchange)

    def _note_end(self, exchange: Exchange, began: float) -> None:
        """Of an answer that ended with an error of the upstream's own it is not clear whose fault it was."""
        places = self._places(exchange)
        if exchange.failed_in_band:
            self._memory.leave(places, exchange)
        else:
            self._memory.succeeded(places, exchange, began)

    def _healing(self, places: Places, exchange: Exchange, began: float, send: Send) -> Send:
        """A probe has succeeded as soon as something comes of it: its stream may go on for minutes."""

        healed = False

        async def healing(message: Message) -> None:
            nonlocal healed
            body = message.get("body", b"")
            if not healed and body and not only_comments(body):
                healed = True
                self._memory.succeeded(places, exchange, began)
            await send(message)

        return healing

    def _places(self, exchange: Exchange) -> Places:
        return places_of(exchange, self._credentials, self._settings)


class _Call:
    """What its tries ask of a call. One object, not four closures: a stream keeps them as long as it lasts."""

    __slots__ = ("_exchange", "_layer")

    def __init__(self, exchange: Exchange, layer: SelectUpstream) -> None:
        self._exchange = exchange
        self._layer = layer

    def repeatable(self) -> bool:
        return self._exchange.repeatable

    def once(self) -> bool:
        return self._layer.is_for_once(self._exchange)

    def held(self) -> float:
        return self._exchange.held

    def translated(self, candidate: Candidate) -> bool:
        return translates(self._exchange, candidate, self._layer.apis)


def routes_of(exchange: Exchange) -> Sequence[Route]:
    """Who may be asked: the candidates of the model, then those of its fallbacks."""
    if exchange.bases is None:
        asked: Sequence[Route] = ((exchange.resolved, exchange.candidates),)
    else:
        asked = [(base.model, base.candidates) for base in exchange.bases]
    if not exchange.fallbacks:
        return asked
    return (*asked, *[(way.model, way.candidates) for route in exchange.fallbacks for way in route.ways])


def translates(exchange: Exchange, candidate: Candidate, apis: Apis) -> bool:
    """Whether the call has to be translated for a candidate."""
    api = API_OF.get(exchange.match.endpoint.operation)
    if api is None:
        return False
    return apis.other(candidate.upstream, candidate.model_id, api, exchange.payload, candidate.via) is not None


def translation_of(exchange: Exchange, apis: Apis) -> Translation | None:
    """Of the call, for the upstream at hand. Raises for what it cannot be asked."""
    served = exchange.served
    return apis.translation(
        exchange.upstream,
        exchange.upstream_model,
        exchange.match.endpoint.operation,
        exchange.payload,
        public_id=exchange.upstream_model if served is None else served.id,
        via=exchange.via,
    )


def places_of(
    exchange: Exchange, credentials: Credentials, settings: Settings, candidate: Candidate | None = None
) -> Places:
    """Of the candidate at hand, or another. Of calls on stored objects each kind of objects is a place of its own."""
    at_hand = candidate or Candidate(exchange.upstream, exchange.upstream_model)
    upstream = at_hand.upstream
    model = at_hand.model_id or f"/{exchange.match.endpoint.group}"
    whose = credentials.scope(upstream, exchange.caller, told=settings.forward_user_info)
    return Place(upstream.name, model, None), Place(upstream.name, model, whose)


def _blame(exchange: Exchange) -> Blame:
    """Bodies are told apart by the ends of their pieces: they may be long, and failures may come in floods."""
    if exchange.upload is not None:
        pieces: list[bytes | memoryview] = [exchange.named.get(b"content-length", b"")]
    else:
        pieces = exchange.payload.pieces() if exchange.opaque is None else [exchange.opaque]
    told = tuple((len(each), bytes(each[:TELLING]), bytes(each[-TELLING:])) for each in pieces[:MOST_PIECES])
    return Blame(hash(exchange.user.id), hash(told))
