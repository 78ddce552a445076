"""Names of upstreams, looked up in threads of their own.

Not in the event loop's pool of threads: a few look-ups that hang would fill it, for every other upstream and for the
host's own work in threads, and a loop that ends waits for it. How many hang is bounded by the connector: it looks a
name up once at a time, however many calls wait.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any, cast

from aiohttp import ThreadedResolver


def resolver() -> ThreadedResolver:
    """aiohttp's, which asks a loop for nothing but these two."""
    return ThreadedResolver(cast(asyncio.AbstractEventLoop, _LookUps()))


class _LookUps:
    async def getaddrinfo(self, host: str, port: int, **options: Any) -> Any:
        return await _in_thread(lambda: socket.getaddrinfo(host, port, **options))

    async def getnameinfo(self, address: Any, flags: int = 0) -> Any:
        return await _in_thread(lambda: socket.getnameinfo(address, flags))


async def _in_thread(ask: Callable[[], Any]) -> Any:
    answer: Future[Any] = Future()
    answer.set_running_or_notify_cancel()  # a thread that hangs outlives those who wait for it

    def run() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:
            answer.set_exception(error)

    Thread(target=run, name="look-up", daemon=True).start()
    return await asyncio.wrap_future(answer)
