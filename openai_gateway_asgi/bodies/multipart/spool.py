"""Bytes that wait: the newest in a small window of memory, the rest in a temporary file without a name."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import deque
from collections.abc import Callable
from typing import IO, Any, TypeVar

from ...errors import GatewayBusy
from ...http.threads import in_own_thread
from .shares import Share

T = TypeVar("T")

WINDOW = 1024 * 1024
"""Bytes held in memory; what is beyond goes to disk in one piece of about this size."""
PIECES = 1024
"""Pieces held in memory, from which on they are put together: small ones cost many times their length."""
READ_SIZE = 1024 * 1024
"""Bytes that are read back from disk at once."""


class Spool:
    """First in, first out, for one writer and one reader. Files are touched in threads only.

    The file has no name from its first moment, so no way out of the process can leave it behind.
    """

    def __init__(self, share: Share) -> None:
        """``share`` bounds what goes to disk, and is closed with the spool."""
        self._share = share
        self._recent: deque[bytes] = deque()
        self._recent_size = 0
        self._file: IO[bytes] | None = None
        self._read_at = 0
        self._written = 0
        self._size = 0
        self._lock = asyncio.Lock()
        self._job: asyncio.Future[Any] | None = None

    @property
    def empty(self) -> bool:
        """False from the moment a write begins."""
        return not self._size

    @property
    def full(self) -> bool:
        """Whether what waits in memory should be on disk and may not: then nothing more is to be written."""
        return self._recent_size > (0 if self._share.crowded else WINDOW)

    async def write(self, data: bytes) -> None:
        """Raises ``GatewayBusy`` when the disk itself is full."""
        self._recent.append(data)
        self._recent_size += len(data)
        self._size += len(data)
        self._share.hold(len(data))
        if len(self._recent) > PIECES:
            self._recent = deque([b"".join(self._recent)])
        if self.full:
            async with self._lock:
                if self._share.take(self._recent_size):
                    await self._roll()

    async def _roll(self) -> None:
        chunks, size = list(self._recent), self._recent_size
        self._recent.clear()
        self._recent_size = 0
        await self._in_thread(lambda: self._append(chunks))
        self._written += size
        self._share.hold(-size)

    def _append(self, chunks: list[bytes]) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _discard
        self._file.seek(self._written)
        self._file.writelines(chunks)
        # Nothing may be left to write when it is closed, on the event loop.
        self._file.flush()

    async def read(self) -> bytes:
        """The oldest bytes; only to be asked when it is not empty."""
        async with self._lock:
            data = await self._from_disk() if self._read_at < self._written else self._pop()
        self._size -= len(data)
        return data

    async def _from_disk(self) -> bytes:
        data = await self._in_thread(self._load)
        self._read_at += len(data)
        if self._read_at == self._written:
            self._share.give_back(self._written)
            self._read_at = self._written = 0
        return data

    def _load(self) -> bytes:
        assert self._file is not None
        self._file.seek(self._read_at)
        data = self._file.read(min(READ_SIZE, self._written - self._read_at))
        if self._read_at + len(data) == self._written:
            self._file.truncate(0)
        return data

    def _pop(self) -> bytes:
        data = self._recent.popleft()
        self._recent_size -= len(data)
        self._share.hold(-len(data))
        return data

    async def _in_thread(self, function: Callable[[], T]) -> T:
        job = asyncio.ensure_future(in_own_thread("upload", function))
        self._job = job
        try:
            # A cancelled wait does not stop the thread: the job must still be known for what it is.
            return await asyncio.shield(job)
        except OSError as error:
            raise GatewayBusy("The gateway has no room to hold this upload.") from error

    def close(self) -> None:
        """Lets go of everything, at the latest when a thread that is at work has ended. May be called twice."""
        self._recent.clear()
        if self._job is None or self._job.done():
            self._discard()
        else:
            self._job.add_done_callback(lambda _: self._discard())

    def _discard(self) -> None:
        self._share.close()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
