"""Answers whose clients left, read to their end for the usage that stands there (``Upstream.on_leave="finish"``).

Of the call nothing else is held: its body, its places and what was told are let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import httpx

from ..errors import ClientDisconnected, GatewayError
from ..exchange import Exchange
from ..http.background import Background
from ..http.headers import EVENT_STREAM, media_type
from ..http.sse import EventSplitter
from ..upstream.inflate import inflater
from ..upstream.response_reads import Reads
from .endings import CHAT, RESPONSES, Course, State

MOST = 64
"""Answers without a client that one gateway reads on at a time; those beyond are cancelled."""
WITHIN = 120.0
"""Seconds that such an answer may still take."""
HELD = 1024 * 1024
"""Bytes of its events that are held until they are whole, to see the last one."""
FINISHED = CHAT | RESPONSES
"""Operations whose answers have a usage at their end."""

Lease = Callable[[], Callable[[], None]]
"""Holds the connections of the upstream at hand; what it gives lets them go."""


class Finishing:
    """Takes over what would be closed, as far as there is room."""

    def __init__(self, background: Background, *, most: int = MOST, within: float = WITHIN) -> None:
        self._background = background
        self._most = most
        self._within = within
        self.number = 0
        """How many are read at the moment."""

    def may_take(self, exchange: Exchange) -> bool:
        """Whether the answer to this call is to be read to its end should its client leave."""
        if exchange.upstream.on_leave != "finish" or not exchange.recorded or exchange.upload is not None:
            return False
        return exchange.upstream_match.endpoint.operation in FINISHED

    async def head(
        self, exchange: Exchange, asking: Coroutine[Any, Any, httpx.Response], lease: Lease
    ) -> httpx.Response:
        """What ``asking`` gives. It goes on when the client leaves before that."""
        task = asyncio.ensure_future(asking)
        try:
            response = await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            if self._takes(exchange, error):
                self._start(exchange, self._from_head(exchange, task), lease)
            else:
                await _abandoned(task)
            raise
        if not getattr(response.stream, "survives_cancelling", False):
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = Unbroken(response.stream)
        return response

    def takes_over(
        self, exchange: Exchange, error: BaseException, response: httpx.Response, reads: Reads | None, lease: Lease
    ) -> bool:
        """Whether it goes on with an answer that has begun; ``error`` is what ended its relay."""
        if reads is None or not self._takes(exchange, error):
            return False
        for piece in (exchange.unsent, exchange.rest):
            exchange.keep(piece, part=True)
        exchange.rest = b""
        self._start(exchange, self._to_end(exchange, response, reads), lease)
        return True

    def _takes(self, exchange: Exchange, error: BaseException) -> bool:
        left = isinstance(error, ClientDisconnected) or (isinstance(error, asyncio.CancelledError) and exchange.left)
        return left and self.number < self._most

    def _start(self, exchange: Exchange, work: Coroutine[Any, Any, None], lease: Lease) -> None:
        exchange.let_go_of_body()
        self.number += 1
        exchange.finishing = self._background.start(self._bounded(work, lease()))

    async def _bounded(self, work: Coroutine[Any, Any, None], release: Callable[[], None]) -> None:
        try:
            with suppress(TimeoutError, GatewayError, ClientDisconnected):
                async with asyncio.timeout(self._within):
                    await work
        finally:
            self.number -= 1
            release()

    async def _from_head(self, exchange: Exchange, asking: asyncio.Task[httpx.Response]) -> None:
        try:
            response = await asyncio.shield(asking)
        except asyncio.CancelledError:
            await _abandoned(asking)
            raise
        kind, coding = response.headers.get("content-type", ""), response.headers.get("content-encoding")
        exchange.sse = media_type(kind.encode("latin-1", "replace")) == EVENT_STREAM
        if response.status_code >= 400:
            await _closed(response)
            return
        await self._to_end(exchange, response, Reads(response, inflater(coding) if coding and exchange.sse else None))

    async def _to_end(self, exchange: Exchange, response: httpx.Response, reads: Reads) -> None:
        splitter, course = EventSplitter(HELD), Course(exchange.upstream_match.endpoint.operation)
        try:
            while (chunk := await reads.next()) is not None:
                exchange.keep(chunk, part=True)
                if exchange.streams and course.take_all(splitter.feed(chunk)) in (State.WHOLE, State.FAILED):
                    break
            if (let_go := getattr(response.stream, "let_go", None)) is not None:
                let_go()
                return
        except BaseException:
            await _closed(response)
            raise
        await _closed(response)


class Unbroken(httpx.AsyncByteStream):
    """A stream whose read goes on when who waits for it is cancelled; the next one gets what it gave."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream
        self._chunks: AsyncIterator[bytes] = stream.__aiter__()
        self._reading: asyncio.Task[bytes] | None = None

    def __aiter__(self) -> Unbroken:
        return self

    async def __anext__(self) -> bytes:
        if self._reading is None:
            self._reading = asyncio.ensure_future(_next(self._chunks))
        await asyncio.wait((self._reading,))
        read, self._reading = self._reading, None
        return read.result()

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._stream.aclose()


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    return await anext(chunks)


async def _closed(response: httpx.Response) -> None:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    await response.stream.aclose()


async def _abandoned(asking: asyncio.Task[httpx.Response]) -> None:
    """Nobody waits for it any more; an answer may have come in the same moment."""
    asking.cancel()
    (result,) = await asyncio.gather(asking, return_exceptions=True)
    if isinstance(result, httpx.Response):
        await _closed(result)
