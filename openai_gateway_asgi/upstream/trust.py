"""The TLS contexts of connections to upstreams."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from ..config import Upstream


class Trust:
    """One context for each kind of trust, however many upstreams share it: making one takes some 20 ms."""

    def __init__(self, for_all: bool | str) -> None:
        """``for_all`` is ``Settings.verify_tls``; a file that it names stands in the system's place."""
        self._for_all = _context(for_all, added=False)
        self._own: dict[bool | str, ssl.SSLContext] = {}

    def context(self, upstream: Upstream) -> ssl.SSLContext:
        """The upstream's own ``verify_tls``, where it has one: a file that it names is added to the system's."""
        own = upstream.verify_tls
        if own is None:
            return self._for_all
        known = self._own.get(own)
        if known is None:
            known = self._own[own] = _context(own, added=True)
        return known

    def keep_only(self, upstreams: Iterable[Upstream]) -> None:
        current = {upstream.verify_tls for upstream in upstreams}
        self._own = {own: context for own, context in self._own.items() if own in current}


def _context(trust: bool | str, *, added: bool) -> ssl.SSLContext:
    if isinstance(trust, str) and not added:
        return ssl.create_default_context(cafile=trust)
    context = ssl.create_default_context()
    if isinstance(trust, str):
        context.load_verify_locations(cafile=trust)
    elif not trust:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
