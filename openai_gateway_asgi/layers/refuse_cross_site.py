"""Callers whom a browser makes known by itself: from the host's own site only."""

from __future__ import annotations

from collections.abc import Awaitable

from ..api.endpoints import PASSTHROUGH, Kind
from ..errors import CrossSite
from ..exchange import Exchange
from ..host.notices import shown
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.cross_site import OriginRule

SAFE = ("GET", "HEAD")
TOLD = (b"sec-fetch-site", b"origin", b"host")
"""Headers that are told in the log of a refusal."""


class RefuseCrossSite:
    """A browser sends cookies along with what other sites' pages ask for; this is what tells their requests apart.

    A request is judged where nothing but such credentials says who asks, unless the host's own route has judged it.
    """

    def __init__(self, app: ASGIApp, *, rule: OriginRule) -> None:
        self.app = app
        self._rule = rule
        self._bearer_suffices = not rule.ambient_bearer

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        named = exchange.named
        authorization = named.get(b"authorization")
        if authorization is None:
            judged = b"cookie" in named
        else:
            judged = not self._bearer_suffices or authorization[:7].lower() != b"bearer "
        if judged and not exchange.checked_origin:
            self._judge(exchange, scope)
        return self.app(scope, receive, send)

    def _judge(self, exchange: Exchange, scope: Scope) -> None:
        known_by = self._rule.ambient(exchange.headers, exchange.named)
        if known_by is not None and not self._rule.admits(scope, exchange.headers, harmless=_is_harmless(exchange)):
            raise _refusal(exchange, known_by)


def _is_harmless(exchange: Exchange) -> bool:
    """Reading by the API's own table: no other site's page sees the answer. A path opened by hand may do anything."""
    endpoint = exchange.match.endpoint
    own = endpoint.kind is not Kind.ADMIN and endpoint.group != PASSTHROUGH
    return own and exchange.method in SAFE and b"upgrade" not in exchange.named


def _refusal(exchange: Exchange, known_by: str) -> CrossSite:
    named = exchange.named
    told = [name for name in TOLD[:2] if name in named]
    param = (told or TOLD)[0].decode()
    why = f"its `{param}` is not that of the application's own pages" if told else "it says nothing of the page"
    error = CrossSite(
        f"This request is known by {known_by} alone, which browsers send for the pages of any site, and {why}. Send a "
        "credential in a header of its own (`Authorization: Bearer`, `api-key`, `x-api-key`), or call from the "
        "application's own pages: a program says so with `Sec-Fetch-Site: same-origin`.",
        param=param,
    )
    headers = [f"{name.decode()}: {shown(named[name])}" for name in TOLD if name in named]
    error.seen = ", ".join([known_by.replace("`", ""), *headers])
    return error
