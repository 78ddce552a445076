"""One request and its answer on one connection of aiohttp's."""

from __future__ import annotations

import asyncio
import errno
from typing import Final, cast

import httpx
from aiohttp import ClientError, ClientPayloadError, ServerDisconnectedError, StreamReader
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter

from .protocol import Pieces, Protocol
from .request_head import Outgoing

_COALESCE: Final = 64 * 1024  # bytes of a body worth copying, so that head and body leave in one packet

_END_WITHIN: Final = 0.5  # seconds in which the end of an answer comes that was whole before it

ENGINE_ERRORS = (ClientError, HttpProcessingError, OSError)


class Call(httpx.AsyncByteStream):
    """One request and its answer on one connection; as a stream, the body of the answer."""

    survives_cancelling = True
    """Whoever is cancelled while waiting for a read has lost nothing of it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._protocol = cast(Protocol, connection.protocol)
        self._ended = False
        self._content: StreamReader | None = None
        self._sent = True
        self._upload: asyncio.Task[None] | None = None
        self._upload_error: Exception | None = None
        self._ending: asyncio.TimerHandle | None = None

    async def perform(self, request: httpx.Request, prepared: Outgoing) -> RawResponseMessage:
        """Send the request and return the head of its answer, after any 1xx."""
        protocol = self._protocol
        protocol.expect(body=request.method != "HEAD")
        self._send(request, prepared)
        message, content = await protocol.read()
        while message.code < 200:
            if message.code == 101:
                raise httpx.RemoteProtocolError("The upstream changed the protocol unasked.")
            message, content = await protocol.read()
        if type(content) is StreamReader:  # else there is no body
            content.__class__ = Pieces
        self._content = content
        if self._upload is not None and message.code >= 400:
            self._upload.cancel()  # RFC 9112 section 9.5: an error answers a body that nobody will read
        return message

    def _send(self, request: httpx.Request, prepared: Outgoing) -> None:
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            return  # lost since it was opened, and the protocol knows why; writelines does not (CPython gh-136234)
        body = prepared.body
        if body is None:
            transport.write(prepared.head)
            self._sent = False
            stream = cast(httpx.AsyncByteStream, request.stream)
            self._upload = asyncio.create_task(self._stream_out(stream, prepared.length))
        elif sum(map(len, body)) < _COALESCE:
            transport.write(b"".join((prepared.head, *body)))
        else:
            transport.writelines((prepared.head, *body))

    async def _stream_out(self, stream: httpx.AsyncByteStream, length: int | None) -> None:
        try:
            await self._write(stream, length)
        except Exception as error:
            # On a lost connection the reading side knows the reason, and perhaps an answer.
            if self._protocol.is_connected():
                self._upload_error = error
                self.end()
        finally:
            await stream.aclose()

    async def _write(self, stream: httpx.AsyncByteStream, length: int | None) -> None:
        writer = StreamWriter(self._protocol, asyncio.get_running_loop())
        if length is None:
            writer.enable_chunking()
        sent = 0
        async for piece in stream:
            sent += len(piece)
            if length is not None and sent > length:
                raise httpx.LocalProtocolError("The request body is longer than its Content-Length.")
            if length is None and piece:
                await self._write_chunk(writer, piece)
            else:
                await writer.write(piece)
            self._sent = sent == length
        if length is not None and sent < length:
            raise httpx.LocalProtocolError("The request body is shorter than its Content-Length.")
        await writer.write_eof()
        self._sent = True

    async def _write_chunk(self, writer: StreamWriter, piece: bytes) -> None:
        """Without copying it, which aiohttp does: asyncio's own ``writelines`` copies, or forgets to hold us back."""
        transport = self._protocol.transport
        if transport is None or transport.is_closing() or type(transport).__module__.startswith("asyncio."):
            await writer.write(piece)
        else:
            transport.writelines((b"%x\r\n" % len(piece), piece, b"\r\n"))
            await writer.drain()

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> bytes:
        content = self._content
        if isinstance(content, Pieces):
            try:
                while not content._buffer and not content._eof:
                    await content.more()
            except ENGINE_ERRORS as error:
                self.end()
                raise self.failure(error) from error
            if content._buffer:  # what came before a break goes out before it is told
                return content.take()
        self.end()
        raise StopAsyncIteration

    def failure(self, error: Exception) -> Exception:
        """What the caller is to see of the engine's error, or what its own request stream raised and so caused it."""
        _let_go(error)
        own, self._upload_error = self._upload_error, None
        return own or _translated(error)

    async def aclose(self) -> None:
        self.end()

    def let_go(self) -> None:
        """All that matters was read: the connection may be used again if the end of its answer follows soon."""
        if self._ended:
            return
        content, loop = self._content, asyncio.get_running_loop()
        if content is None or content.is_eof() or content.exception() is not None:
            self.end()
            return
        self._ending = loop.call_later(_END_WITHIN, self.end)
        self._protocol.on_loss = self.end
        content.on_eof(self._end_soon)

    def _end_soon(self) -> None:
        """Once it is known whether more came than the end."""
        asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        """Give the connection back, which closes it, at once and unflushed, unless the exchange is over and clean."""
        if self._ended:
            return
        self._ended = True
        if self._ending is not None:
            self._ending.cancel()
            self._ending = self._protocol.on_loss = None
        if self._upload is not None:
            self._upload.cancel()
        if self._content is not None and self._sent:
            self._connection.release()  # closed by the pool if the answer is not at its end, or more came than that
            self._protocol.rest()
        else:
            self._connection.close()


def _let_go(error: Exception) -> None:
    """The engine keeps its error, and with its traceback everyone that waited for it, for as long as a cycle lasts."""
    error.__traceback__ = None


def _translated(error: Exception) -> httpx.TransportError:
    if isinstance(error, ServerDisconnectedError):
        return httpx.RemoteProtocolError("Server disconnected without sending a response.")
    if isinstance(error, ClientPayloadError):
        return httpx.RemoteProtocolError("The upstream cut its response short.")
    if isinstance(error, HttpProcessingError):
        return httpx.RemoteProtocolError("The upstream sent what is not HTTP.")
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return httpx.WriteError("The upstream closed the connection while the request was being sent.")
    return httpx.ReadError("The connection to the upstream broke.")
