"""Limits and budgets: a call takes from all of them at once, or is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..api.unmetered import MODEL_BROUGHT, UNMETERED
from ..errors import PermissionDenied
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..limits.desk import Desk
from ..limits.estimate import expected_usage
from ..limits.limit import Limit, Subject
from ..limits.reservation import Call, Reservation
from ..models import Model

NOBODY_KNOWS = ("",)
"""The id of a model that a stored object names: limits for all models hold, and no others."""


class EnforceLimits:
    """Reserves before an upstream is chosen; ``RecordUsage`` settles with the record. Whoever
    begins an answer tells how the limits stand."""

    def __init__(self, app: ASGIApp, *, desk: Desk, unmetered: frozenset[str]) -> None:
        self.app = app
        self._desk = desk
        self._unmetered = unmetered

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        operation = exchange.match.endpoint.operation
        if exchange.resolved is None:
            if operation not in UNMETERED and operation not in MODEL_BROUGHT:
                return self.app(scope, receive, send)
        elif exchange.reservation is None and exchange.outer is None and operation not in UNMETERED:
            exchange.reservation = self._desk.reserve_now(
                exchange.user, exchange.model, exchange.candidates, operation, exchange.payload
            )
            if exchange.reservation is not None:
                return self.app(scope, receive, send)
        return self._limited(exchange.resolved, UNMETERED.get(operation, ""), scope, receive, send)

    async def _limited(self, model: Model | None, family: str, scope: Scope, receive: Receive, send: Send) -> None:
        exchange, desk = Exchange.of(scope), self._desk
        limits = desk.known or await desk.limits_for(exchange.user, model)
        subject = Subject(exchange.user, exchange.hops if model is not None else () if family else NOBODY_KNOWS, model)
        if family and family not in self._unmetered:
            _refuse_unmetered(family, [limit for limit in limits if model is None or limit.concerns(subject.models)])
        may_serve = subject.models if model is None else _may_serve(exchange)
        if not any(limit.concerns(may_serve) for limit in limits):
            if exchange.reservation is not None:
                desk.give_back(exchange.reservation)
            await self.app(scope, receive, send)
            return
        first = exchange.candidates[:1]
        via = first[0].via if first else None
        expected = expected_usage(exchange.match.endpoint.operation, exchange.payload, via)
        outer = None if exchange.outer is None else _around(exchange.outer)
        call = Call(limits, subject, expected, first, outer)
        if exchange.reservation is None:
            exchange.reservation = await desk.reserve(call)
        else:  # for another model, in whose place a filter has put this one
            await desk.trade(exchange.reservation, call)
        await self.app(scope, receive, send)


def _may_serve(exchange: Exchange) -> Sequence[str]:
    """The ids of all models that a call may come to."""
    return (*exchange.hops, *(id for way in exchange.ways_on for id in way.hops))


def _around(outer: Exchange | None) -> Reservation | None:
    """What the nearest of the calls around this one has taken."""
    while outer is not None and outer.reservation is None:
        outer = outer.outer
    return None if outer is None else outer.reservation


def _refuse_unmetered(family: str, limits: Sequence[Limit]) -> None:
    """Work that uses tokens which nobody will tell the gateway of."""
    if any(limit.unit in ("tokens", "usd") for limit in limits):
        raise PermissionDenied(
            f"What {family} use is not told to the gateway; users under limits of tokens or money may not use it.",
            code="unmetered_operation",
        )
