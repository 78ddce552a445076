"""Whether another site's page may be behind a request: browsers send some credentials along whichever page asks.

``Sec-Fetch-Site`` is set by browsers and cannot be set by pages (W3C Fetch Metadata); browsers without it send an
``Origin`` with all but GET and HEAD (RFC 6454). Over plain HTTP there is no ``Sec-Fetch-Site`` either. Headers that a
page wants to add are asked of the host before (CORS, Fetch section 3.3), so what brings one of those is no stranger's.
"""

from __future__ import annotations

from dataclasses import dataclass

from .asgi import NamedHeaders, RawHeaders, Scope

OWN_HEADERS = frozenset({b"api-key", b"x-api-key"})
"""Credentials that no page can make a browser send by itself, beside ``Authorization: Bearer``."""

BROWSERS_OWN_SCHEMES = frozenset({b"basic", b"digest", b"negotiate", b"ntlm"})
"""Schemes of ``Authorization`` that browsers answer a challenge with, and go on sending by themselves."""

_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


@dataclass(frozen=True, slots=True)
class OriginRule:
    """What a host says of its own credentials and pages; names are lower-case."""

    trusted_origins: frozenset[bytes] = frozenset()
    credential_headers: frozenset[bytes] = frozenset()
    """More that no page can send by itself. ``authorization`` among them: schemes that no browser sends by itself."""
    ambient_bearer: bool = False
    """Whether a proxy adds bearer tokens, so that they are there whoever asks."""

    def ambient(self, headers: RawHeaders, named: NamedHeaders) -> str | None:
        """The credential that a browser sends whichever page asks, where it alone makes the caller known; else None."""
        schemes = {_scheme(value) for name, value in headers if name == b"authorization"}
        if not (OWN_HEADERS | self.credential_headers - {b"authorization"}).isdisjoint(named):
            return None
        if any(map(self._is_own, schemes)):
            return None
        if b"cookie" in named:
            return "a cookie"
        browsers = schemes & BROWSERS_OWN_SCHEMES | (schemes & {b"bearer"} if self.ambient_bearer else set())
        return f"`Authorization: {min(browsers).decode().capitalize()}`" if browsers else None

    def _is_own(self, scheme: bytes) -> bool:
        if scheme == b"bearer":
            return not self.ambient_bearer
        return b"authorization" in self.credential_headers and scheme not in BROWSERS_OWN_SCHEMES

    def admits(self, scope: Scope, headers: RawHeaders, *, harmless: bool) -> bool:
        """Whether a request with nothing but ambient credentials may be served.

        ``harmless``: it only reads, and another site's page could not see the answer. It need not say whose page asks.
        """
        origins = _values(headers, b"origin")
        sites = _values(headers, b"sec-fetch-site")
        if not origins and not sites:
            return harmless or any(
                _scheme(value) in BROWSERS_OWN_SCHEMES for name, value in headers if name == b"authorization"
            )
        if len(origins) == 1 and origins[0] in self.trusted_origins:
            return True
        if sites:
            return sites in ([b"same-origin"], [b"none"])
        return origins == [_own_origin(scope, headers)]


def _values(headers: RawHeaders, wanted: bytes) -> list[bytes]:
    return [value.strip().lower() for name, value in headers if name == wanted]


def _scheme(value: bytes) -> bytes:
    """The scheme of an ``Authorization`` (RFC 9110, 11.4), lower-case."""
    return value.split(None, 1)[0].lower() if value.strip() else b""


def _own_origin(scope: Scope, headers: RawHeaders) -> bytes | None:
    """The origin of the host's pages as the request names it, as browsers write origins."""
    hosts = _values(headers, b"host")
    if len(hosts) != 1 or not hosts[0]:
        return None
    scheme: bytes = scope.get("scheme", "http").encode()
    return scheme + b"://" + hosts[0].removesuffix(_DEFAULT_PORTS.get(scheme, b""))
