"""Which operation of the API is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..api.endpoints import match
from ..api.passthrough import table_with
from ..bodies.body_rules import refuse_ambiguous_query
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.headers import refuse_ambiguous
from ..http.paths import route_path


class MatchEndpoint:
    """Method and canonical path to an ``Endpoint``: else 404, 405 or 400, before anything is read or asked."""

    def __init__(self, app: ASGIApp, *, passthrough: Sequence[str] = ()) -> None:
        """``passthrough``: patterns of paths beyond the API's, as the settings have them."""
        self.app = app
        self._table = table_with(passthrough)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        refuse_ambiguous(exchange.headers, exchange.named)
        if exchange.query:
            refuse_ambiguous_query(exchange.query)
        exchange.match = match(exchange.method, route_path(scope).segments, self._table)
        return self.app(scope, receive, send)
