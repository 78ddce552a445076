"""A request whose body nobody may read yet: its client is seen to leave, and nothing that it sent is lost.

A server tells that a client left only to one who receives, and behind all that the client had sent. So while a request
waits for somebody else before its body is read (for the host to say who asks, say) what comes meanwhile is kept, in
memory and within bounds: strangers must not make us hold much. Beyond them the client is held back, and whoever is
waited for has a limit of time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from types import TracebackType
from typing import Self, TypeVar

from .asgi import Message, Receive
from .cancellation import ClientWatch
from .guarded import guarded
from .timers import Clock

T = TypeVar("T")

AHEAD = 1024 * 1024
"""Bytes of one request that are kept."""
ALL_AHEAD = 64 * 1024 * 1024
"""Bytes of all requests of one event loop."""


class Arrival:
    """A context manager around all that is done with the request; ``onward`` is the ``receive`` for what follows."""

    __slots__ = ("_clock", "_gone", "_held", "_pending", "_receive", "_size")

    def __init__(self, receive: Receive, clock: Clock) -> None:
        self._receive = receive
        self._clock = clock
        self._held: deque[Message] = deque()
        self._size = 0
        self._gone: Message | None = None
        self._pending: asyncio.Future[Message] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._count(-self._size)
        self._held.clear()
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def awaited(self, work: Awaitable[T]) -> Awaitable[T]:
        """What ``work`` gives. When the client leaves meanwhile it is cancelled, and ``ClientDisconnected`` raised."""
        return guarded(work, self._watch)

    @property
    def onward(self) -> Receive:
        """The request's own where nothing was read ahead."""
        return self.receive if self._held or self._pending is not None or self._gone is not None else self._receive

    async def receive(self) -> Message:
        """The messages of the request in their order, those that were kept first."""
        if self._held:
            message = self._held.popleft()
            self._count(-len(message.get("body", b"")))
            return message
        if self._gone is None:
            return self._taken(await self._came())
        return self._gone

    def _watch(self) -> ClientWatch:
        return ClientWatch(self._departure, self._clock, over=_never)

    async def _departure(self) -> Message:
        """The disconnect, when it comes; everything before it is kept."""
        while self._gone is None:
            if self._size >= AHEAD or self._clock.read_ahead >= ALL_AHEAD:
                await _for_ever()
            came = await self._came()
            if came.cancelled() or came.exception() is not None:
                await _for_ever()  # whoever reads the body is told
            message = self._taken(came)
            if message["type"] == "http.disconnect":
                self._gone = message
            else:
                self._held.append(message)
                self._count(len(message.get("body", b"")))
        return self._gone

    async def _came(self) -> asyncio.Future[Message]:
        """The next message of the request's own, come but not yet taken.

        Whoever stops waiting for it does not stop the receiving: what is cancelled could be lost on the way.
        """
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._receive())
        await asyncio.wait((self._pending,))
        return self._pending

    def _taken(self, came: asyncio.Future[Message]) -> Message:
        self._pending = None
        return came.result()

    def _count(self, size: int) -> None:
        self._size += size
        self._clock.read_ahead += size


async def _for_ever() -> None:
    """Until whoever waits is cancelled."""
    await asyncio.get_running_loop().create_future()


def _never() -> bool:
    return False
