"""Which model an id means, and who serves it."""

from __future__ import annotations

from collections.abc import Awaitable

from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..models import Catalogue
from ..upstream.model_lists import ModelLists


class ResolveModel:
    """The public id to a ``Model`` and the upstreams that serve it; what nobody serves is ``model_not_found``."""

    def __init__(self, app: ASGIApp, *, lists: ModelLists) -> None:
        self.app = app
        self._lists = lists

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.model or exchange.others:
            catalogue = self._lists.at_hand(exchange.config, exchange.caller)
            if catalogue is None:
                return self._wait(scope, receive, send)
            _resolve(exchange, catalogue)
        else:
            _take_none(exchange)
        return self.app(scope, receive, send)

    async def _wait(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        _resolve(exchange, await self._lists.for_call(exchange.config, exchange.caller))
        await self.app(scope, receive, send)


def _resolve(exchange: Exchange, catalogue: Catalogue) -> None:
    exchange.catalogue = catalogue
    if not exchange.model:
        _take_none(exchange)
        return
    route = catalogue.find(exchange.model)
    if route is None:
        raise catalogue.missing(exchange.model)
    exchange.resolved = route.model
    exchange.candidates = route.candidates
    chain = exchange.config.fallbacks.get(exchange.model, ()) if exchange.config.fallbacks else ()
    exchange.fallbacks = tuple([found for id in chain if (found := catalogue.find(id)) is not None]) if chain else ()


def _take_none(exchange: Exchange) -> None:
    """Whoever keeps the stored objects serves it; models that the body names further down are still checked."""
    exchange.resolved, exchange.candidates, exchange.fallbacks = None, (), ()
