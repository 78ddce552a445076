from __future__ import annotations

import asyncio
import gzip

import httpx
import pytest

from openai_gateway_asgi.errors import UpstreamError, UpstreamTimeout, UpstreamUnavailable
from openai_gateway_asgi.testing import Answer as Reply
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import bytes_answer
from openai_gateway_asgi.upstream.connections import Pool
from openai_gateway_asgi.upstream.request_body import NO_BODY
from openai_gateway_asgi.upstream.requests import Answer, PreparedRequest, fetch

AUTH = [(b"authorization", b"Bearer k")]


async def get(recorder: FakeUpstream, path: str = "/models", *, deadline: float = 5, limit: int = 1000) -> Answer:
    pool = Pool("http://a/v1", recorder.transport(), None)
    return await fetch(pool, path, AUTH, query=b"x=1", connect=1, deadline=deadline, limit=limit)


async def test_an_answer_is_fetched_whole() -> None:
    upstream = FakeUpstream()
    upstream.answer("/models", Reply([b"one ", b"two"], 207, [("x-a", "b")]))
    answer = await get(upstream)
    assert (answer.status, answer.body) == (207, b"one two")
    assert (b"x-a", b"b") in answer.headers
    request = upstream.last
    assert (request.method, request.path, request.query, request.body) == ("GET", "/v1/models", b"x=1", b"")
    assert request.headers == [(b"host", b"a"), (b"accept-encoding", b"identity"), *AUTH]
    assert request.extensions["timeout"]["connect"] == 1
    assert upstream.open_answers == 0


async def test_a_compressed_answer_is_inflated_within_the_limit() -> None:
    upstream = FakeUpstream()
    small, bomb = gzip.compress(b"x" * 900), gzip.compress(b"x" * 10_000_000)
    gzipped = [("content-encoding", "gzip")]
    upstream.answer("/models", *(bytes_answer(body, "application/json", 200, gzipped) for body in (small, bomb)))
    assert (await get(upstream)).body == b"x" * 900
    with pytest.raises(UpstreamError, match="too large"):
        await get(upstream)
    assert upstream.open_answers == 0


async def test_an_answer_that_is_too_long_is_not_read_to_its_end() -> None:
    upstream = FakeUpstream()
    upstream.answer("/models", Reply([b"x" * 600] * 100))
    with pytest.raises(UpstreamError, match="too large"):
        await get(upstream)
    assert len(upstream.closed_early) == 1


async def test_the_deadline_is_for_everything() -> None:
    upstream = FakeUpstream()

    async def hangs(request: object) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    async def stalls() -> object:
        yield b"x"
        await asyncio.Event().wait()

    upstream.answer("/models", hangs, Reply(stalls()))  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(UpstreamTimeout):
            await get(upstream, deadline=0.02)
    assert upstream.open_answers == 0


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (httpx.ConnectTimeout(""), UpstreamTimeout),
        (httpx.ConnectError(""), UpstreamUnavailable),
        (httpx.ReadError(""), UpstreamUnavailable),
        (httpx.RemoteProtocolError(""), UpstreamUnavailable),
        (OSError(), UpstreamUnavailable),
        (ExceptionGroup("x", [OSError()]), UpstreamUnavailable),
        (KeyError("a bug in a mock"), UpstreamUnavailable),
    ],
)
async def test_whatever_a_transport_raises_is_told_in_our_words(raised: Exception, seen: type[UpstreamError]) -> None:
    def fails(request: object) -> Reply:
        raise raised

    upstream = FakeUpstream()
    upstream.answer("/models", fails)
    with pytest.raises(seen) as caught:
        await get(upstream)
    assert caught.value.__cause__ is raised


async def test_a_cancelled_fetch_is_cancelled() -> None:
    upstream = FakeUpstream()

    async def hangs(request: object) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    upstream.answer("/models", hangs)
    task = asyncio.create_task(get(upstream))
    await upstream.until_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_prepared_headers_are_httpx_headers_to_whoever_looks() -> None:
    raw = [(b"host", b"up"), (b"x-a", b"1"), (b"x-a", b"2")]
    request = PreparedRequest("GET", httpx.URL("http://up"), raw, NO_BODY, 1.0)
    assert request.headers.raw is raw
    assert (request.headers["X-A"], request.headers.get_list("x-a")) == ("1, 2", ["1", "2"])
    assert request.headers.raw == raw
    request.headers["x-b"] = "3"
    del request.headers["x-a"]
    assert request.headers.raw == [(b"host", b"up"), (b"x-b", b"3")]
    assert httpx.Headers(request.headers) == request.headers == request.headers.copy()
