"""aiohttp's protocol of a connection, and its body of an answer, as calls need them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NoReturn

from aiohttp import ClientConnectionError, ClientOSError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

_LINE_LIMIT: Final = 64 * 1024  # bytes of one response header line; at most 128 lines, so the head is bounded too
_READ_BUFFER: Final = 64 * 1024  # bytes held for a slow reader before the socket is left unread, and as many again
_END_OF_HEAD: Final = b"\r\n\r\n"
_INTERIM: Final = b"1"


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

    def expect(self, *, body: bool) -> None:
        """An answer is to come; ``body``: one that may have one."""
        self.set_response_params(
            skip_payload=not body,
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            max_line_size=_LINE_LIMIT,
            max_field_size=_LINE_LIMIT,
        )

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Of a read that ends in what is no HTTP aiohttp forgets all. Of the first one the head counts, and what of the
        body is in order: that may be a whole answer."""
        if isinstance(exc, HttpProcessingError) and (self._payload is None or self._payload.is_eof()):
            head, body = _first_read(exc_cause)
            if body:
                self.expect(body=not self._skip_payload)
                self.data_received(head)
                self.data_received(body)  # and so here again
                return
        super().set_exception(exc, *(() if exc_cause is None else (exc_cause,)))

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


def _first_read(error: BaseException | None) -> tuple[bytes, bytes]:
    """The head and the rest of what could not be read; empty where it begins with none, or with an interim answer's.

    Taken from the frame that caught the error: whatever else kept it would cost each read of every answer.
    """
    trace = None if error is None else error.__traceback__
    data = None if trace is None else trace.tb_frame.f_locals.get("data")
    if not isinstance(data, bytes) or not data.startswith(b"HTTP/") or data[9:10] == _INTERIM:
        return b"", b""
    end = data.find(_END_OF_HEAD) + len(_END_OF_HEAD)
    return (b"", b"") if end < len(_END_OF_HEAD) else (data[:end], data[end:])


class _NothingExpected:
    """The parser of an idle connection: bytes that come now answer no request, and refusing them closes it."""

    def feed_data(self, data: bytes) -> NoReturn:
        raise HttpProcessingError(message="Bytes on an idle connection")

    def feed_eof(self) -> None:
        pass


_NOTHING_EXPECTED: Any = _NothingExpected()
