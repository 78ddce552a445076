"""What users under limits are told of them with every answer of an upstream."""

from __future__ import annotations

from collections.abc import Awaitable

from ..exchange import Exchange
from ..http.asgi import ASGIApp, Message, Receive, Scope, Send


class TellLimits:
    """Puts the gateway's own ``x-ratelimit-*`` in the place of the upstream's, which are those of a shared account.

    What is reserved by then is in them. It stands behind the host's own layers, whose figures are theirs. In upstreams'
    errors ``RenderErrors`` does the same.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        reservation = Exchange.of(scope).reservation
        if reservation is None:
            return self.app(scope, receive, send)

        def telling(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = reservation.told_in(message.get("headers", ()))
            return send(message)

        return self.app(scope, receive, telling)
