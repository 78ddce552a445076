"""Whether this user may call this model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from time import monotonic

from ..errors import InvalidRequest
from ..exchange import Exchange
from ..host.access import Access
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..models import Model, Route

Allows = Callable[[Model], bool]
Key = tuple[str, bool]


class CheckModelAccess:
    """Asks the host's ``authorize_model``; what is denied looks like what does not exist.

    The same holds for every other model that the body names; a fallback that the user may not call is left out.
    """

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self.app = app
        self._access = access

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._access.is_async:
            return self._wait(scope, receive, send)
        exchange = Exchange.of(scope)
        operation = exchange.match.endpoint.operation
        _check(exchange, lambda model: self._access.allows_now(exchange.user, model, operation))
        return self.app(scope, receive, send)

    async def _wait(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        operation = exchange.match.endpoint.operation
        verdicts: dict[Key, bool] = {}
        began = monotonic()

        async def asked(model: Model) -> bool:
            if (key := _key(model)) not in verdicts:
                verdicts[key] = await self._access.allows(exchange.user, model, operation)
            return verdicts[key]

        for model in _needed(exchange):
            if not await asked(model):
                break  # a further answer could only tell the caller that this model exists
        else:
            for model in _wanted(exchange):
                _ = await asked(model)
        exchange.admitting += monotonic() - began
        _check(exchange, lambda model: verdicts.get(_key(model), False))
        await self.app(scope, receive, send)


def _key(model: Model) -> Key:
    """A preset may have the id of the model that is its base."""
    return model.id, model.is_preset


def _needed(exchange: Exchange) -> Iterator[Model]:
    """The models that must all be allowed, each once, up to the first that does not exist."""
    if exchange.resolved is not None:
        yield exchange.resolved
    for id in _others(exchange):
        if (route := exchange.catalogue.find(id)) is None:
            return
        if id != exchange.model:
            yield route.model


def _wanted(exchange: Exchange) -> Iterator[Model]:
    """Those without which the call may have somebody else to ask."""
    for base in exchange.bases or ():
        yield from base.checks
    for route in exchange.fallbacks:
        yield route.model
        for way in route.ways:
            yield from way.checks


def _others(exchange: Exchange) -> Iterable[str]:
    """What is named beside ``model``, which may be named there again."""
    return dict.fromkeys(exchange.others + exchange.implied)


def _check(exchange: Exchange, allows: Allows) -> None:
    model = exchange.resolved
    if model is not None and not allows(model):
        raise exchange.missing_model().noted("denied")
    if exchange.bases is not None:
        _check_bases(exchange, exchange.bases, allows)
    for id in _others(exchange):
        route = exchange.catalogue.find(id)
        if route is None:
            raise exchange.catalogue.missing(id)
        if id != exchange.model and not allows(route.model):
            raise exchange.catalogue.missing(id).noted("denied")
        if route.bases is not None:
            raise _only_in_model(id)
        if model is not None:
            _keep_to(exchange, route)
    if exchange.fallbacks:
        allowed = [_allowed(route, allows) for route in exchange.fallbacks]
        exchange.fallbacks = tuple([route for route in allowed if route is not None])


def _check_bases(exchange: Exchange, bases: tuple[Route, ...], allows: Allows) -> None:
    """A preset vouches for its base, unless it says that the user must be allowed to use that as well."""
    if not bases:
        raise exchange.missing_base()
    if (allowed := _allowed_bases(bases, allows)) is not bases:
        exchange.take_bases(allowed)
        if not allowed:
            raise exchange.missing_model().noted("denied")


def _allowed_bases(bases: tuple[Route, ...], allows: Allows) -> tuple[Route, ...]:
    for base in bases:
        if base.checks:
            return tuple([each for each in bases if all(map(allows, each.checks))])
    return bases


def _allowed(route: Route, allows: Allows) -> Route | None:
    """A fallback as far as the user may call it."""
    if not allows(route.model):
        return None
    if route.bases is None:
        return route
    bases = _allowed_bases(route.bases, allows)
    return replace(route, bases=bases) if bases else None


def _only_in_model(id: str) -> InvalidRequest:
    return InvalidRequest(
        f"`{id}` can be named in `model` only: to its upstream it is unknown.", param="model", code="invalid_field"
    )


def _keep_to(exchange: Exchange, other: Route) -> None:
    """Upstreams that do not serve the other model as well would understand something else by its id."""
    serving = {candidate.upstream.name for candidate in other.candidates}
    exchange.fallbacks = ()
    if not exchange.narrow(lambda candidate: candidate.upstream.name in serving):
        raise InvalidRequest(
            "No upstream serves all the models that the body names; name models of one upstream.",
            param="model",
            code="invalid_field",
        )
