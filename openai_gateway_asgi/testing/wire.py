"""An upstream's answers byte by byte: what a real connection can do that no well-behaved server would.

A script is an async callable that gets a ``Call`` and writes what it likes::

    async def slow(call: Call) -> None:
        await call.read_body()
        await gate.wait()
        await call.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")

``FakeUpstream(wire=[first, second])`` gives each request the next script, and the last one to all that follow. The
connection stays open after a script unless the script ends it (``call.close()``, ``call.reset()``); a body that it did
not read is read before the next request. Pauses are ``asyncio.Event`` gates that the test sets, never sleeps.

Ready scripts: ``answer() sse() gzip_sse() raw() drip() flood_of_103() huge_headers() trailing_bytes() early_answer()``
and ``hang close_before_headers reset endless_103 garbage conflicting_lengths length_and_chunked short_body
truncated_chunk bad_chunk``. A port that refuses connections is ``refusing_url()``.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence

from .requests import FakeRequest

Fields = Sequence[tuple[bytes, bytes]]
WireScript = Callable[["Call"], Awaitable[None]]
OnConnect = Callable[["Connection"], Awaitable[None]]

JSON: Fields = ((b"Content-Type", b"application/json"),)
EVENTS: Fields = ((b"Content-Type", b"text/event-stream"),)


class Connection(asyncio.StreamReaderProtocol):
    """One accepted connection. ``peer_gone`` is set by the peer's FIN or RST, and when the script itself ends it."""

    def __init__(self, number: int, serve: Callable[[Connection], Awaitable[None]]) -> None:
        super().__init__(asyncio.StreamReader(limit=2**20), self._connected)
        self.number = number
        self.requests: list[FakeRequest] = []
        self.peer_gone = asyncio.Event()
        self.peer_gone_at: float | None = None
        self.task: asyncio.Task[None] | None = None
        self._serve = serve

    async def closed(self, within: float = 1.0) -> float:
        """Wait for ``peer_gone``; when that was, on ``loop.time()``."""
        async with asyncio.timeout(within):
            await self.peer_gone.wait()
        assert self.peer_gone_at is not None
        return self.peer_gone_at

    def eof_received(self) -> bool | None:
        self._mark()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._mark()
        super().connection_lost(exc)
        if exc is not None:
            self._closed.exception()  # type: ignore[attr-defined]  # nobody asks for it, and a garbage collector may tell of it before __del__ can

    def _mark(self) -> None:
        if self.peer_gone_at is None:
            self.peer_gone_at = asyncio.get_running_loop().time()
            self.peer_gone.set()

    def abort(self) -> None:
        if self.task is not None:
            with contextlib.suppress(AttributeError):  # CPython before 3.11.3, of TLS that has ended already
                self.writer.transport.abort()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._serve(self)
        self.writer.close()


class Call:
    """What a script works with: the request it answers and the means to answer it."""

    def __init__(self, connection: Connection, request: FakeRequest) -> None:
        self.connection = connection
        self.request = request
        self._body_read = False

    async def read_body(self) -> bytes:
        """The whole request body, by its framing; once read it stands in ``request.body``."""
        if not self._body_read:
            self._body_read = True
            self.request.body = b"".join([piece async for piece in self._pieces()])
        return self.request.body

    async def _pieces(self) -> AsyncIterator[bytes]:
        reader = self.connection.reader
        if self.request.values("transfer-encoding") == [b"chunked"]:
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                yield await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readuntil(b"\r\n")
        else:
            yield await reader.readexactly(int((self.request.values("content-length") or [b"0"])[0]))

    async def send(self, data: bytes) -> None:
        self.connection.writer.write(data)
        await self.connection.writer.drain()

    async def until_peer_closes(self) -> None:
        """Read and forget until the peer has ended the connection."""
        while await self.connection.reader.read(2**16):
            pass
        await self.connection.peer_gone.wait()

    def close(self) -> None:
        """End the connection in order (FIN), once what was sent has left."""
        self.connection.writer.close()

    def reset(self) -> None:
        """End the connection with RST, dropping what has not been read."""
        sock = self.connection.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.writer.transport.abort()


