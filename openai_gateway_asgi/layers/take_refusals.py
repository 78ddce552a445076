"""What the host's own layers refuse, and what they fail with."""

from __future__ import annotations

import logging

from ..errors import ClientDisconnected, GatewayError, HostFailure, ResponseAborted
from ..exchange import Exchange
from ..host.refusals import refusal_of
from ..http.asgi import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("openai_gateway_asgi")


class TakeRefusals:
    """An exception with a status, raised by a layer of the host's, is a refusal as it is from a callable; another one
    is a failure of the host's, and so is a layer that neither answers nor has the call answered.

    It stands around the host's layers, and is there only where there are some.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        try:
            await self.app(scope, receive, send)
        except (GatewayError, ClientDisconnected, ResponseAborted):
            raise
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None and exchange.failed_below:
                raise
            raise refusal or _failure(f"raised {type(error).__name__}", error) from error
        if not exchange.head_sent and not exchange.left:
            raise _failure("returned without an answer; call the next app, or send one")


def _failure(how: str, error: Exception | None = None) -> HostFailure:
    logger.error("a layer %s", how, exc_info=error)
    return HostFailure("The application failed while it handled this request.")
