"""Stopping without cutting anybody off: new calls are refused, and those under way get a deadline."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import Any

from ..errors import GatewayDraining
from .cancellation import Deadline

logger = logging.getLogger("openai_gateway_asgi")


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
        self._end = min(self._end, monotonic() + within)
        for deadline in self._under_way:
            deadline.end_by(self._end, ended_by_drain)

    def enter(self, deadline: Deadline) -> None:
        """From now on ``deadline`` ends in ``GatewayDraining`` when the time of draining is up."""
        self._under_way.add(deadline)

    def leave(self, deadline: Deadline) -> None:
        self._under_way.discard(deadline)

    @contextmanager
    def on_signal(self, signum: int, within: float) -> Iterator[None]:
        """Only the main thread may say what a signal does; on another one this does nothing, and says so in the log."""
        if threading.current_thread() is not threading.main_thread():
            logger.warning(
                "drain_on does nothing here: signals are heard on the main thread only, and this is the thread %r, as "
                "in test clients. Call begin_drain() where this process learns that it is to stop.",
                threading.current_thread().name,
            )
            yield
            return
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
