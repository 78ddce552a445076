"""Where an attempt begins: what it is to send is ready."""

from __future__ import annotations

from collections.abc import Awaitable

from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..observe.attempts import Attempts


class BeginAttempt:
    """Notes that a request is about to be sent. What the layers before it refuse was no attempt, and is nobody's
    failure; who sends again below them, as without a field, makes no second one."""

    def __init__(self, app: ASGIApp, *, attempts: Attempts) -> None:
        self.app = app
        self._attempts = attempts

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.attempt_began is None:
            self._attempts.begin(exchange)
        return self.app(scope, receive, send)
