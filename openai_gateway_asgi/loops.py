"""A gateway that was configured to call itself, directly or through others, is told so instead of calling for ever."""

from __future__ import annotations

import re
import secrets

from .asgi import RawHeaders
from .errors import LoopDetected
from .headers import header

NAME = b"x-gateway-hops"
MOST_HOPS = 8

_HOPS = re.compile(rb"[0-9a-f]{16}(?:,[0-9a-f]{16})*")


class LoopGuard:
    """Signs what goes upstream with an id of this process, and refuses what comes back signed."""

    def __init__(self) -> None:
        self._id = secrets.token_hex(8).encode()

    def check(self, headers: RawHeaders) -> None:
        hops = _hops(headers)
        if self._id in hops or hops.count(b",") >= MOST_HOPS - 1:
            raise LoopDetected("This gateway is configured as its own upstream.")

    def header(self, headers: RawHeaders) -> tuple[bytes, bytes]:
        hops = _hops(headers)
        return (NAME, hops + b"," + self._id if hops else self._id)


def _hops(headers: RawHeaders) -> bytes:
    """What gateways wrote there; what anybody else did is dropped."""
    value = header(headers, NAME) or b""
    return value if _HOPS.fullmatch(value) else b""
