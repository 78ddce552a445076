"""Calls that come all at once."""

from __future__ import annotations

from collections.abc import Awaitable
from time import monotonic

from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.pacing import Turns


class TakeTurns:
    """Lets so many begin in one turn of the event loop; the others wait in line, in their order."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        turns = Exchange.of(scope).clock.turns
        if turns.may_begin():
            return self.app(scope, receive, send)
        return self._wait(turns, scope, receive, send)

    async def _wait(self, turns: Turns, scope: Scope, receive: Receive, send: Send) -> None:
        began = monotonic()
        await turns.wait()
        Exchange.of(scope).queued += monotonic() - began
        await self.app(scope, receive, send)
