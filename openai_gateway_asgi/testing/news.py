"""Whoever waits for something to happen at a fake upstream, from any event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class News:
    """``tell`` wakes all who wait, also from another thread: the upstream may serve from one of its own."""

    def __init__(self) -> None:
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def tell(self) -> None:
        for loop, event in tuple(self._waiting):
            loop.call_soon_threadsafe(event.set)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Looks again whenever there are news."""
        waiting = (asyncio.get_running_loop(), asyncio.Event())
        self._waiting.add(waiting)
        try:
            while not holds():
                await waiting[1].wait()
                waiting[1].clear()
        finally:
            self._waiting.discard(waiting)
