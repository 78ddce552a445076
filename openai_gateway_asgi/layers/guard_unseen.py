"""What the host's filters cannot look into."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..api.unseen import ELSEWHERE, STORED_ANSWERS
from ..errors import PermissionDenied
from ..exchange import Exchange
from ..extensions.filter import Hooked
from ..extensions.hops import hops
from ..http.asgi import ASGIApp, Receive, Scope, Send

RESPONSE = "createResponse"


class GuardUnseen:
    """Refuses it for models under filters, unless a filter says ``unseen="allow"``."""

    def __init__(self, app: ASGIApp, *, filters: Sequence[Hooked]) -> None:
        self.app = app
        self._filters = [each.filter for each in filters if each.filter.unseen == "refuse"]

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        operation = exchange.match.endpoint.operation
        if operation in ELSEWHERE:
            if any(each.concerns(hops(exchange)) for each in self._filters):
                raise _refused("this operation works out of sight of the application's filters")
        elif operation == RESPONSE:
            if _is_in_background(exchange) and any(
                each.covers(operation) and each.concerns(hops(exchange)) for each in self._filters
            ):
                raise _refused(
                    "what runs in the background is out of sight of the application's filters; leave `background` out",
                    "background",
                )
        elif (origin := STORED_ANSWERS.get(operation)) is not None and any(
            each.sees_answers and each.covers(origin) for each in self._filters
        ):
            raise _refused("stored answers are out of sight of the application's filters")
        return self.app(scope, receive, send)


def _is_in_background(exchange: Exchange) -> bool:
    background = exchange.payload.raw("background")
    return background is not None and bytes(background) not in (b"false", b"null")


def _refused(why: str, param: str | None = None) -> PermissionDenied:
    return PermissionDenied(f"This is not served here: {why}.", param=param, code="out_of_filters_sight")
