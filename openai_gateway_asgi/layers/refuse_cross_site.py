"""Callers known by a cookie alone: from the host's own site only."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from ..errors import PermissionDenied
from ..exchange import Exchange
from ..http.asgi import ASGIApp, RawHeaders, Receive, Scope, Send

CREDENTIALS = frozenset({b"authorization", b"api-key", b"x-api-key"})
"""Headers that no other site's page can make a browser send along by itself."""


class RefuseCrossSite:
    """A browser sends cookies along with what other sites' pages ask for; this is what tells their requests apart.

    ``Sec-Fetch-Site`` is set by browsers and cannot be set by pages (W3C Fetch Metadata). Browsers without it send an
    ``Origin``, which must be the host's own or one of ``trusted_origins``.
    """

    def __init__(self, app: ASGIApp, *, trusted_origins: Iterable[str] = ()) -> None:
        self.app = app
        self._trusted = frozenset(origin.lower().encode("ascii") for origin in trusted_origins)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        names = exchange.named
        if b"cookie" in names and CREDENTIALS.isdisjoint(names) and not self._same_site(scope, exchange.headers):
            raise PermissionDenied(
                "Requests that are known by a cookie alone are served to the application's own pages only; "
                "send an Authorization header, or have this origin added to trusted_origins.",
                code="cross_site_request",
            )
        return self.app(scope, receive, send)

    def _same_site(self, scope: Scope, headers: RawHeaders) -> bool:
        origins = [value.lower() for name, value in headers if name == b"origin"]
        if len(origins) == 1 and origins[0] in self._trusted:
            return True
        sites = [value.lower() for name, value in headers if name == b"sec-fetch-site"]
        if sites:
            return sites in ([b"same-origin"], [b"none"])
        hosts = [value.lower() for name, value in headers if name == b"host"]
        return len(hosts) == 1 and origins == [scope.get("scheme", "http").encode() + b"://" + hosts[0]]
