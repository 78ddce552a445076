"""The request's body as the server hands it over, within the limits."""

from __future__ import annotations

import asyncio

from ...errors import ClientDisconnected, PayloadTooLarge, RequestTimeout
from ...http.asgi import Message, Receive
from ...http.cancellation import Deadline
from ...http.request_body import never_came, stalled
from .limits import Limits


class Intake:
    """The only reader of ``receive``, for one task at a time.

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
        self._deadline: Deadline | None = None

    async def read(self, deadline: Deadline) -> bytes:
        """The next bytes, none at the end.

        ``deadline`` is one that the task has entered; it ends in ``RequestTimeout``, and a task that reads often keeps
        it. Raises ``ClientDisconnected``, or ``PayloadTooLarge`` one chunk late at the latest.
        """
        while not self.finished:
            message = await self._message(deadline)
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            self.finished = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                self._count(chunk)
                return bytes(chunk)
        return b""

    async def _message(self, deadline: Deadline) -> Message:
        self._deadline = deadline
        deadline.move(min(self._loop.time() + self._limits.idle, self._until), self._too_slow)
        try:
            message = await self._receive()
        finally:
            self._deadline = None  # its block may be over before ``stop`` is called
        deadline.move(float("inf"), self._too_slow)
        return message

    def _count(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._limits.total:
            raise PayloadTooLarge(
                f"The upload is larger than the {self._limits.total} bytes this gateway takes; its operator can raise "
                "that (`upload_limit`)."
            )

    def stop(self) -> None:
        """A task that waits in ``read`` gets ``ClientDisconnected``."""
        if self._deadline is not None:
            self._deadline.end_by(0, ClientDisconnected)

    async def departure(self) -> None:
        """Waits for the client to leave; raises ``ClientDisconnected`` then. What it sends meanwhile is dropped."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientDisconnected

    def _too_slow(self) -> RequestTimeout:
        return stalled("upload") if self.size else never_came(self._limits.idle)
