"""The request's body, read once: whole, in limits of size and of patience."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TypeAlias

from ..errors import BodyNeverCame, ClientDisconnected, PayloadTooLarge, RequestTimeout
from .asgi import Receive
from .cancellation import Deadline
from .guarded import guarded

Bytes: TypeAlias = bytes | bytearray

LONGEST = 3600.0
"""Seconds that a body may take, however it drips."""

_JOINED = 4 * 1024 * 1024
"""Bytes from which on the pieces of a body are put together as they come: later it would take the memory twice."""


def read_body(receive: Receive, limit: int, idle: float, *, setting: str = "json_limit") -> Awaitable[list[Bytes]]:
    """The whole request body, in the pieces in which it came; afterwards ``receive`` carries only the disconnect.

    A large one is in a single piece.

    ``limit`` is in bytes and counts what arrives, not what ``Content-Length`` claims; ``setting`` is where it is set.
    Raises ``PayloadTooLarge`` one chunk after the limit at the latest, ``RequestTimeout`` when ``idle`` seconds bring
    nothing or the whole takes longer than ``LONGEST``, ``ClientDisconnected`` when the client leaves.
    """
    pace = _Pace(idle)
    return guarded(_read(receive, limit, pace, setting), pace.kept)  # most bodies have come with their head


async def _read(receive: Receive, limit: int, pace: _Pace, setting: str) -> list[Bytes]:
    chunks: list[Bytes] = []
    whole: bytearray | None = None
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(
                f"The request body is larger than the {limit} bytes this gateway takes; its operator can raise that "
                f"(`{setting}`)."
            )
        if whole is not None:
            whole += chunk
        elif size <= _JOINED or not chunks:
            chunks.append(chunk)
        else:
            whole = bytearray().join((*chunks, chunk))
            chunks = [whole]
        if not message.get("more_body", False):
            return chunks
        pace.note()


class _Pace:
    """How long the next piece may take, and the whole."""

    __slots__ = ("_deadline", "_failure", "_idle", "_over")

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._failure: Callable[[], RequestTimeout] = partial(never_came, idle)
        self._deadline: Deadline | None = None

    def kept(self) -> Deadline:
        """Ends in ``RequestTimeout`` when nothing is noted for too long from now on."""
        self._deadline = Deadline()
        self._over = monotonic() + LONGEST
        self._wait()
        return self._deadline

    def note(self) -> None:
        """A piece has come."""
        self._failure = stalled
        self._wait()

    def _wait(self) -> None:
        if self._deadline is not None:
            self._deadline.move(min(monotonic() + self._idle, self._over), self._failure)


def stalled(what: str = "request body") -> RequestTimeout:
    return RequestTimeout(f"The {what} stalled, or took too long; send it again without pauses.")


def never_came(within: float) -> BodyNeverCame:
    """``within`` is in seconds."""
    return BodyNeverCame(
        f"Nothing of the request body came within {within:g} seconds. If the application around the gateway has read "
        "it, the application must hand it on: gateway.response(user, request=request)."
    )
