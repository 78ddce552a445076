"""What the host's own layers have made of a body."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ..bodies.payload import Payload
from ..errors import ClientDisconnected, GatewayError, HostFailure, ResponseAborted
from ..exchange import Exchange
from ..extensions.changed_body import model_in, take_changes
from ..http.asgi import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("openai_gateway_asgi")


class TakeChanges:
    """Another model than the client's is resolved, checked, limited and filtered as the client's was."""

    def __init__(self, app: ASGIApp, *, again: Callable[[ASGIApp], ASGIApp], decode_limit: int) -> None:
        """``again`` puts those layers around an app that do so."""
        self.app = app
        self._again = again(app)
        self._decode_limit = decode_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        given: Any = exchange.payload
        if not isinstance(given, Payload):
            logger.error(
                "a layer put a %s into exchange.payload; write exchange.payload.edited({...})", type(given).__name__
            )
            raise HostFailure("The application failed while it handled this request.")
        try:
            await self._answered(scope, receive, send)
        except (GatewayError, ClientDisconnected, ResponseAborted):
            raise
        except Exception:
            exchange.failed_below = True
            raise

    def _answered(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if not exchange.payload.outline or model_in(exchange, exchange.payload) in (None, exchange.model):
            return self.app(scope, receive, send)
        return self._changed(scope, receive, send)

    async def _changed(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        _ = await take_changes(exchange, exchange.payload, self._decode_limit)
        await self._again(scope, receive, send)
