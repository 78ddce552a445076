"""What holds for the one who asks: each of their limits, used and left."""

from __future__ import annotations

from collections.abc import Awaitable

from ..api.endpoints import Kind
from ..exchange import Exchange
from ..host.access import Access
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.cancellation import ClientWatch
from ..http.whole_answers import respond
from ..limits.desk import Desk
from ..limits.standings import standings_of
from ..limits.told import encoded
from ..upstream.model_lists import ModelLists


class ServeLimits:
    """``GET /limits``; an empty list where there are none."""

    def __init__(
        self, app: ASGIApp, *, desk: Desk | None, lists: ModelLists, access: Access, send_timeout: float
    ) -> None:
        self.app = app
        self._desk = desk
        self._lists = lists
        self._access = access
        self._send_timeout = send_timeout

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.match.endpoint.kind is not Kind.LIMITS:
            return self.app(scope, receive, send)
        return self._serve(self._desk, exchange, receive, send)

    async def _serve(self, desk: Desk | None, exchange: Exchange, receive: Receive, send: Send) -> None:
        body = encoded(())
        if desk is not None:
            with ClientWatch(receive, exchange.clock, over=lambda: exchange.finished):
                catalogue = await self._lists.for_listing(exchange.config, exchange.caller)
                models = await self._access.visible(exchange.user, catalogue.models)
                body = encoded(await standings_of(desk, exchange.user, models, catalogue.find), keys=False)
        head = exchange.method == "HEAD"
        headers = [(b"cache-control", b"no-store")]
        await respond(send, 200, body, headers, within=self._send_timeout, clock=exchange.clock, head=head)
