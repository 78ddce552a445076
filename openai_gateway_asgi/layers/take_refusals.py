"""What the host's own layers refuse."""

from __future__ import annotations

from ..host.refusals import refusal_of
from ..http.asgi import ASGIApp, Receive, Scope, Send


class TakeRefusals:
    """An exception with a status, raised by a layer of the host's, is a refusal as it is from a callable.

    It stands around the host's layers, and is there only where there are some.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            raise refusal from error
