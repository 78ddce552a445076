"""Bytes from one task to another, as they come."""

from __future__ import annotations

import asyncio

MOST = 64 * 1024
"""Bytes that wait for their reader, from which on the writer waits too."""


class Pipe:
    """One task puts bytes in; another gets all that are there at once. Both run on one event loop.

    A writer whose reader is slow waits for it. When the reader has left, what is written is dropped, without an error.
    """

    __slots__ = ("_error", "_loop", "_pieces", "_reader", "_size", "_writer", "closed", "over")

    def __init__(self) -> None:
        self.closed = False
        """Whether nobody reads any more."""
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._size = 0
        self.over = False
        """Whether the writer has said all."""
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    async def put(self, data: bytes) -> None:
        if self.closed:
            await asyncio.sleep(0)  # whoever writes on and on has to be heard of by those who stop it
            return
        self._pieces.append(data)
        self._size += len(data)
        _wake(self._reader)
        if self._size >= MOST:
            self._writer = self._loop.create_future()
            await self._writer

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes. The reader gets what came before, and then ``error`` is raised, if any."""
        if not self.over:
            self.over, self._error = True, error
            _wake(self._reader)

    async def get(self) -> bytes | None:
        """What has come since the last time, waited for where nothing has; None at the end."""
        while not self._pieces:
            if self.over:
                error, self._error = self._error, None
                if error is not None:
                    raise error
                return None
            self._reader = self._loop.create_future()
            await self._reader
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        _wake(self._writer)
        return data

    def close(self) -> None:
        """Nobody reads any more."""
        self.closed = True
        self._pieces.clear()
        self._error = None
        _wake(self._writer)


def _wake(sleeper: asyncio.Future[None] | None) -> None:
    if sleeper is not None and not sleeper.done():
        sleeper.set_result(None)
