"""The few ASGI helpers that every room needs: the types, and reading a body once.

The aliases are the ones Starlette uses, so that its applications and ours type-check against each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from .errors import ClientDisconnected, PayloadTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]
NamedHeaders = Mapping[bytes, bytes]
"""Headers by their lower-case names; of several with one name, the first."""

JSON = b"application/json"


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole request body; afterwards ``receive`` carries nothing but the disconnect.

    ``limit`` is in bytes and counts what arrives, not what ``Content-Length`` claims.
    Raises ``PayloadTooLarge`` one chunk after the limit at the latest, ``ClientDisconnected`` when the client leaves.
    """
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
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def respond(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (), *, content_type: bytes = JSON
) -> None:
    """A whole answer in two messages."""
    start = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
