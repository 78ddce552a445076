"""``ALLOWED_HOSTS``, which Django applies where its own code asks for the host: not beside it."""

from __future__ import annotations

import functools

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest

from ...http.asgi import Scope

Meta = tuple[tuple[str, str], ...]


def refused_host(scope: Scope) -> str | None:
    """The name under which the request came, where the site is not served under it."""
    names = _META if settings.USE_X_FORWARDED_HOST else _META[:1]
    told: list[tuple[str, str]] = []
    for name, meta in names:
        values = [value for key, value in scope["headers"] if key == name]
        if values:
            told.append((meta, b",".join(values).decode("latin-1")))
    if not told:
        told = _of_server(scope)
    if _is_allowed(tuple(told), tuple(settings.ALLOWED_HOSTS), settings.DEBUG, settings.USE_X_FORWARDED_HOST):
        return None
    return told[-1][1] if told else ""


_META = ((b"host", "HTTP_HOST"), (b"x-forwarded-host", "HTTP_X_FORWARDED_HOST"))


def _of_server(scope: Scope) -> list[tuple[str, str]]:
    """Where no host was told (HTTP/1.0), the server's own address counts, as with Django."""
    name, port = scope.get("server") or ("unknown", 0)
    return [("SERVER_PORT", str(port)), ("SERVER_NAME", str(name))]


@functools.lru_cache(maxsize=256)
def _is_allowed(meta: Meta, allowed: tuple[str, ...], debug: bool, forwarded: bool) -> bool:
    """Django's own verdict, which takes longer than all that the gateway does to know where a request belongs.

    All that it reads from the settings is in the arguments, so that it is asked again when one of them changes.
    """
    request = HttpRequest()
    request.META = dict(meta)
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True
