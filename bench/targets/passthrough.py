"""The measure of all others: the smallest pass-through on the gateway's own engine and seam.

It reads the body, adds a header and streams the answer back: no users, no models, no checks, no clocks.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import httpx
from starlette.types import Receive, Scope, Send

from openai_gateway_asgi.upstream.transport import AiohttpTransport

ORIGIN = os.environ["BENCH_UPSTREAM"]
FRAMING = {b"connection", b"transfer-encoding"}

transport = AiohttpTransport(keepalive=4.0)
urls: dict[str, httpx.URL] = {}


async def pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


def upstream_url(path: str) -> httpx.URL:
    if path not in urls:
        urls[path] = httpx.URL(ORIGIN + path.replace("/openai/", "/v1/", 1))
    return urls[path]


def request_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    passed = [(name, value) for name, value in scope["headers"] if name in (b"content-type", b"content-length")]
    return [(b"host", b"127.0.0.1"), *passed, (b"authorization", b"Bearer upstream-key")]


async def content(scope: Scope, receive: Receive) -> bytes | AsyncIterator[bytes]:
    """The whole body, except that an upload is streamed, as any pass-through would have to."""
    if (b"content-type", b"application/json") in scope["headers"]:
        return b"".join([piece async for piece in pieces(receive)])
    return pieces(receive) if scope["method"] == "POST" else b""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = await content(scope, receive)
    url = upstream_url(scope["path"])
    request = httpx.Request(scope["method"], url, headers=request_headers(scope), content=body)
    response = await transport.handle_async_request(request)
    try:
        headers = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in FRAMING]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for chunk in response.stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await response.aclose()
