"""A gateway that was configured to call itself, directly or through others, refuses instead of calling for ever."""

from __future__ import annotations

import re
import secrets

from ..errors import LoopDetected
from .asgi import NamedHeaders

NAME = b"x-gateway-hops"
MOST_HOPS = 8
"""Gateways that one call may pass through."""

_HOPS = re.compile(rb"[0-9a-f]{16}(?:,[0-9a-f]{16})*")


class LoopGuard:
    """Signs what goes upstream with an id of this process, and refuses what comes back signed."""

    def __init__(self) -> None:
        self._id = secrets.token_hex(8).encode()
        self._first = (NAME, self._id)

    def check(self, headers: NamedHeaders) -> None:
        if NAME not in headers:
            return
        hops = _hops(headers)
        if self._id in hops or hops.count(b",") >= MOST_HOPS - 1:
            raise LoopDetected("This gateway is configured as its own upstream; its operator has to change that.")

    def header(self, headers: NamedHeaders) -> tuple[bytes, bytes]:
        if NAME not in headers:
            return self._first
        hops = _hops(headers)
        return (NAME, hops + b"," + self._id) if hops else self._first


def _hops(headers: NamedHeaders) -> bytes:
    """What gateways wrote there; what anybody else did is dropped."""
    value = headers.get(NAME, b"")
    return value if _HOPS.fullmatch(value) else b""
