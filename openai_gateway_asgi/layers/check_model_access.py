"""Whether this user may call this model."""

from __future__ import annotations

from ..access import Access
from ..asgi import ASGIApp, Receive, Scope, Send
from ..exchange import Exchange


class CheckModelAccess:
    """Asks the host's ``authorize_model``; what is denied looks like what does not exist.

    The same holds for every other model that the body names; a fallback that the user may not call is left out.
    """

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self.app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if not await self._access.allows(exchange.user, exchange.resolved):
            raise exchange.catalogue.missing(exchange.model)
        for id in exchange.others:
            route = exchange.catalogue.find(id)
            if route is None or not await self._access.allows(exchange.user, route.model):
                raise exchange.catalogue.missing(id)
        if exchange.fallbacks:
            exchange.fallbacks = tuple(
                [route for route in exchange.fallbacks if await self._access.allows(exchange.user, route.model)]
            )
        await self.app(scope, receive, send)
