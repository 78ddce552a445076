"""From the client to the one who writes upstream."""

from __future__ import annotations

import asyncio

from ...errors import ClientDisconnected
from ...http.cancellation import Deadline
from ...http.timers import Clock
from .intake import Intake
from .spool import Spool

STALL = 0.08
"""Seconds after which a taker that took nothing counts as standing still: a client that leaves is to be noticed within
100 ms, also where its upstream reads nothing."""


class Handover:
    """Gives one taker, in order, what the spool held at the start and then what comes.

    The taker reads the client itself: so the client is held back while nothing is taken, and a piece costs no second
    task and no second piece in memory. But a server tells that a client left only to one who goes on receiving, and
    behind all that the client had sent: so while the taker stands still a stand-in reads, into the spool, and when all
    has come it goes on listening.
    """

    def __init__(self, intake: Intake, spool: Spool) -> None:
        self.disconnected = asyncio.Event()
        self._intake = intake
        self._spool = spool
        self._failure: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._taking = False
        self._moved = self._loop.time()
        self._news = asyncio.Event()
        self._stand_in: asyncio.Task[None] | None = None
        self._timer = self._loop.call_soon(self._look)

    async def take(self, deadline: Deadline) -> bytes:
        """The next bytes, none at the end; ``deadline`` is the taking task's, as for ``Intake.read``.

        Raises what ``fail`` was told, before anything that waits.
        """
        self._taking = True
        try:
            return await self._next(deadline)
        finally:
            self._taking = False
            self._moved = self._loop.time()

    async def _next(self, deadline: Deadline) -> bytes:
        while self._failure is None:
            self._news.clear()
            if not self._spool.empty:
                return await self._spool.read()
            if self._intake.finished:
                return b""
            if self._stand_in is None:
                return await self._read(deadline)
            await self._news.wait()
        raise self._failure

    async def _read(self, deadline: Deadline) -> bytes:
        try:
            chunk = await self._intake.read(deadline)
        except Exception as error:
            self.fail(error)
            raise
        if self._intake.finished:
            self._look_at_once()
        return chunk

    def _look_at_once(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Whether somebody else has to read: looked at now and then, because a timer for every piece costs more."""
        if self._closed or self._stand_in is not None:
            return
        still = self._still_at()
        if self._over or still <= self._loop.time():
            self._stand_in = self._loop.create_task(self._read_on(), name="upload")
        else:
            self._timer = self._loop.call_at(still, self._look)

    @property
    def _over(self) -> bool:
        return self._intake.finished or self._failure is not None

    def _still_at(self) -> float:
        """When the taker counts as standing still, if it goes on as now."""
        return (self._loop.time() if self._taking else self._moved) + STALL

    async def _read_on(self) -> None:
        try:
            with Deadline(Clock.of(self._loop)) as deadline:
                while not self._over and self._still_at() <= self._loop.time():
                    if self._spool.full:  # the client is held back until something is taken, or room made elsewhere
                        await asyncio.sleep(STALL)
                        continue
                    if chunk := await self._read(deadline):
                        await self._spool.write(chunk)
                    self._news.set()
        except Exception as error:
            self.fail(error)
        if self._over:
            await self._listen()
        else:
            self._stand_in = None
            self._news.set()
            self._look_at_once()

    async def _listen(self) -> None:
        try:
            await self._intake.departure()
        except ClientDisconnected as gone:
            self.fail(gone)

    def fail(self, failure: Exception) -> None:
        """The first failure is what the taker gets; that the client left is told in any case."""
        if isinstance(failure, ClientDisconnected):
            self.disconnected.set()
        if self._failure is None:
            self._failure = failure
            self._news.set()
            self._look_at_once()

    async def aclose(self) -> None:
        """Stops reading, before it first waits. May be called twice."""
        self._closed = True
        self.fail(ClientDisconnected())
        self._timer.cancel()
        self._intake.stop()
        if self._stand_in is not None:
            self._stand_in.cancel()
            await asyncio.gather(self._stand_in, return_exceptions=True)
