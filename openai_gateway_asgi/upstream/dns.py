"""Names of upstreams, looked up in threads of their own.

How many hang is bounded by the connector: it looks a name up once at a time, however many calls wait.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from aiohttp import ThreadedResolver

from ..http.threads import in_own_thread


def resolver() -> ThreadedResolver:
    """aiohttp's, which asks a loop for nothing but these two."""
    return ThreadedResolver(cast(asyncio.AbstractEventLoop, _LookUps()))


class _LookUps:
    async def getaddrinfo(self, host: str, port: int, **options: Any) -> Any:
        return await in_own_thread("look-up", lambda: socket.getaddrinfo(host, port, **options))

    async def getnameinfo(self, address: Any, flags: int = 0) -> Any:
        return await in_own_thread("look-up", lambda: socket.getnameinfo(address, flags))
