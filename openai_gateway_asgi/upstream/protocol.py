"""aiohttp's protocol of a connection, and its body of an answer, as calls need them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

from aiohttp import ClientConnectionError, ClientOSError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError


class Pieces(StreamReader):
    """aiohttp's body of an answer, which is read in whatever pieces have come, and does not note where its chunks end.

    Of a stream each event is a chunk: to note that costs more than all else that is done here for an event. aiohttp's
    parser makes the body itself, so that it becomes this once the head of its answer has come.
    """

    __slots__ = ()

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        if data:
            self._buffer.append(data)
            self._size += len(data)
            if (waiter := self._waiter) is not None:
                self._waiter = None
                if not waiter.done():
                    waiter.set_result(None)
            if self._size > self._high_water or len(self._buffer) > self._high_water_chunks:
                self._protocol.pause_reading()
        return False

    def begin_http_chunk_receiving(self) -> None:
        pass

    def end_http_chunk_receiving(self) -> None:
        pass

    def more(self) -> asyncio.Future[None]:
        """Done once there is more, or the end. Raises what broke the answer off."""
        if self._exception is not None:
            raise self._exception
        if self._protocol.transport is None:
            raise ClientConnectionError("Connection closed.")
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def take(self) -> bytes:
        """All that has come."""
        buffer = self._buffer
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        self._size = 0
        self._protocol.resume_reading()
        return data


class Protocol(ResponseHandler):
    """aiohttp's protocol, where a connection ends at once and the reader of a body learns of every way to lose it.

    Without this a malformed chunk or a closed pool leaves the reader waiting for ever, a reset passes for the end of a
    body that ends with its connection, and closing waits for an upstream that does not read what was sent to it.
    """

    on_loss: Callable[[], None] | None = None
    """Who is to be told when the connection is lost, or closed."""

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        body = self._payload
        if body is not None and not body.is_eof():
            body.set_exception(ClientConnectionError("Connection closed."))
        super().abort()
        self._tell_loss()

    def eof_received(self) -> None:
        super().eof_received()
        if self.transport is not None:
            self.transport.abort()  # no answer can come any more, so nothing is worth sending

    def connection_lost(self, exc: BaseException | None) -> None:
        body = self._payload
        error = self.exception() if exc is None else ClientOSError(*exc.args)
        if body is not None and error is not None and not body.is_eof():
            body.set_exception(error)
            self._payload = None
        super().connection_lost(exc)
        self._tell_loss()

    def _tell_loss(self) -> None:
        told, self.on_loss = self.on_loss, None
        if told is not None:
            told()

    def resume_reading(self, resume_parser: bool = True) -> None:
        if self._reading_paused:  # aiohttp calls this for every piece that is read, and runs the parser on nothing
            super().resume_reading(resume_parser)

    def rest(self) -> None:
        """Until the next request, bytes that come close the connection: they must not become its answer."""
        self._parser = _NOTHING_EXPECTED


class _NothingExpected:
    """The parser of an idle connection: bytes that come now answer no request, and refusing them closes it."""

    def feed_data(self, data: bytes) -> NoReturn:
        raise HttpProcessingError(message="Bytes on an idle connection")

    def feed_eof(self) -> None:
        pass


_NOTHING_EXPECTED: Any = _NothingExpected()
