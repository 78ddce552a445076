"""Clients that ask and take nothing of the answer, for as long as their connection lives."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Self

from starlette.types import ASGIApp, Receive, Scope, Send


class DeafClient:
    """Sends what it is told and never reads: what it is sent fills the buffers on the way, and then nothing moves."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        self._port = port

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().sock_connect(self._socket, ("127.0.0.1", self._port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)


class Watched:
    """Around a whole app: which calls are under way, and how long the longest has taken."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.running = self.over = 0
        self.longest = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.running += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.running -= 1
            self.over += 1
            self.longest = max(self.longest, loop.time() - began)

    async def told(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An app that says it, where the calls are another process's."""
        body = json.dumps({"running": self.running, "over": self.over, "longest": self.longest}).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def stalled_and_over(self, least: float, within: float) -> None:
        """Waits until a call that took at least so many seconds is over, and no other is under way."""
        async with asyncio.timeout(within):
            while self.running or self.longest < least:
                await asyncio.sleep(0.01)
