"""The gateway's own routes, for administrators."""

from __future__ import annotations

from collections.abc import Awaitable

from ..admin.explain import answer
from ..admin.limits import limits_of, reset
from ..admin.routes import Admin, require_admin
from ..api.endpoints import Kind
from ..bodies.body_rules import require_json
from ..exchange import Exchange
from ..hidden import HiddenBytes
from ..host.hooks import Hook
from ..host.users import User
from ..http.asgi import ASGIApp, RawHeaders, Receive, Scope, Send
from ..http.cancellation import ClientWatch
from ..http.request_body import read_body
from ..http.whole_answers import respond
from ..limits.desk import Desk
from ..upstream.model_lists import ModelLists


class ServeAdmin:
    """``/config`` and what is below it, and ``/verify``; ``role == "admin"`` only."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        admin: Admin,
        desk: Desk | None,
        find_user: Hook[[str], User | None] | None,
        lists: ModelLists,
        limit: int,
        idle: float,
        send_timeout: float,
    ) -> None:
        self.app = app
        self._desk = desk
        self._find_user = find_user
        self._lists = lists
        self._admin = admin
        self._limit = limit
        self._idle = idle
        self._send_timeout = send_timeout

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.match.endpoint.kind is not Kind.ADMIN:
            return self.app(scope, receive, send)
        return self._serve(exchange, receive, send)

    async def _serve(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        endpoint = exchange.match.endpoint
        require_admin(exchange.user)
        body = b""
        if endpoint.bodies:
            require_json(exchange.named)
            body = HiddenBytes(b"".join(await read_body(receive, self._limit, self._idle, setting="config_limit")))
        with ClientWatch(receive, exchange.clock, over=lambda: exchange.finished):
            headers, answered = await self._answer(exchange, body)
        headers.append((b"cache-control", b"no-store"))
        head = exchange.method == "HEAD"
        await respond(send, 200, answered, headers, within=self._send_timeout, clock=exchange.clock, head=head)

    async def _answer(self, exchange: Exchange, body: bytes) -> tuple[RawHeaders, bytes]:
        admin, config = self._admin, exchange.config
        match exchange.match.endpoint.operation:
            case "updateConfig":
                return await admin.update(config, exchange.user, exchange.named, body)
            case "verifyUpstream":
                return await admin.verify(config, exchange.caller, body)
            case "listUpstreamModels":
                return await admin.models(config, exchange.caller, exchange.match.params["index"])
            case "explainRequest":
                return [], await answer(admin.explain, exchange.user, body)
            case "readLimitsOf":
                catalogue = await self._lists.for_listing(config, exchange.caller)
                return [], await limits_of(self._desk, exchange.query, catalogue, self._find_user)
            case "resetLimits":
                return [], await reset(self._desk, body)
            case "readHealth":
                return [], admin.health().encode()
            case _:
                return admin.read(config)
