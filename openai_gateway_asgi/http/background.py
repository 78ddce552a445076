"""Tasks that may outlive the request that began them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

CLOSING = 5.0
"""Seconds that are left to them when the gateway closes."""
LAST = 1.0
"""Seconds for what they begin as they end."""


class Background:
    """Keeps its tasks, since an event loop holds them weakly, and ends them with their gateway."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """Waits ``CLOSING`` seconds for those of this event loop, and cancels what is still at work; a moment more for
        what those began as they ended."""
        loop = asyncio.get_running_loop()
        for seconds in (CLOSING, LAST):
            ours = {task for task in tuple(self._tasks) if task.get_loop() is loop}
            if not ours:
                return
            _, late = await asyncio.wait(ours, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
