"""The request's body as the server hands it over, within the limits."""

from __future__ import annotations

import asyncio

from ..asgi import Message, Receive
from ..errors import ClientDisconnected, PayloadTooLarge, RequestTimeout
from .limits import Limits


class Intake:
    """The only reader of ``receive``. Its clocks run while it waits for the client, not while the client waits."""

    def __init__(self, receive: Receive, limits: Limits) -> None:
        self.finished = False
        self._receive = receive
        self._limits = limits
        self._size = 0
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + limits.duration

    async def read(self) -> bytes:
        """The next bytes, none at the end.

        Raises ``ClientDisconnected``, ``RequestTimeout``, or ``PayloadTooLarge`` one chunk late at the latest.
        """
        while not self.finished:
            message = await self._next()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            self.finished = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                self._count(chunk)
                return bytes(chunk)
        return b""

    async def _next(self) -> Message:
        clock = asyncio.timeout_at(min(self._loop.time() + self._limits.idle, self._until))
        try:
            async with clock:
                return await self._receive()
        except TimeoutError as error:
            if clock.expired():
                raise RequestTimeout("The upload stalled, or took too long.") from error
            raise

    def _count(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._limits.total:
            raise PayloadTooLarge(f"The upload is larger than the {self._limits.total} bytes this gateway takes.")

    async def departure(self) -> None:
        """Waits for the client to leave; raises ``ClientDisconnected`` then. What it sends meanwhile is dropped."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientDisconnected
