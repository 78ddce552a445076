"""The request's body as the server hands it over, within the limits."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from ..asgi import Receive
from ..errors import ClientDisconnected, PayloadTooLarge, RequestTimeout
from ..interrupts import Deadline
from .limits import Limits


class Intake:
    """The only reader of ``receive``. ``read`` is called in a ``with`` block on it, by one task at a time.

    Its clocks run while it waits for the client, not while the client waits.
    """

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self.finished = False
        self.size = 0
        """Bytes read so far."""
        self._receive = receive
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + limits.duration

    def __enter__(self) -> Self:
        self._deadline = Deadline()
        self._deadline.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raises ``RequestTimeout`` if that is what ended the block."""
        self._deadline.__exit__(kind, error, traceback)

    async def read(self) -> bytes:
        """The next bytes, none at the end.

        Raises ``ClientDisconnected``, or ``PayloadTooLarge`` one chunk late at the latest.
        """
        while not self.finished:
            self._deadline.move(min(self._loop.time() + self._limits.idle, self._until), _too_slow)
            message = await self._receive()
            self._deadline.move(float("inf"), _too_slow)
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            self.finished = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                self._count(chunk)
                return bytes(chunk)
        return b""

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._limits.total:
            raise PayloadTooLarge(f"The upload is larger than the {self._limits.total} bytes this gateway takes.")

    async def departure(self) -> None:
        """Waits for the client to leave; raises ``ClientDisconnected`` then. What it sends meanwhile is dropped."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientDisconnected


def _too_slow() -> RequestTimeout:
    return RequestTimeout("The upload stalled, or took too long.")
