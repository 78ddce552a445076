"""Which upstream answers."""

from __future__ import annotations

from ..asgi import ASGIApp, Receive, Scope, Send
from ..exchange import Exchange


class SelectUpstream:
    """Runs an attempt on the first candidate."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        candidate = exchange.candidates[0]
        exchange.upstream = candidate.upstream
        exchange.upstream_model = candidate.model_id
        exchange.attempts += 1
        await self.app(scope, receive, send)
