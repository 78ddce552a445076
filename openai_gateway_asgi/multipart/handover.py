"""From the task that reads the client to the one that writes upstream, through a single slot."""

from __future__ import annotations

import asyncio

from .spool import Spool

STALL = 0.25
"""Seconds after which a reader that took nothing counts as standing still."""


class Handover:
    """One putter, one taker, in order: first what the spool held at the start, then what comes through the slot.

    A full slot makes the putter wait, and so the client. But a server tells that a client left only to one who goes on
    receiving, and behind all that the client had sent: so while the taker stands still, what comes is spooled.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._slot = b""
        self._over = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._moved = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    async def put(self, chunk: bytes) -> None:
        """Returns when ``chunk``, which must not be empty, has been taken or spooled.

        Reading on before it is taken would gain nothing: one more piece in flight, and allocator and kernel hand pages
        to and fro for every one, which costs as much as the transfer itself.
        """
        self._slot = chunk
        self._news.set()
        await self._room_or_stall()
        if self._slot:
            displaced, self._slot = self._slot, b""
            await self._spool.write(displaced)

    async def _room_or_stall(self) -> None:
        while self._slot and self._loop.time() < self._moved + STALL:
            self._room.clear()
            if self._timer is None:
                self._timer = self._loop.call_at(self._moved + STALL, self._look_again)
            await self._room.wait()

    def _look_again(self) -> None:
        self._timer = None
        self._room.set()

    def finish(self) -> None:
        """Nothing more comes."""
        self._over = True
        self._news.set()

    def fail(self, failure: Exception) -> None:
        """The taker gets ``failure`` at once, before anything that waits. The first one counts."""
        self._failure = self._failure or failure
        self._news.set()

    async def take(self) -> bytes:
        """The next bytes, none at the end."""
        data = await self._next()
        self._moved = self._loop.time()
        self._room.set()
        return data

    async def _next(self) -> bytes:
        while True:
            self._news.clear()
            if self._failure is not None:
                raise self._failure
            if not self._spool.empty:
                return await self._spool.read()
            if self._slot:
                chunk, self._slot = self._slot, b""
                return chunk
            if self._over:
                return b""
            await self._news.wait()
