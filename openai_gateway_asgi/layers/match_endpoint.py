"""Which operation of the API is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from functools import lru_cache, partial

from ..api.endpoints import match
from ..api.model_look_ups import looked_up
from ..api.passthrough import table_with
from ..bodies.body_rules import refuse_ambiguous_query
from ..errors import InvalidRequest, NotFound
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.headers import refuse_ambiguous
from ..http.paths import USUAL, route_path, segments_as_sent

MOST_KNOWN = 256
"""Operations of paths that are kept, with the ids in them."""


class MatchEndpoint:
    """Method and canonical path to an ``Endpoint``: else 404, 405 or 400, before anything is read or asked."""

    def __init__(self, app: ASGIApp, *, passthrough: Sequence[str] = ()) -> None:
        """``passthrough``: patterns of paths beyond the API's, as the settings have them."""
        self.app = app
        self._match = partial(match, table=table_with(passthrough))
        self._known = lru_cache(maxsize=MOST_KNOWN)(self._match)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        refuse_ambiguous(exchange.headers, exchange.named)
        if exchange.query:
            refuse_ambiguous_query(exchange.query)
        try:
            segments = route_path(scope).segments
            exchange.match = (self._known if len(scope["path"]) <= USUAL else self._match)(exchange.method, segments)
        except (InvalidRequest, NotFound):
            found = looked_up(exchange.method, segments_as_sent(scope))
            if found is None:
                raise
            exchange.match = found
        return self.app(scope, receive, send)
