"""Request bodies on their way to an upstream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator

import httpx

WINDOW = 256 * 1024
"""Bytes that are copied at once where somebody needs bytes."""


class Body(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A request body that is at hand whole, in one piece or several; our transport writes it without copying."""

    __slots__ = ("_pieces", "length")

    def __init__(self, *pieces: bytes | memoryview) -> None:
        self._pieces = pieces
        self.length = sum(map(len, pieces))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)  # type: ignore[arg-type]  # views of bytes do wherever bytes are written or joined

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            for at in range(0, len(piece), WINDOW):
                yield bytes(piece[at : at + WINDOW])


class Streamed(httpx.AsyncByteStream):
    """A request body that comes in pieces; ``moved`` is called when one has been taken."""

    def __init__(self, pieces: AsyncIterable[bytes], moved: Callable[[], None]) -> None:
        self._pieces = aiter(pieces)
        self._moved = moved

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._moved()
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Ends where it was left: another may go through the same from its beginning."""
        if isinstance(self._pieces, AsyncGenerator):
            await self._pieces.aclose()


NO_BODY = Body()
