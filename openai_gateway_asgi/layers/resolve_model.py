"""Which model an id means, and who serves it."""

from __future__ import annotations

from ..asgi import ASGIApp, Receive, Scope, Send
from ..exchange import Exchange
from ..upstream.model_lists import ModelLists


class ResolveModel:
    """The public id to a ``Model`` and the upstreams that serve it; what nobody serves is ``model_not_found``."""

    def __init__(self, app: ASGIApp, *, lists: ModelLists) -> None:
        self.app = app
        self._lists = lists

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if not exchange.model:
            await self._without_model(exchange)
            await self.app(scope, receive, send)
            return
        catalogue = await self._lists.for_call(exchange.config, exchange.caller)
        route = catalogue.find(exchange.model)
        if route is None:
            raise catalogue.missing(exchange.model)
        exchange.catalogue = catalogue
        exchange.resolved = route.model
        exchange.candidates = route.candidates
        chain = exchange.config.fallbacks.get(exchange.model, ()) if exchange.config.fallbacks else ()
        exchange.fallbacks = tuple(found for id in chain if (found := catalogue.find(id)) is not None)
        await self.app(scope, receive, send)

    async def _without_model(self, exchange: Exchange) -> None:
        """Whoever keeps the stored objects serves it; models that the body names further down are still checked."""
        exchange.resolved, exchange.candidates, exchange.fallbacks = None, (), ()
        if exchange.others:
            exchange.catalogue = await self._lists.for_call(exchange.config, exchange.caller)
