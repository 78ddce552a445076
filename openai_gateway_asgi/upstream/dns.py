"""Names of upstreams, looked up in threads of their own.

However many calls wait for a name, and to however many upstreams of one host, it is looked up once at a time: so the
threads that hang are as many as the names.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Any, cast

from aiohttp import ThreadedResolver

from ..http.threads import in_own_thread
from .singleflight import SingleFlight

Question = tuple[str, int, tuple[tuple[str, Any], ...]]

_under_way: SingleFlight[Question, Any] = SingleFlight()


def resolver() -> ThreadedResolver:
    """aiohttp's, which asks a loop for nothing but these two."""
    return ThreadedResolver(cast(asyncio.AbstractEventLoop, _LookUps()))


class _LookUps:
    async def getaddrinfo(self, host: str, port: int, **options: Any) -> Any:
        ask = partial(socket.getaddrinfo, host, port, **options)
        question = (host, port, tuple(sorted(options.items())))
        return await _under_way.do(question, partial(in_own_thread, "look-up", ask))

    async def getnameinfo(self, address: Any, flags: int = 0) -> Any:
        return await in_own_thread("look-up", lambda: socket.getnameinfo(address, flags))
