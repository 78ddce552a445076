"""How an answer's pieces leave a fake upstream, and the transport that takes them in the same process."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Coroutine
from typing import Any, Protocol, Self

import httpx

from .answers import Answer
from .requests import FakeRequest


class Upstreamlike(Protocol):
    """What delivery needs of a fake upstream."""

    def playing(self, host: str) -> Upstreamlike: ...

    def came(self, request: FakeRequest) -> None: ...

    async def reply(self, request: FakeRequest) -> Answer: ...

    def closed(self, request: FakeRequest, *, early: bool) -> None: ...


class FakeTransport(httpx.AsyncBaseTransport):
    """Hands requests to a fake upstream in the same process and streams its answers chunk by chunk."""

    def __init__(self, upstream: Upstreamlike) -> None:
        self._upstream = upstream
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in request.stream])
        target: bytes = request.extensions.get("target", request.url.raw_path)
        raw_path, _, query = target.partition(b"?")
        came = FakeRequest(
            request.method, raw_path, query, list(request.headers.raw), body, request.url.host, dict(request.extensions)
        )
        came.target = target
        upstream = self._upstream.playing(came.host)
        upstream.came(came)
        answer = await upstream.reply(came)
        stream = AnswerStream(upstream, came, answer)
        if not answer.status:
            await stream.no_head()
        return httpx.Response(answer.status, headers=answer.headers, stream=stream)

    async def aclose(self) -> None:
        self.closed = True


class AnswerStream(httpx.AsyncByteStream):
    """The body of one answer, until it has been read to its end or closed."""

    def __init__(self, upstream: Upstreamlike, request: FakeRequest, answer: Answer) -> None:
        self._upstream = upstream
        self._request = request
        self._chunks = _iterated(answer)
        self._open = True

    # Not an async generator: one that is dropped half-way leaves its end to the garbage collector.
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._close(early=False)
            raise

    async def no_head(self) -> None:
        """What becomes of an answer without a head: nothing comes, or the connection ends."""
        try:
            await anext(self)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        self._close(early=True)
        await self._chunks.aclose()

    def _close(self, *, early: bool) -> None:
        if self._open:
            self._open = False
            self._upstream.closed(self._request, early=early)


async def _iterated(answer: Answer) -> AsyncGenerator[bytes, None]:
    """The chunks, and then how the answer ends: a cut and a reset are what httpx's own transport raises for them."""
    chunks = answer.chunks
    if isinstance(chunks, AsyncIterable):
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            if inspect.isasyncgen(chunks):
                await chunks.aclose()
    else:
        for chunk in chunks:
            await asyncio.sleep(0)  # a real upstream lets other tasks run between its chunks
            yield chunk
    if answer.ending == "open":
        await asyncio.Event().wait()
    elif answer.ending == "cut":
        raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
    elif answer.ending == "reset":
        raise httpx.ReadError("connection reset by peer")


async def done_or_left(work: Coroutine[Any, Any, None], leaving: Awaitable[object]) -> None:
    """Does the work, but no longer than its client stays. Raises what the work raises."""
    doing, gone = asyncio.ensure_future(work), asyncio.ensure_future(leaving)
    try:
        await asyncio.wait([doing, gone], return_when=asyncio.FIRST_COMPLETED)
    finally:
        doing.cancel()
        gone.cancel()
        await asyncio.gather(doing, gone, return_exceptions=True)
    if not doing.cancelled():
        doing.result()
