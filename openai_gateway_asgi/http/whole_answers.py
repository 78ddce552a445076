"""Answers of the gateway's own: whole, in pieces, and for clients that take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from time import monotonic
from typing import NamedTuple

from ..errors import ClientDisconnected
from .asgi import JSON, Message, Send
from .cancellation import Deadline
from .timers import Clock

PIECE = 1024 * 1024
"""Bytes that go out at once. Servers keep what a client has not taken, and let the next piece wait for it."""


class Pieces(NamedTuple):
    """A body in pieces, which may be made while it is sent."""

    size: int
    pieces: Iterable[bytes]


def client_stalled() -> ClientDisconnected:
    return ClientDisconnected("the client takes no more bytes")


async def respond(
    send: Send,
    status: int,
    body: bytes | Pieces,
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    within: float,
    clock: Clock | None = None,
    content_type: bytes = JSON,
    head: bool = False,
) -> None:
    """A whole answer, each message of which is taken ``within`` seconds, else ``ClientDisconnected``.

    ``head``: to a HEAD, which is told how long the body of a GET is (RFC 9110, 8.6); where it is empty nobody knows.
    """
    whole = Pieces(len(body), (body,)) if isinstance(body, bytes) else body
    length = [] if head and not whole.size else [(b"content-length", b"%d" % whole.size)]
    start = [(b"content-type", content_type), *length, *headers]
    with Deadline(clock) as deadline:

        async def give(message: Message) -> None:
            deadline.move(monotonic() + within, client_stalled)
            await send(message)
            deadline.move(inf, client_stalled)

        await give({"type": "http.response.start", "status": status, "headers": start})
        if head or not whole.size:
            await give({"type": "http.response.body", "body": b""})
        elif whole.size <= PIECE:
            await give({"type": "http.response.body", "body": b"".join(whole.pieces)})
        else:
            for piece in _cut(whole.pieces):
                await give({"type": "http.response.body", "body": piece, "more_body": True})
            await give({"type": "http.response.body", "body": b""})


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if len(piece) <= PIECE:
            yield piece
        else:
            yield from (piece[begin : begin + PIECE] for begin in range(0, len(piece), PIECE))
