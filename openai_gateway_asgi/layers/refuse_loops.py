"""Calls that this gateway made itself."""

from __future__ import annotations

from collections.abc import Awaitable

from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.loop_guard import LoopGuard


class RefuseLoops:
    """A request that has been here before is a 508."""

    def __init__(self, app: ASGIApp, *, loops: LoopGuard) -> None:
        self.app = app
        self._loops = loops

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        self._loops.check(Exchange.of(scope).named)
        return self.app(scope, receive, send)
