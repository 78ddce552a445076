"""The request's body, read once: whole, in limits of size and of patience."""

from __future__ import annotations

import types
from collections.abc import Generator
from time import monotonic
from typing import Any, cast

from .asgi import Message, Receive
from .errors import ClientDisconnected, PayloadTooLarge, RequestTimeout
from .interrupts import Deadline

LONGEST = 3600.0
"""Seconds that a body may take, however it drips."""


async def read_body(receive: Receive, limit: int, idle: float) -> bytes:
    """The whole request body; afterwards ``receive`` carries nothing but the disconnect.

    ``limit`` is in bytes and counts what arrives, not what ``Content-Length`` claims.
    Raises ``PayloadTooLarge`` one chunk after the limit at the latest, ``RequestTimeout`` when ``idle`` seconds bring
    nothing or the whole takes longer than ``LONGEST``, ``ClientDisconnected`` when the client leaves.
    """
    chunks: list[bytes] = []
    size = 0
    over = monotonic() + LONGEST
    while True:
        message = await _by(min(monotonic() + idle, over), receive)
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"The request body is larger than the {limit} bytes this gateway takes.")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


@types.coroutine
def _by(moment: float, receive: Receive) -> Generator[Any, None, Message]:
    """What ``receive`` gives by then, or ``RequestTimeout``.

    The body of most calls has come with their head, and a deadline costs several times what it costs to take it. So the
    coroutine is driven by hand: only if it has to wait at all there is one.
    """
    steps = _received(receive)
    try:
        waited_for = steps.send(None)
        with Deadline() as deadline:
            deadline.move(moment, _stalled)
            while True:
                try:
                    yield waited_for
                except BaseException as error:
                    waited_for = steps.throw(error)
                else:
                    waited_for = steps.send(None)
    except StopIteration as over:
        return cast(Message, over.value)


async def _received(receive: Receive) -> Message:
    """A coroutine whatever the server's ``receive`` returns: not every awaitable can be driven by hand."""
    return await receive()


def _stalled() -> RequestTimeout:
    return RequestTimeout("The request body stalled, or took too long.")
