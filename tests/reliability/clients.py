"""Clients on raw sockets: they send exactly what they are told, and leave when they like."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any, Self

from tests.reliability.gateways import CHAT
from tests.support.servers import Program, Server


def request(
    body: Any,
    *,
    path: str = CHAT,
    token: bytes = b"ann",
    content_type: bytes = b"application/json",
    headers: tuple[bytes, ...] = (),
    length: int | None = None,
    close: bool = False,
) -> bytes:
    """A POST of ``body``; ``length`` is claimed in place of the true one."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1".encode(),
        b"Host: gateway.test",
        b"Authorization: Bearer " + token,
        b"Content-Type: " + content_type,
        b"Content-Length: %d" % (len(content) if length is None else length),
        *([b"Connection: close"] if close else []),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


class Client:
    """One connection to a server in the test's event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, server: Server | Program) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", server.port))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, mark: bytes, within: float = 5.0) -> bytes:
        async with asyncio.timeout(within):
            return await self.reader.readuntil(mark)

    async def rest(self, within: float = 5.0) -> bytes:
        """Everything up to the end of the connection, however it ends."""
        data = b""
        async with asyncio.timeout(within):
            try:
                while piece := await self.reader.read(65536):
                    data += piece
            except ConnectionError:
                pass
        return data

    def leave(self) -> None:
        """At once, as a process that dies does."""
        self.writer.transport.abort()

    async def close(self) -> None:
        self.leave()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
