"""The gateway's own routes, for administrators."""

from __future__ import annotations

from ..admin import Admin
from ..asgi import ASGIApp, RawHeaders, Receive, Scope, Send, read_body, respond
from ..bodies import require_json
from ..endpoints import Kind
from ..errors import PermissionDenied
from ..exchange import Exchange
from ..interrupts import ClientWatch


class ServeAdmin:
    """``/config`` and what is below it, and ``/verify``; ``role == "admin"`` only."""

    def __init__(self, app: ASGIApp, *, admin: Admin, limit: int) -> None:
        self.app = app
        self._admin = admin
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        endpoint = exchange.match.endpoint
        if endpoint.kind is not Kind.ADMIN:
            await self.app(scope, receive, send)
            return
        if not exchange.user.is_admin:
            raise PermissionDenied("This is for administrators only.")
        body = b""
        if endpoint.bodies:
            require_json(exchange.headers)
            body = await read_body(receive, self._limit)
        with ClientWatch(receive, exchange.loop, over=lambda: exchange.finished):
            headers, answer = await self._answer(exchange, body)
        await respond(
            send, 200, b"" if scope["method"] == "HEAD" else answer, [*headers, (b"cache-control", b"no-store")]
        )

    async def _answer(self, exchange: Exchange, body: bytes) -> tuple[RawHeaders, bytes]:
        admin, config = self._admin, exchange.config
        match exchange.match.endpoint.operation:
            case "updateConfig":
                return await admin.update(config, exchange.headers, body)
            case "verifyUpstream":
                return await admin.verify(config, exchange.caller, body)
            case "listUpstreamModels":
                return await admin.models(config, exchange.caller, exchange.match.params["index"])
            case "readHealth":
                return [], admin.health().encode()
            case _:
                return admin.read(config)
