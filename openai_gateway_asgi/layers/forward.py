"""The streaming transport: the last of the chain."""

from __future__ import annotations

import asyncio

import httpx

from ..asgi import Receive, Scope, Send
from ..config import Settings, Timeouts
from ..exchange import Exchange
from ..interrupts import Deadline
from ..loops import LoopGuard
from ..relay import Relay
from ..upstream.connections import Connections, Pool
from ..upstream.reads import upstream_failure
from ..upstream.requests import Body, PreparedRequest


class Forward:
    """Sends the request to the upstream at hand and relays its answer; whatever was opened is closed."""

    def __init__(self, *, connections: Connections, loops: LoopGuard, settings: Settings) -> None:
        self._connections = connections
        self._loops = loops
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        timeouts = exchange.upstream.timeouts or self._settings.timeouts
        pool = self._connections.lease(exchange.upstream)
        deadline = Deadline()
        try:
            with deadline:
                relay = Relay(exchange, send, deadline, self._settings, timeouts)
                await self._attempt(pool, exchange, relay, timeouts)
        finally:
            pool.release()

    async def _attempt(self, pool: Pool, exchange: Exchange, relay: Relay, timeouts: Timeouts) -> None:
        try:
            response = await pool.transport.handle_async_request(_request(pool, exchange, timeouts, self._loops))
        except Exception as error:
            raise upstream_failure(error) from error
        try:
            await relay.answer(response)
        except BaseException:
            # A cancelled request closes its connection all the same, and to the end.
            await asyncio.shield(asyncio.ensure_future(response.aclose()))
            raise
        await response.aclose()


def _request(pool: Pool, exchange: Exchange, timeouts: Timeouts, loops: LoopGuard) -> httpx.Request:
    body = exchange.upstream_payload.encode()
    endpoint = exchange.match.endpoint
    url = pool.url(exchange.upstream_path, exchange.upstream_query, keep="{" not in endpoint.template)
    headers = [
        (b"host", pool.host),
        (b"accept-encoding", b"identity"),
        *exchange.upstream_headers,
        loops.header(exchange.headers),
        (b"content-length", b"%d" % len(body)),
    ]
    return PreparedRequest(exchange.method, url, headers, Body(body), timeouts.connect)
