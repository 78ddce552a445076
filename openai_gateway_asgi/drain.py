"""The way to a stop that cuts nobody off: no new calls, and an end in sight for those under way."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .errors import GatewayDraining
from .interrupts import Deadline


def ended_by_drain() -> GatewayDraining:
    return GatewayDraining("The gateway is restarting and could not wait for the end of this answer.")


class Drain:
    """Whether this process is about to stop, and the deadlines of everything that is still under way."""

    def __init__(self) -> None:
        self.active = False
        self._end = float("inf")
        self._under_way: set[Deadline] = set()

    def begin(self, within: float) -> None:
        """``within`` is in seconds. A second call can only bring the end nearer."""
        self.active = True
        self._end = min(self._end, asyncio.get_running_loop().time() + within)
        for deadline in self._under_way:
            deadline.end_by(self._end, ended_by_drain)

    @contextmanager
    def bound(self) -> Iterator[None]:
        """Ends the block in ``GatewayDraining`` at the deadline, if draining begins while it runs."""
        with Deadline() as deadline:
            self._under_way.add(deadline)
            try:
                yield
            finally:
                self._under_way.discard(deadline)

    @contextmanager
    def on_signal(self, signum: int, within: float) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        before: Any = signal.getsignal(signum)

        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin, within)
            if callable(before):
                before(number, frame)

        signal.signal(signum, handle)
        try:
            yield
        finally:
            if signal.getsignal(signum) is handle:
                signal.signal(signum, before)
