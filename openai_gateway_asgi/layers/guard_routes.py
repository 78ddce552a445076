"""What a request says of routes."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from ..bodies.body_rules import refused_route
from ..exchange import Exchange
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..models import Candidate


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
        if exchange.candidates and not exchange.narrow(partial(_takes, name)):
            raise refused_route(name, name)
        exchange.fallbacks = tuple(
            [
                route
                for route in exchange.fallbacks
                if all(_takes(name, each) for way in route.ways for each in way.candidates)
            ]
        )


def _takes(name: str, candidate: Candidate) -> bool:
    return not candidate.upstream.refuses_route(name)
