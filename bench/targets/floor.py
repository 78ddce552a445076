"""The floor: the least that Python can do behind ASGI. A raw protocol client with a keep-alive pool, no features."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import cast
from urllib.parse import urlsplit

import httptools
from starlette.types import Message, Receive, Scope, Send

ORIGIN = urlsplit(os.environ["BENCH_UPSTREAM"])
HOST, PORT = ORIGIN.hostname or "", ORIGIN.port or 0
TLS = ssl.create_default_context() if ORIGIN.scheme == "https" else None
HIGH_WATER = 1_048_576


class Connection(asyncio.Protocol):
    """One connection to the upstream; what came and was not yet fetched waits in ``pieces``."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def begin(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.held = 0
        self.complete = False
        self.arrived = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.arrived.done():
            self.arrived.set_exception(exc or ConnectionError("The upstream closed the connection."))

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)
        if not self.arrived.done() and (self.pieces or self.complete):
            self.arrived.set_result(None)
        if self.held > HIGH_WATER:
            self.transport.pause_reading()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)
        self.held += len(body)

    def on_message_complete(self) -> None:
        self.complete = True

    async def fetch(self) -> tuple[bytes, bool]:
        """All that has come since the last call, at least something, and whether more will come."""
        await self.arrived
        body, self.pieces, self.held = b"".join(self.pieces), [], 0
        self.transport.resume_reading()
        if not self.complete:
            self.arrived = asyncio.get_running_loop().create_future()
        return body, not self.complete


idle: list[Connection] = []


async def connection() -> Connection:
    while idle:
        known = idle.pop()
        if not known.transport.is_closing():
            return known
    loop = asyncio.get_running_loop()
    _, opened = await loop.create_connection(Connection, HOST, PORT, ssl=TLS)
    return opened


async def read(receive: Receive) -> bytes:
    message = await receive()
    pieces = [message.get("body", b"")]
    while message.get("more_body", False):
        message = await receive()
        pieces.append(message.get("body", b""))
    return b"".join(pieces)


def request_head(scope: Scope, size: int) -> bytes:
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"application/json")
    path = scope["path"].replace("/openai/", "/v1/", 1).encode()
    return (
        b"%s %s HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer upstream-key\r\n"
        b"content-type: %s\r\ncontent-length: %d\r\n\r\n" % (scope["method"].encode(), path, kind, size)
    )


def response_start(upstream: Connection) -> Message:
    headers = [header for header in upstream.headers if header[0] != b"transfer-encoding"]
    return {"type": "http.response.start", "status": upstream.parser.get_status_code(), "headers": headers}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read(receive)
    upstream = await connection()
    upstream.begin()
    upstream.transport.write(request_head(scope, len(body)) + body)
    piece, more = await upstream.fetch()
    await send(response_start(upstream))
    while more:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        piece, more = await upstream.fetch()
    await send({"type": "http.response.body", "body": piece})
    idle.append(upstream)