def head(status: int = 200, headers: Fields = ()) -> bytes:
    """A response head; the reason is left empty, as servers may (RFC 9112 section 4)."""
    lines = [b"HTTP/1.1 %d " % status, *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def raw(data: bytes, *, close: bool = False, read_body: bool = True) -> WireScript:
    """Sends exactly ``data``, and ends the connection if asked to."""

    async def send(call: Call) -> None:
        if read_body:
            await call.read_body()
        await call.send(data)
        if close:
            call.close()

    return send


def answer(status: int = 200, headers: Fields = JSON, body: bytes = b"{}") -> WireScript:
    """A complete answer with its Content-Length."""
    return raw(head(status, (*headers, (b"Content-Length", b"%d" % len(body)))) + body)


def sse(
    *events: bytes, gates: Mapping[int, asyncio.Event] = {}, ending: str = "whole", headers: Fields = EVENTS
) -> WireScript:
    """A chunked event stream, an event per chunk; ``gates[n]`` is awaited before event n (or, as n = len, the end).

    ``ending`` is ``whole``, ``cut`` (FIN without the last chunk), ``reset`` (RST), or ``open`` (never ends).
    """

    async def stream(call: Call) -> None:
        await call.read_body()
        await call.send(head(200, (*headers, (b"Transfer-Encoding", b"chunked"))))
        for number, event in enumerate(events):
            await _pass(gates, number)
            await call.send(chunked(event))
        await _pass(gates, len(events))
        if ending == "whole":
            await call.send(b"0\r\n\r\n")
        elif ending == "cut":
            call.close()
        elif ending == "reset":
            call.reset()
        else:
            await call.until_peer_closes()

    return stream


async def _pass(gates: Mapping[int, asyncio.Event], number: int) -> None:
    if number in gates:
        await gates[number].wait()


def gzip_sse(*events: bytes) -> WireScript:
    """An event stream that comes compressed although nobody asked for it."""
    return answer(200, (*EVENTS, (b"Content-Encoding", b"gzip")), gzip.compress(b"".join(events)))


async def hang(call: Call) -> None:
    """Reads the request and never answers."""
    await call.read_body()
    await call.until_peer_closes()


async def close_before_headers(call: Call) -> None:
    await call.read_body()
    call.close()


async def reset(call: Call) -> None:
    await call.read_body()
    call.reset()


def drip(data: bytes, step: asyncio.Semaphore) -> WireScript:
    """Sends ``data`` byte by byte, each when the test releases ``step``."""

    async def trickle(call: Call) -> None:
        await call.read_body()
        for position in range(len(data)):
            await step.acquire()
            await call.send(data[position : position + 1])

    return trickle


async def endless_103(call: Call) -> None:
    """Interim answers for as long as the peer takes them."""
    await call.read_body()
    while not call.connection.peer_gone.is_set():
        await call.send(head(103, ((b"Link", b"</style.css>; rel=preload"),)) * 100)
        await asyncio.sleep(0)


def flood_of_103(count: int) -> WireScript:
    """``count`` interim answers, then a true one."""
    return raw(head(103, ((b"Link", b"</a>; rel=preload"),)) * count + head(200, ((b"Content-Length", b"2"),)) + b"{}")


def huge_headers(size: int) -> WireScript:
    """One header line of ``size`` bytes."""
    return answer(200, ((b"X-Huge", b"h" * (size - len(b"X-Huge"))),))


def trailing_bytes(extra: bytes) -> WireScript:
    """A complete answer with ``extra`` right behind it, in the same packet."""
    return raw(head(200, ((b"Content-Length", b"2"),)) + b"{}" + extra)


def early_answer(status: int = 413, *, body: bytes = b'{"error": {}}') -> WireScript:
    """Answers without reading the request body, then reads on until the peer stops sending."""

    async def refuse(call: Call) -> None:
        await call.send(head(status, (*JSON, (b"Content-Length", b"%d" % len(body)))) + body)
        await call.until_peer_closes()

    return refuse


garbage = raw(b"SSH-2.0-OpenSSH_9.6\r\n", close=True)
conflicting_lengths = raw(head(200, ((b"Content-Length", b"2"), (b"Content-Length", b"9"))) + b"{}", close=True)
length_and_chunked = raw(
    head(200, ((b"Content-Length", b"2"), (b"Transfer-Encoding", b"chunked"))) + chunked(b"{}") + b"0\r\n\r\n"
)
short_body = raw(head(200, ((b"Content-Length", b"100"),)) + b'{"cut": ', close=True)
truncated_chunk = raw(head(200, ((b"Transfer-Encoding", b"chunked"),)) + b"64\r\nonly this", close=True)
bad_chunk = raw(head(200, ((b"Transfer-Encoding", b"chunked"),)) + chunked(b"good") + b"zz\r\nbad\r\n")


@contextlib.contextmanager
def refusing_url() -> Iterator[str]:
    """The URL of a port that stays taken and refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
