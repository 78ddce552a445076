"""The sockets of a fake upstream."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from .answers import Answer
from .delivery import AnswerStream, Upstreamlike, done_or_left
from .requests import parse_head
from .wire import Call, Connection, OnConnect, WireScript, chunked
from .wire import head as answer_head


class Server:
    """Serves on 127.0.0.1: each request its script of bytes where there are some, else the fake upstream's answer."""

    def __init__(
        self,
        upstream: Upstreamlike,
        wire: Sequence[WireScript],
        *,
        tls: ssl.SSLContext | None,
        on_connect: OnConnect | None,
        port: int,
    ) -> None:
        self.connections: list[Connection] = []
        self.port = port
        self._upstream = upstream
        self._wire = wire
        self._served = 0
        self._tls = tls
        self._on_connect = on_connect
        self._server: asyncio.Server | None = None

    @property
    def serves(self) -> bool:
        return self._server is not None

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("this fake upstream does not serve yet: enter it with `async with` or `with`")
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def aclose(self, *, quietly: bool) -> None:
        """Ends every connection; raises what a script failed with, unless ``quietly``."""
        assert self._server is not None
        self._server.close()
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        for connection in self.connections:
            connection.abort()
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        failures = [result for result in results if isinstance(result, Exception)]
        if failures and not quietly:
            raise failures[0]

    def _accept(self) -> Connection:
        connection = Connection(len(self.connections), self._serve)
        self.connections.append(connection)
        return connection

    async def _serve(self, connection: Connection) -> None:
        if self._on_connect is not None:
            await self._on_connect(connection)
        while not connection.writer.is_closing():
            request = parse_head(connection.number, await connection.reader.readuntil(b"\r\n\r\n"))
            connection.requests.append(request)
            call = Call(connection, request)
            upstream = self._upstream.playing(request.host)
            if self._wire:
                script = self._wire[min(self._served, len(self._wire) - 1)]
                self._served += 1
                upstream.came(request)
                await script(call)
            else:
                await call.read_body()
                upstream.came(request)
                await done_or_left(_send(call, upstream), connection.peer_gone.wait())
            if not connection.writer.is_closing():
                await call.read_body()


async def _send(call: Call, upstream: Upstreamlike) -> None:
    answer = await upstream.reply(call.request)
    stream = AnswerStream(upstream, call.request, answer if answer.ending == "open" else _whole(answer))
    try:
        framed = _framed(answer)
        if answer.status:
            extra = [(b"Transfer-Encoding", b"chunked")] if framed else []
            own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
            await call.send(answer_head(answer.status, [*own, *extra]))
        async for chunk in stream:
            await call.send(chunked(chunk) if framed else chunk)
        if answer.ending == "cut":
            call.close()
        elif answer.ending == "reset":
            call.reset()
        elif framed:
            await call.send(b"0\r\n\r\n")
    finally:
        await stream.aclose()


def _whole(answer: Answer) -> Answer:
    """The chunks alone: over a socket the connection itself ends as the answer says."""
    return Answer(answer.chunks, answer.status, answer.headers)


def _framed(answer: Answer) -> bool:
    """Whether the answer needs chunks to say where it ends."""
    return not any(name.lower() == "content-length" for name, _ in answer.headers)
