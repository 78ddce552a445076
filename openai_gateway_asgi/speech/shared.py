"""One answer that several callers read while it is still coming in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ..errors import ResponseAborted
from ..http.asgi import Message, Send

PIECE = 64
"""Bytes that a piece of an answer takes beside what is in it: an upstream may send it byte by byte."""


class Room:
    """Bytes that all answers which are under way may keep together."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True

    def give_back(self, size: int) -> None:
        self.left += size


class SharedAnswer:
    """Runs one call in a task of its own and lets any number of callers follow its answer from the beginning.

    It ends with its last follower. Up to ``limit`` bytes, as far as there is ``room``, are kept for those who come
    later; beyond that nobody can join any more, and the call waits for its slowest follower.
    """

    def __init__(self, limit: int, room: Room) -> None:
        self._limit = limit
        self._room = room
        self._taken = 0
        self._keeps = True
        self._start: Message | None = None
        self._chunks: list[bytes] = []
        self._dropped = 0
        self._size = 0
        self._complete = False
        self._failure: BaseException | None = None
        self._positions: dict[object, int] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def run(self, call: Callable[[Send], Coroutine[Any, Any, None]], ended: Callable[[], None]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(call))
        self._task.add_done_callback(lambda _: self._end_of(ended))

    @property
    def joinable(self) -> bool:
        return self._keeps and self._failure is None

    def whole(self) -> tuple[Message, bytes] | None:
        """The start and the body, once the answer is complete and as long as it was kept."""
        if not self._complete or self._start is None or not self._keeps:
            return None
        return self._start, b"".join(self._chunks)

    async def follow(self, send: Send) -> None:
        """Gives ``send`` the whole answer, or raises what ended it."""
        me = object()
        self._positions[me] = 0
        try:
            await self._until(lambda: self._start is not None)
            assert self._start is not None
            await send({**self._start, "headers": list(self._start["headers"])})
            while True:
                await self._until(lambda: self._positions[me] < self._end or self._complete)
                pending = self._chunks[self._positions[me] - self._dropped :]
                last = self._complete
                self._positions[me] = self._end
                self._notify()
                await send({"type": "http.response.body", "body": b"".join(pending), "more_body": not last})
                if last:
                    return
        finally:
            del self._positions[me]
            self._notify()
            self._leave_room()
            if not self._positions and not self._complete and self._task is not None:
                self._failure = ResponseAborted("everybody who wanted this answer has left")  # nobody joins any more
                self._task.cancel()

    @property
    def _end(self) -> int:
        return self._dropped + len(self._chunks)

    async def _run(self, call: Callable[[Send], Coroutine[Any, Any, None]]) -> None:
        try:
            await call(self._take)
            if not self._complete:
                self._failure = ResponseAborted("an answer that was shared ended before it was complete")
        except BaseException as error:
            self._failure = error
        finally:
            self._notify()

    async def _take(self, message: Message) -> None:
        """The call's ``send``."""
        if message["type"] == "http.response.start":
            self._start = message
        else:
            await self._keep(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        self._notify()

    async def _keep(self, chunk: bytes) -> None:
        if not chunk:
            return
        self._size += len(chunk)
        if self._keeps and (self._size > self._limit or not self._takes(len(chunk) + PIECE)):
            self._keeps = False
            self._give_back()
        while not self._keeps and self._chunks:
            if all(position == self._end for position in self._positions.values()):
                self._dropped += len(self._chunks)
                self._chunks.clear()
            else:
                await self._change()
        self._chunks.append(chunk)

    def _takes(self, size: int) -> bool:
        taken = self._room.take(size)
        self._taken += size * taken
        return taken

    def _give_back(self) -> None:
        self._room.give_back(self._taken)
        self._taken = 0

    def _end_of(self, ended: Callable[[], None]) -> None:
        ended()
        self._leave_room()

    def _leave_room(self) -> None:
        """Once nobody follows it, and nobody can any more."""
        if not self._positions and self._task is not None and self._task.done():
            self._give_back()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            if self._failure is not None:
                raise self._failure
            await self._change()

    async def _change(self) -> None:
        await self._changed.wait()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
