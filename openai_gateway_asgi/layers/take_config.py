"""One configuration for the whole request."""

from __future__ import annotations

from collections.abc import Awaitable

from ..config.live import LiveConfig
from ..exchange import Exchange
from ..http.arrival import Arrival
from ..http.asgi import ASGIApp, Receive, Scope, Send


class TakeConfig:
    """Takes the snapshot in force now; what changes meanwhile is the next request's."""

    def __init__(self, app: ASGIApp, *, live: LiveConfig) -> None:
        self.app = app
        self._live = live

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        config = self._live.settled
        if config is None:
            return self._look_first(scope, receive, send)
        Exchange.of(scope).config = config
        return self.app(scope, receive, send)

    async def _look_first(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        with Arrival(receive, exchange.clock) as arrival:
            exchange.config = await arrival.awaited(self._live.current())
            await self.app(scope, arrival.onward, send)
