"""Which operation of the API is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..api.endpoints import match
from ..api.model_look_ups import looked_up
from ..api.passthrough import table_with
from ..bodies.body_rules import refuse_ambiguous_query
from ..errors import InvalidRequest, NotFound
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.headers import refuse_ambiguous
from ..http.paths import route_path, segments_as_sent


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
        try:
            exchange.match = match(exchange.method, route_path(scope).segments, self._table)
        except (InvalidRequest, NotFound):
            found = looked_up(exchange.method, segments_as_sent(scope))
            if found is None:
                raise
            exchange.match = found
        return self.app(scope, receive, send)
