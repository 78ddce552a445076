"""A transport of httpx2, which succeeds httpx, where one of httpx is expected: the same calls, other classes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Self

import httpx
import httpx2


class Httpx2Transport(httpx.AsyncBaseTransport):
    """Sends through a transport of httpx2. Its failures leave as the ``httpx`` exceptions of the same names."""

    def __init__(self, transport: httpx2.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        asked = httpx2.Request(
            request.method,
            str(request.url),
            headers=request.headers.raw,
            stream=_RequestBody(request.stream),
            extensions=dict(request.extensions),
        )
        with _of_httpx():
            response = await self._transport.handle_async_request(asked)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        return httpx.Response(response.status_code, headers=response.headers.raw, stream=_AnswerBody(response.stream))

    async def aclose(self) -> None:
        await self._transport.aclose()


class _RequestBody(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._stream)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _AnswerBody(httpx.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._pieces = aiter(stream)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with _of_httpx():
            return await anext(self._pieces)

    async def aclose(self) -> None:
        await self._stream.aclose()


@contextmanager
def _of_httpx() -> Iterator[None]:
    """Raises what httpx2 raises as httpx does: the nearest class that has the same name there."""
    try:
        yield
    except httpx2.HTTPError as error:
        named = (getattr(httpx, kind.__name__, None) for kind in type(error).__mro__)
        found = next(kind for kind in named if isinstance(kind, type) and issubclass(kind, httpx.HTTPError))
        raise found(str(error)) from (error.__cause__ or error)
