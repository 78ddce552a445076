"""The switch that stops all calls."""

from __future__ import annotations

from ..asgi import ASGIApp, Receive, Scope, Send
from ..errors import GatewayDisabled
from ..exchange import Exchange


class RefuseDisabled:
    """While the configuration says ``enabled=False``, every route behind this layer is a 503."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not Exchange.of(scope).config.enabled:
            raise GatewayDisabled("OpenAI API is disabled.")
        await self.app(scope, receive, send)
