"""A gateway that was configured to call itself, directly or through others, is told so instead of calling for ever."""

from __future__ import annotations

import secrets

from .asgi import RawHeaders
from .errors import LoopDetected
from .headers import header

NAME = b"x-gateway-hops"
MOST_HOPS = 8


class LoopGuard:
    """Signs what goes upstream with an id of this process, and refuses what comes back signed."""

    def __init__(self) -> None:
        self._id = secrets.token_hex(8).encode()

    def check(self, headers: RawHeaders) -> None:
        hops = header(headers, NAME)
        if hops is not None and (self._id in hops or hops.count(b",") >= MOST_HOPS - 1):
            raise LoopDetected("This gateway is configured as its own upstream.")

    def header(self, headers: RawHeaders) -> tuple[bytes, bytes]:
        hops = header(headers, NAME)
        return (NAME, self._id if hops is None else hops[:256] + b"," + self._id)
