"""Bursts: calls that come all at once begin one after the other, and the host's own work has its turns in between.

Without it an event loop whose thousand clients connect in one moment does nothing else until all thousand calls have
begun, which takes it a tenth of a second. Calls that have begun are also cheaper when fewer begin together: what they
need is still in the processor's caches.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from typing import TypeVar, cast

T = TypeVar("T")

MOST = 16
"""Calls that begin in one turn of the event loop; some two milliseconds of it."""
SLICES = 4
"""Pieces of long work that are done in one turn, each of a millisecond or two."""


LONG = 1024 * 1024
"""Bytes that are looked at in one go, between two turns for others."""


async def others_after(size: int) -> None:
    """A turn for others, behind a look at so many bytes."""
    if size > LONG:
        await asyncio.sleep(0)


class Turns:
    """The line in front of one event loop's calls. ``most``: how many may begin in one turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int = MOST) -> None:
        self._loop = loop
        self._most = most
        self._begun = 0
        self._line: deque[asyncio.Future[None]] = deque()

    def may_begin(self) -> bool:
        """Whether a call may begin in this turn; if not, it is to ``wait``."""
        if self._begun >= self._most:
            return False
        if not self._begun:
            self._loop.call_soon(self._next)
        self._begun += 1
        return True

    async def wait(self) -> None:
        place = self._loop.create_future()
        self._line.append(place)
        if not self._begun:
            self._loop.call_soon(self._next)
        await place

    def _next(self) -> None:
        self._begun = 0
        while self._line and self._begun < self._most:
            place = self._line.popleft()
            if not place.done():  # who was cancelled has left the line
                place.set_result(None)
                self._begun += 1
        if self._begun:
            self._loop.call_soon(self._next)


async def in_turns(steps: Generator[None, None, T], line: Turns) -> T:
    """Runs the steps, and gives their result. After each one other calls have a turn; a single step never waits."""
    while True:
        try:
            next(steps)
        except StopIteration as over:
            return cast("T", over.value)
        await line.wait()


def at_once(steps: Generator[None, None, T]) -> T:
    """Runs the steps, and gives their result, with no turns for others in between."""
    while True:
        try:
            next(steps)
        except StopIteration as over:
            return cast("T", over.value)
