"""``ALLOWED_HOSTS`` for the gateway: Django applies it only where its own code asks for the host."""

from __future__ import annotations

import functools
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.signals import setting_changed
from django.http import HttpRequest

from ...http.asgi import Scope


def refused_host(scope: Scope) -> str | None:
    """The name under which the request came, where the site is not served under it."""
    host = _host(scope)
    try:
        _require_allowed(host)
    except DisallowedHost:
        return host.decode("latin-1")
    return None


def _host(scope: Scope) -> bytes:
    for name in _headers():
        values = [value for key, value in scope["headers"] if key == name]
        if values:
            return b",".join(values)
    # Where no host was told (HTTP/1.0) the server's own address counts, as with Django.
    server: tuple[str, int | None] = scope.get("server") or ("unknown", 0)
    return "{}:{}".format(*server).encode("latin-1", "replace")


@functools.lru_cache(maxsize=1)
def _headers() -> tuple[bytes, ...]:
    """Those that tell the host, the first of them that is there."""
    return (b"x-forwarded-host", b"host") if settings.USE_X_FORWARDED_HOST else (b"host",)


@functools.lru_cache(maxsize=256)
def _require_allowed(host: bytes) -> None:
    """Django's own verdict, which takes longer than it takes the gateway to find out where a request belongs.

    Only names that are allowed are remembered. Raises ``DisallowedHost`` for the others.
    """
    request = HttpRequest()
    request.META = {"HTTP_HOST": host.decode("latin-1")}
    request.get_host()


def _forget(*, setting: str, **changed: Any) -> None:
    """Settings stay as they are, but in tests."""
    if setting in ("ALLOWED_HOSTS", "DEBUG", "USE_X_FORWARDED_HOST"):
        _headers.cache_clear()
        _require_allowed.cache_clear()


setting_changed.connect(_forget)
