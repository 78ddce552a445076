"""The switches that stop all calls."""

from __future__ import annotations

from ..errors import GatewayDisabled, GatewayDraining
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.cancellation import Deadline
from ..http.drain import Drain


class RefuseDisabled:
    """While the configuration says ``enabled=False``, or this process drains, every route behind this layer is a 503.

    Calls that were let in before it began to drain may go on to its deadline, whatever they are waiting for, and
    whatever they ask themselves.
    """

    def __init__(self, app: ASGIApp, *, drain: Drain) -> None:
        self.app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        if not exchange.config.enabled:
            raise GatewayDisabled("OpenAI API is disabled.")
        if self._drain.active and (exchange.outer is None or exchange.outer.finished):
            raise GatewayDraining("The gateway is about to restart; try again.")
        deadline = Deadline(exchange.clock)
        self._drain.enter(deadline)
        try:
            with deadline:
                await self.app(scope, receive, send)
        finally:
            self._drain.leave(deadline)
