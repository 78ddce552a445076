"""Whether this user may call this model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from time import monotonic

from ..errors import InvalidRequest
from ..exchange import Exchange
from ..host.access import Access
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..models import Model, Route

Allows = Callable[[Model], bool]


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
        verdicts: dict[str, bool] = {}
        began = monotonic()
        for model in _needed(exchange):
            verdicts[model.id] = await self._access.allows(exchange.user, model, operation)
            if not verdicts[model.id]:
                break  # a further answer could only tell the caller that this model exists
        else:
            for route in exchange.fallbacks:
                verdicts[route.model.id] = await self._access.allows(exchange.user, route.model, operation)
        exchange.admitting += monotonic() - began
        _check(exchange, lambda model: verdicts.get(model.id, False))
        await self.app(scope, receive, send)


def _needed(exchange: Exchange) -> Iterator[Model]:
    """The models that must all be allowed, each once, up to the first that does not exist."""
    if exchange.resolved is not None:
        yield exchange.resolved
    for id in _others(exchange):
        if (route := exchange.catalogue.find(id)) is None:
            return
        if id != exchange.model:
            yield route.model


def _others(exchange: Exchange) -> Iterable[str]:
    """What is named beside ``model``, which may be named there again."""
    return dict.fromkeys(exchange.others + exchange.implied)


def _check(exchange: Exchange, allows: Allows) -> None:
    model = exchange.resolved
    if model is not None and not allows(model):
        raise exchange.missing_model().noted("denied")
    for id in _others(exchange):
        route = exchange.catalogue.find(id)
        if route is None:
            raise exchange.catalogue.missing(id)
        if id != exchange.model and not allows(route.model):
            raise exchange.catalogue.missing(id).noted("denied")
        if model is not None:
            _keep_to(exchange, route)
    if exchange.fallbacks:
        exchange.fallbacks = tuple([route for route in exchange.fallbacks if allows(route.model)])


def _keep_to(exchange: Exchange, other: Route) -> None:
    """Upstreams that do not serve the other model as well would understand something else by its id."""
    serving = {candidate.upstream.name for candidate in other.candidates}
    exchange.candidates = tuple([each for each in exchange.candidates if each.upstream.name in serving])
    exchange.fallbacks = ()
    if not exchange.candidates:
        raise InvalidRequest(
            "No upstream serves all the models that the body names; name models of one upstream.",
            param="model",
            code="invalid_field",
        )
