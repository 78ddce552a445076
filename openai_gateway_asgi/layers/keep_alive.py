"""Comments on a quiet line, for proxies that cut those: while an upstream is waited for, and between its events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from math import inf
from time import monotonic

from ..answers.client_stream import early_head
from ..answers.endings import STREAMED
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Message, Receive, Scope, Send
from ..http.cancellation import Deadline
from ..http.whole_answers import client_stalled

COMMENT = b": keep-alive\n\n"


class KeepAlive:
    """Sends one whenever a stream's client has heard nothing for ``every`` seconds.

    The first may go out before any upstream has answered: then the head that goes with it tells of none.
    """

    def __init__(self, app: ASGIApp, *, every: float, send_timeout: float) -> None:
        self.app = app
        self._every = every
        self._send_timeout = send_timeout

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if not exchange.streams:
            return self.app(scope, receive, send)
        return self._kept_alive(exchange, scope, receive, send)

    async def _kept_alive(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        with Deadline(exchange.clock) as deadline:
            line = _Line(exchange, send, self._every, deadline, self._send_timeout)
            try:
                await self.app(scope, receive, line.send)
            finally:
                await line.aclose()


class _Line:
    """One client's line."""

    def __init__(self, exchange: Exchange, send: Send, every: float, deadline: Deadline, send_timeout: float) -> None:
        self._exchange = exchange
        self._send = send
        self._every = every
        self._deadline = deadline
        self._send_timeout = send_timeout
        self._may_begin = exchange.match.endpoint.operation in STREAMED
        self._quiet_since = exchange.arrived
        self._busy = False
        self._comment: asyncio.Task[None] | None = None
        self._timer = exchange.clock.loop.call_later(every, self._look)

    async def send(self, message: Message) -> None:
        """What is answered goes out between two comments."""
        if self._comment is not None:
            await self._comment
        if message["type"] == "http.response.start" and self._exchange.head_sent:
            return
        self._busy = True
        await self._send(message)
        self._busy = False
        self._quiet_since = monotonic()

    async def aclose(self) -> None:
        self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()
            await asyncio.gather(self._comment, return_exceptions=True)
            self._comment = None

    def _look(self) -> None:
        exchange, loop = self._exchange, self._exchange.clock.loop
        left = self._quiet_since + self._every - monotonic()
        quiet = left <= 0 and not self._busy and self._comment is None
        if quiet and not exchange.finished and exchange.at_boundary and (exchange.sse or self._may_begin):
            self._comment = loop.create_task(self._say_something())
        self._timer = loop.call_later(left if left > 0 else self._every, self._look)

    async def _say_something(self) -> None:
        self._deadline.move(monotonic() + self._send_timeout, client_stalled)
        if not self._exchange.head_sent:
            self._exchange.sse = self._exchange.early = True
            await self._send(early_head(self._exchange))
        await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
        self._deadline.move(inf, client_stalled)
        self._quiet_since = monotonic()
        self._comment = None
