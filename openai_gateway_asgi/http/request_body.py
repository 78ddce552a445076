"""The request's body, read once: whole, in limits of size and of patience."""

from __future__ import annotations

import types
from collections.abc import Generator
from time import monotonic
from typing import Any, cast

from ..errors import BodyNeverCame, ClientDisconnected, PayloadTooLarge, RequestTimeout
from .asgi import Receive
from .cancellation import Deadline

LONGEST = 3600.0
"""Seconds that a body may take, however it drips."""


@types.coroutine
def read_body(receive: Receive, limit: int, idle: float) -> Generator[Any, None, list[bytes]]:
    """The whole request body, as it came in pieces; afterwards ``receive`` carries nothing but the disconnect.

    ``limit`` is in bytes and counts what arrives, not what ``Content-Length`` claims.
    Raises ``PayloadTooLarge`` one chunk after the limit at the latest, ``RequestTimeout`` when ``idle`` seconds bring
    nothing or the whole takes longer than ``LONGEST``, ``ClientDisconnected`` when the client leaves.

    The body of most calls has come with their head, and a deadline costs several times what it costs to take it. So the
    reading is driven by hand: only if it has to wait at all there is one.
    """
    pace = _Pace(idle)
    reading = _read(receive, limit, pace)
    try:
        waited_for = reading.send(None)
        with Deadline() as deadline:
            pace.keep_by(deadline)
            while True:
                try:
                    yield waited_for
                except BaseException as error:
                    waited_for = reading.throw(error)
                else:
                    waited_for = reading.send(None)
    except StopIteration as over:
        return cast("list[bytes]", over.value)


async def _read(receive: Receive, limit: int, pace: _Pace) -> list[bytes]:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"The request body is larger than the {limit} bytes this gateway takes.")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks
        pace.note()


class _Pace:
    """How long the next piece may take, and the whole."""

    __slots__ = ("_came", "_deadline", "_idle", "_over")

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._came = False
        self._deadline: Deadline | None = None

    def keep_by(self, deadline: Deadline) -> None:
        """From now on ``deadline`` ends in ``RequestTimeout`` when nothing is noted for too long."""
        self._deadline = deadline
        self._over = monotonic() + LONGEST
        self._wait()

    def note(self) -> None:
        """A piece has come."""
        self._came = True
        if self._deadline is not None:
            self._wait()

    def _wait(self) -> None:
        assert self._deadline is not None
        self._deadline.move(min(monotonic() + self._idle, self._over), self._stalled)

    def _stalled(self) -> RequestTimeout:
        return RequestTimeout("The request body stalled, or took too long.") if self._came else never_came(self._idle)


def never_came(within: float) -> BodyNeverCame:
    """``within`` is in seconds."""
    return BodyNeverCame(
        f"Nothing of the request body came within {within:g} seconds. If the application around the gateway has read "
        "it, the application must hand it on: gateway.response(user, request=request)."
    )
