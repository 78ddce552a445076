"""How many calls an upstream is given at once."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from ..config import Upstream
from ..errors import UpstreamFull

RETRY_AFTER = 1
"""Seconds that a refused caller is asked to wait."""


class Slots:
    """A counted limit with a line in front of it, first come first served, on one event loop."""

    __slots__ = ("_limit", "_line", "in_use")

    def __init__(self, limit: int) -> None:
        self.in_use = 0
        self._limit = limit
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def idle(self) -> bool:
        return not self.in_use and not self._line

    def resize(self, limit: int) -> None:
        """A smaller limit ends no call: it holds once enough calls have ended."""
        self._limit = limit
        self._admit()

    async def enter(self, patience: float) -> None:
        """Waits for a slot, ``patience`` seconds at most; then ``UpstreamFull``."""
        if self.in_use < self._limit:
            self.in_use += 1
            return
        if patience <= 0:
            raise _full()
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            async with asyncio.timeout(patience):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave()  # the slot was handed over in the same moment
            elif turn in self._line:
                self._line.remove(turn)
            if isinstance(error, TimeoutError):
                raise _full() from error
            raise

    def leave(self) -> None:
        """Gives the slot to the next in line."""
        self.in_use -= 1
        self._admit()

    def _admit(self) -> None:
        while self._line and self.in_use < self._limit:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                self.in_use += 1


def _full() -> UpstreamFull:
    return UpstreamFull(
        "This model's upstream is at its limit; try again shortly.", headers=((b"retry-after", b"%d" % RETRY_AFTER),)
    )


class AllSlots:
    """The slots of every upstream that has a limit, by event loop; kept while somebody holds or awaits one."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Slots]] = WeakKeyDictionary()

    def in_use(self) -> Counter[str]:
        """How many are held, by upstream."""
        held: Counter[str] = Counter()
        for by_name in list(self._loops.values()):
            held.update({name: slots.in_use for name, slots in by_name.items()})
        return held

    @asynccontextmanager
    async def of(self, upstream: Upstream, patience: float) -> AsyncIterator[None]:
        """Holds one of its slots; raises ``UpstreamFull`` when none came free within ``patience`` seconds."""
        limit = upstream.max_concurrency
        assert limit is not None
        by_name = self._loops.setdefault(asyncio.get_running_loop(), {})
        slots = by_name.setdefault(upstream.name, Slots(limit))
        slots.resize(limit)
        try:
            await slots.enter(patience)
            try:
                yield
            finally:
                slots.leave()
        finally:
            if slots.idle:
                by_name.pop(upstream.name, None)
