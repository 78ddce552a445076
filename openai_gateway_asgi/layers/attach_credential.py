"""The headers that go upstream: the client's harmless ones, and our credential."""

from __future__ import annotations

from ..asgi import ASGIApp, Receive, Scope, Send
from ..exchange import Exchange
from ..headers import AllowList
from ..upstream.credentials import Credentials


class AttachCredential:
    """Picks what may cross of the client's headers, then adds ours, so that no client can nominate ours away."""

    def __init__(self, app: ASGIApp, *, credentials: Credentials, allowed: AllowList) -> None:
        self.app = app
        self._credentials = credentials
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        ours = self._credentials.static(exchange.upstream)
        if ours is None:
            ours = tuple(await self._credentials.headers(exchange.upstream, exchange.caller))
        taken = {name for name, _ in ours}
        theirs = [pair for pair in self._allowed.select(exchange.headers) if pair[0] not in taken]
        exchange.upstream_headers = [*theirs, *ours]
        await self.app(scope, receive, send)
