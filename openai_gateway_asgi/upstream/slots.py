"""How many calls an upstream is given at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from ..config import Upstream
from ..errors import GatewayBusy

RETRY_AFTER = 1
"""Seconds that a refused caller is asked to wait."""


class Slots:
    """A counted limit with a line in front of it, first come first served, on one event loop."""

    __slots__ = ("_line", "in_use", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0
        self._line: deque[asyncio.Future[None]] = deque()

    async def enter(self, patience: float) -> None:
        """Waits for a slot, ``patience`` seconds at most; then ``GatewayBusy``."""
        if self.in_use < self.limit:
            self.in_use += 1
            return
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
                raise GatewayBusy(
                    "This model's upstream is at its limit; try again shortly.",
                    headers=((b"retry-after", b"%d" % RETRY_AFTER),),
                ) from error
            raise

    def leave(self) -> None:
        """Gives the slot to the next in line."""
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.in_use -= 1


class AllSlots:
    """The slots of every upstream that has a limit, by event loop."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Slots]] = WeakKeyDictionary()

    @asynccontextmanager
    async def of(self, upstream: Upstream, patience: float) -> AsyncIterator[None]:
        """Holds one of the upstream's slots; raises ``GatewayBusy`` when none came free within ``patience`` seconds."""
        limit = upstream.max_concurrency
        if limit is None:
            yield
            return
        by_name = self._loops.setdefault(asyncio.get_running_loop(), {})
        slots = by_name.setdefault(upstream.name, Slots(limit))
        slots.limit = limit
        await slots.enter(patience)
        try:
            yield
        finally:
            slots.leave()
