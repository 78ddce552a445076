"""What a request says of routes."""

from __future__ import annotations

from collections.abc import Awaitable

from ..bodies.body_rules import refused_route
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send


class GuardRoutes:
    """A field that only some upstreams take (``Upstream(route_fields=...)``) reaches no other."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        if exchange.routes:
            _keep_to_takers(exchange)
        return self.app(scope, receive, send)


def _keep_to_takers(exchange: Exchange) -> None:
    for name in exchange.routes:
        left = tuple([each for each in exchange.candidates if not each.upstream.refuses_route(name)])
        if exchange.candidates and not left:
            raise refused_route(name, name)
        exchange.candidates = left
        exchange.fallbacks = tuple(
            [route for route in exchange.fallbacks if not any(c.upstream.refuses_route(name) for c in route.candidates)]
        )
