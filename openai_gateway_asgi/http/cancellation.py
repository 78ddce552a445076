"""The two things that stop a request from outside: its client leaves, or its upstream is out of time.

Both cancel the task they were entered in and turn that cancellation, and only that one, into an exception of their own
(the protocol of ``asyncio.timeout``). A cancellation that somebody else asked for passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from time import monotonic
from types import TracebackType
from typing import Self

from ..errors import ClientDisconnected
from .asgi import Message, Receive
from .timers import GRACE, Clock

LOOK_AGAIN = 30.0
"""Seconds after which a deadline's timer looks again at the latest. Moving the deadline within them costs nothing."""

_NEVER = float("inf")

Due = tuple[float, Callable[[], Exception]]
"""When, in seconds of ``time.monotonic``, and what is raised then."""


class ClientWatch:
    """Listens for the disconnect while the block runs; ``ClientDisconnected`` comes out of it when the client leaves.

    Servers do not fail ``send`` on a dead client: without this an upstream would be read, and billed, to its end.
    ``receive`` is what inner layers may call instead: it tells the disconnect, and nothing else.
    """

    __slots__ = ("_cancelling", "_clock", "_context", "_interrupted", "_over", "_receive", "_task", "_watcher")

    def __init__(self, receive: Receive, clock: Clock, *, over: Callable[[], bool]) -> None:
        """``over`` tells whether the answer is complete: a client that leaves then has missed nothing."""
        self._clock = clock
        self._receive = receive
        self._over = over
        self._interrupted = False
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._clock.loop)
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        # A call that is over soon needs no watcher, which costs as much as a tenth of a small call.
        self._context = copy_context()
        self._clock.enter(self)
        return self

    def stayed(self) -> None:
        self._clock.leave(self)
        self._watcher = self._clock.loop.create_task(self._watch(), context=self._context)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._over():
            self._interrupted = True
            self._task.cancel()

    async def receive(self) -> Message:
        if self._watcher is None:
            self.stayed()
        assert self._watcher is not None
        await asyncio.wait({self._watcher})
        return {"type": "http.disconnect"}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._clock.leave(self)
        if self._watcher is not None:
            self._watcher.cancel()
            # Its cancellation holds its frame, and so this watch: a cycle, which would keep the body for long.
            self._watcher = None
        if self._interrupted and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise ClientDisconnected from error


class Deadline:
    """A moment that can be moved; when it passes, the block ends in the failure it was set with.

    Moving it costs no timer: the one that is set looks again when it fires.
    """

    __slots__ = (
        "__weakref__",
        "_armed",
        "_ask",
        "_at",
        "_cancelling",
        "_clock",
        "_expired",
        "_failure",
        "_handle",
        "_last",
        "_task",
    )

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock.of(asyncio.get_running_loop())
        self._handle: asyncio.TimerHandle | None = None
        self._armed = _NEVER
        self._at = _NEVER
        self._last: Due | None = None
        self._ask: Callable[[], Due] | None = None
        self._expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._clock.loop)
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def move(self, at: float, failure: Callable[[], Exception]) -> None:
        """``at`` is in seconds of ``time.monotonic``; ``failure`` makes what is raised when it comes."""
        self._at = at
        self._failure = failure
        if at < self._armed:
            self._wait()

    def follow(self, ask: Callable[[], Due]) -> None:
        """From now on the timer asks ``ask`` for the moment, so that the deadline need not be moved for each clock.

        ``ask`` may also give a moment at which to ask again. The timer asks for the first time soon.
        """
        self._ask = ask
        if self._armed == _NEVER:
            self._armed = monotonic() + GRACE
            self._clock.enter(self)

    def look(self, at: float) -> None:
        """``ask`` is to be asked again at that time."""
        if at < self._armed:
            self._at = at
            self._wait()

    def end_by(self, at: float, failure: Callable[[], Exception]) -> None:
        """However it is moved, the deadline is never later than ``at``."""
        self._last = (at, failure)
        if at < self._armed:
            self._wait()

    @property
    def _due(self) -> float:
        return self._at if self._last is None else min(self._at, self._last[0])

    def _wait(self) -> None:
        """A block that is over soon needs no timer."""
        now = monotonic()
        if self._armed == _NEVER and self._due - now > GRACE:
            self._armed = now + GRACE
            self._clock.enter(self)
        else:
            self._arm()

    def stayed(self) -> None:
        self._fire()

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = min(self._due, monotonic() + LOOK_AGAIN)
        self._handle = self._clock.loop.call_at(self._armed, self._fire)

    def _fire(self) -> None:
        if self._ask is not None:
            self._at, self._failure = self._ask()
        if self._due > monotonic():
            self._arm()
            return
        if self._last is not None and self._last[0] <= self._at:
            self._failure = self._last[1]
        self._expired = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ask = None  # it may know whoever keeps this deadline: a cycle, which would wait for the next collection
        if self._handle is not None:
            self._handle.cancel()
        if self._armed != _NEVER:
            self._clock.leave(self)
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._failure() from error
