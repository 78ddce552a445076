"""The few ASGI helpers that every room needs: the types, and a whole answer.

The aliases are the ones Starlette uses, so that its applications and ours type-check against each other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]
NamedHeaders = Mapping[bytes, bytes]
"""Headers by their lower-case names; of several with one name, the first."""

JSON = b"application/json"


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    content_type: bytes = JSON,
    head: bool = False,
) -> None:
    """A whole answer in two messages.

    ``head``: to a HEAD, which is told how long the body of a GET is (RFC 9110, 8.6); where it is empty nobody knows.
    """
    length = [] if head and not body else [(b"content-length", b"%d" % len(body))]
    start = [(b"content-type", content_type), *length, *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": b"" if head else body})
