"""Bursts: calls that come all at once begin one after the other, and the host's own work has its turns in between.

Without it an event loop whose thousand clients connect in one moment does nothing else until all thousand calls have
begun, which takes it a tenth of a second. Calls that have begun are also cheaper when fewer begin together: what they
need is still in the processor's caches.
"""

from __future__ import annotations

import asyncio
from collections import deque

MOST = 16
"""Calls that begin in one turn of the event loop; some two milliseconds of it."""


class Turns:
    """The line in front of one event loop's calls."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._begun = 0
        self._line: deque[asyncio.Future[None]] = deque()

    def may_begin(self) -> bool:
        """Whether a call may begin in this turn; if not, it is to ``wait``."""
        if self._begun >= MOST:
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
        while self._line and self._begun < MOST:
            place = self._line.popleft()
            if not place.done():  # who was cancelled has left the line
                place.set_result(None)
                self._begun += 1
        if self._begun:
            self._loop.call_soon(self._next)
