"""What users under limits are told of them with every answer of an upstream."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from ..errors import UpstreamError
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Message, RawHeaders, Receive, Scope, Send
from ..limits.reservation import Reservation

THEIRS = b"x-ratelimit-"


class TellLimits:
    """Puts the gateway's own ``x-ratelimit-*`` in the place of the upstream's, which are those of a shared account.

    What is reserved by then is in them. It stands behind the host's own layers, whose figures are theirs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        reservation = Exchange.of(scope).reservation
        if reservation is None:
            return self.app(scope, receive, send)
        return self._told(reservation, scope, receive, send)

    async def _told(self, reservation: Reservation, scope: Scope, receive: Receive, send: Send) -> None:
        def telling(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = _replaced(message.get("headers", ()), reservation)
            return send(message)

        try:
            await self.app(scope, receive, telling)
        except UpstreamError as error:
            error.headers = tuple(_replaced(error.headers, reservation))
            raise


def _replaced(theirs: Iterable[tuple[bytes, bytes]], reservation: Reservation) -> RawHeaders:
    kept = [pair for pair in theirs if not pair[0].startswith(THEIRS)]
    return kept + reservation.headers
