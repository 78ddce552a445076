"""Requests to an upstream: built by hand for the hot path, and fetched whole for lists and checks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx

from ..errors import UpstreamError
from ..hidden import HiddenList
from ..http.asgi import RawHeaders
from .connections import Pool
from .inflate import inflater
from .lazy_headers import LazyHeaders
from .request_body import NO_BODY
from .response_reads import too_late, upstream_failure


class PreparedRequest(httpx.Request):
    """An ``httpx.Request`` put together from parts that are ready; ``headers`` have lower-case names."""

    def __init__(
        self, method: str, url: httpx.URL, headers: RawHeaders, stream: httpx.AsyncByteStream, connect: float
    ) -> None:
        self.method = method
        self.url = url
        self.headers = LazyHeaders(headers)
        self.stream = stream
        self.extensions = {"timeout": {"connect": connect, "read": None, "write": None, "pool": None}}

    def __repr__(self) -> str:
        """Without the query, in which there may be a key."""
        return f"<{type(self).__name__} {self.method} {self.url.copy_with(query=None)}>"


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
    sent = HiddenList([(b"host", pool.host), (b"accept-encoding", b"identity"), *headers])
    request = PreparedRequest("GET", pool.url(path, query, keep=False), sent, NO_BODY, connect)
    request.extensions["target"] = pool.target(path, query)
    try:
        async with asyncio.timeout(deadline):
            response = await pool.transport.handle_async_request(request)
            try:
                body = await _read(response, limit)
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise too_late() from error
    except Exception as error:
        raise upstream_failure(error) from error
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
