"""Answers of the gateway's own: whole, in pieces, and for clients that take them."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from time import monotonic

from ..errors import ClientDisconnected
from .asgi import JSON, Message, Send
from .cancellation import Deadline
from .timers import Clock

PIECE = 256 * 1024
"""Bytes that go out at once. Servers keep what a client has not taken, and let the next piece wait for it."""


def client_stalled() -> ClientDisconnected:
    return ClientDisconnected("the client takes no more bytes")


async def respond(
    send: Send,
    status: int,
    body: bytes,
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
    length = [] if head and not body else [(b"content-length", b"%d" % len(body))]
    start = [(b"content-type", content_type), *length, *headers]
    if head:
        body = b""
    with Deadline(clock) as deadline:

        async def give(message: Message) -> None:
            deadline.move(monotonic() + within, client_stalled)
            await send(message)
            deadline.move(inf, client_stalled)

        await give({"type": "http.response.start", "status": status, "headers": start})
        if len(body) > PIECE:
            for begin in range(0, len(body), PIECE):
                await give({"type": "http.response.body", "body": body[begin : begin + PIECE], "more_body": True})
            body = b""
        await give({"type": "http.response.body", "body": body})
