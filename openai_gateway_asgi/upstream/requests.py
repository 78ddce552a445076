"""Requests to an upstream: built by hand for the hot path, and fetched whole for lists and checks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from ..asgi import RawHeaders
from ..errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable
from .connections import Pool
from .inflate import inflater


class Body(httpx.AsyncByteStream):
    """A request body that is sent in one piece."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content


NO_BODY = Body(b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """An upstream's answer, whole."""

    status: int
    headers: RawHeaders
    body: bytes


async def fetch(
    pool: Pool, path: str, headers: RawHeaders, *, query: bytes = b"", connect: float, deadline: float, limit: int
) -> Answer:
    """GETs ``path`` whole, within ``deadline`` seconds and ``limit`` bytes, compressed or not.

    Raises ``UpstreamTimeout``, ``UpstreamUnavailable`` or ``UpstreamError``.
    """
    request = httpx.Request(
        "GET",
        pool.url(path, query, keep=False),
        headers=[(b"host", pool.host), (b"accept-encoding", b"identity"), *headers],
        stream=NO_BODY,
        extensions={"timeout": {"connect": connect, "read": None, "write": None, "pool": None}},
    )
    try:
        async with asyncio.timeout(deadline):
            response = await pool.transport.handle_async_request(request)
            try:
                body = await _read(response, limit)
            finally:
                await response.aclose()
    except (TimeoutError, httpx.TimeoutException) as error:
        raise UpstreamTimeout("The upstream did not answer in time.") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise UpstreamUnavailable("The upstream could not be reached.") from error
    return Answer(response.status_code, response.headers.raw, body)


async def _read(response: httpx.Response, limit: int) -> bytes:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    inflate = inflater(response.headers.get("content-encoding", ""))
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.stream:
        for piece in inflate(chunk):
            size += len(piece)
            if size > limit:
                raise UpstreamError("The upstream's answer is too large.")
            chunks.append(piece)
    return b"".join(chunks)
