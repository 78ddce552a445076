"""One configuration for the whole request."""

from __future__ import annotations

from ..asgi import ASGIApp, Receive, Scope, Send
from ..config.live import LiveConfig
from ..exchange import Exchange


class TakeConfig:
    """Takes the snapshot in force now; what changes meanwhile is the next request's."""

    def __init__(self, app: ASGIApp, *, live: LiveConfig) -> None:
        self.app = app
        self._live = live

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        Exchange.of(scope).config = await self._live.current()
        await self.app(scope, receive, send)
