"""How long calls wait for a server: by how long it is silent, not by how many wait for it.

Hundreds of calls that come at once take this process longer than a server may be silent. As long as it answers any of
them the others go on waiting; what this process is busy with meanwhile is not the server's silence either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")

LOOKS = 10
"""Times that a silence is looked at until it is too long. A loop that is late looks later, and not at once again."""
LONGEST = 100
"""Silences that one may wait in all, for a server that answers others alone."""


class Patience:
    """That with one server, of all event loops."""

    def __init__(self) -> None:
        self.answers = 0
        """How many came."""

    async def answer(self, work: Awaitable[T], silence: float) -> T:
        """What ``work`` gives. Raises ``TimeoutError`` once nothing was answered for ``silence`` seconds."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(None) as clock:
            watch = _Watch(self, clock, loop, silence)
            try:
                given = await work
            finally:
                watch.next.cancel()
        self.answers += 1
        return given


class _Watch:
    def __init__(
        self, patience: Patience, clock: asyncio.Timeout, loop: asyncio.AbstractEventLoop, silence: float
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._loop = loop
        self._between = silence / LOOKS
        self._seen = patience.answers
        self._left = LOOKS
        now = loop.time()
        self._ends = now + silence * LONGEST
        self._due = now + self._between
        self.next = loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if self._seen != self._patience.answers:
            self._seen, self._left = self._patience.answers, LOOKS
        else:
            self._left -= 1
        if self._left and now < self._ends:
            self._due = max(self._due + self._between, now)
            self.next = self._loop.call_at(self._due, self._look)
        else:
            self._clock.reschedule(now)
