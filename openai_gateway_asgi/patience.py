"""How long a body is waited for. Looked at now and then for all calls at once: most bodies are there with their head,
and a timer for each of them would cost more than reading it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from weakref import WeakKeyDictionary

from .asgi import Message, Receive, read_body
from .errors import RequestTimeout

LOOKS = 8
"""How often in the time that is allowed."""


@dataclass(slots=True, eq=False)
class _Wait:
    task: asyncio.Task[object]
    cancelling: int
    since: float
    """When the last piece came."""
    until: float
    over: bool = False


class Patience:
    """Reads bodies whose pieces come less than ``idle`` seconds apart, and the whole in ``total``; others are a 408."""

    def __init__(self, idle: float, total: float = 3600.0) -> None:
        self._idle = idle
        self._total = total
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, set[_Wait]] = WeakKeyDictionary()

    async def read(self, receive: Receive, limit: int, loop: asyncio.AbstractEventLoop) -> bytes:
        """As ``read_body``; raises ``RequestTimeout`` too."""
        task = asyncio.current_task(loop)
        assert task is not None
        now = monotonic()
        wait = _Wait(task, task.cancelling(), now, now + self._total)

        async def noting() -> Message:
            message = await receive()
            wait.since = monotonic()
            return message

        waits = self._enter(wait, loop)
        try:
            return await read_body(noting, limit)
        except asyncio.CancelledError as error:
            if wait.over and task.uncancel() <= wait.cancelling:
                raise RequestTimeout("The request body stalled, or took too long.") from error
            raise
        finally:
            waits.discard(wait)

    def _enter(self, wait: _Wait, loop: asyncio.AbstractEventLoop) -> set[_Wait]:
        waits = self._loops.get(loop)
        if waits is None:
            waits = self._loops[loop] = set()
            self._look_later(loop)
        waits.add(wait)
        return waits

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(self._idle / LOOKS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        waits, now = self._loops[loop], monotonic()
        for wait in waits:
            if not wait.over and now > min(wait.since + self._idle, wait.until):
                wait.over = True
                wait.task.cancel()
        if waits:
            self._look_later(loop)
        else:
            del self._loops[loop]  # whoever comes next looks again
