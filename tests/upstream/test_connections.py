from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from openai_gateway_asgi.config import Settings, Upstream
from openai_gateway_asgi.testing import FakeUpstream, wire
from openai_gateway_asgi.upstream.connections import Connections, Pool
from openai_gateway_asgi.upstream.requests import fetch
from tests.support.leaks import open_sockets


@pytest.fixture
async def connections() -> AsyncIterator[Connections]:
    connections = Connections(Settings())
    yield connections
    await connections.aclose()


async def get(pool: Pool, path: str = "/x") -> int:
    answer = await fetch(pool, path, [], connect=1, deadline=5, limit=1000)
    return answer.status


async def test_an_upstream_has_one_pool_and_no_other_shares_it(connections: Connections) -> None:
    first, second = Upstream("http://a/v1"), Upstream("http://b/v1")
    pool = connections.lease(first)
    assert connections.lease(first) is pool
    assert connections.lease(Upstream("http://a/v1", api_key="other")) is pool
    assert connections.lease(second) is not pool
    assert connections.lease(Upstream("http://a/v1", name="other")) is not pool
    assert connections.lease(Upstream("http://a/v1", proxy="http://p:1")) is not pool


async def test_a_connection_is_used_again_and_closed_at_the_end(connections: Connections) -> None:
    async with FakeUpstream(wire=[wire.answer()]) as server:
        pool = connections.lease(Upstream(server.url))
        for _ in range(3):
            assert await get(pool) == 200
        pool.release()
        assert len(server.connections) == 1
        await connections.aclose()
        await server.connections[0].closed()


async def test_a_retired_pool_closes_after_its_last_request(connections: Connections) -> None:
    gate = asyncio.Event()
    events = wire.sse(b"data: 1\n\n", b"data: 2\n\n", gates={1: gate})
    async with FakeUpstream(wire=[events, wire.answer()]) as server:
        upstream = Upstream(server.url)
        pool = connections.lease(upstream)
        response = await pool.transport.handle_async_request(httpx.Request("GET", pool.url("/x", b"", keep=True)))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        chunks = response.stream.__aiter__()
        assert await anext(chunks) == b"data: 1\n\n"
        connections.keep_only([])
        assert connections.lease(upstream) is not pool  # no new request joins it
        gate.set()
        assert await anext(chunks) == b"data: 2\n\n"
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)
        await response.aclose()
        pool.release()
        await server.connections[0].closed()


async def test_an_upstream_that_is_configured_no_more_is_served_once_and_closed(connections: Connections) -> None:
    async with FakeUpstream(wire=[wire.answer()]) as server:
        connections.keep_only([])
        pool = connections.lease(Upstream(server.url))
        assert await get(pool) == 200
        pool.release()
        await server.connections[0].closed()


async def test_a_new_configuration_keeps_the_pools_it_still_names(connections: Connections) -> None:
    upstream = Upstream("http://a/v1")
    pool = connections.lease(upstream)
    connections.keep_only([Upstream("http://a/v1", model_ids=["m"]), Upstream("http://b/v1")])
    assert connections.lease(upstream) is pool
    assert not pool.retired


async def test_a_transport_of_the_hosts_serves_all_and_stays_open() -> None:
    recorder = FakeUpstream()
    transport = recorder.transport()
    connections = Connections(Settings(), transport)
    pool = connections.lease(Upstream("http://a/v1"))
    assert pool.transport is transport
    assert await get(pool, "/models") == 200
    pool.release()
    connections.keep_only([])
    await connections.aclose()
    assert not transport.closed


async def test_after_closing_a_later_request_opens_anew(connections: Connections) -> None:
    async with FakeUpstream(wire=[wire.answer()]) as server:
        upstream = Upstream(server.url)
        for number in (1, 2):
            pool = connections.lease(upstream)
            assert await get(pool) == 200
            pool.release()
            await connections.aclose()
            assert len(server.connections) == number


def test_each_event_loop_has_its_own_and_ended_loops_leave_nothing() -> None:
    connections = Connections(Settings())
    before = open_sockets()

    async def once(*, close: bool) -> None:
        async with FakeUpstream(wire=[wire.answer()]) as server:
            pool = connections.lease(Upstream(server.url, name="u"))
            assert await get(pool) == 200
            pool.release()
            if close:
                await connections.aclose()

    asyncio.run(once(close=False))
    asyncio.run(once(close=False))
    asyncio.run(once(close=True))
    assert open_sockets() == before


@pytest.mark.parametrize(
    ("base", "path", "query", "target"),
    [
        ("http://a", "/models", b"", b"/models"),
        ("http://a/v1", "/models", b"", b"/v1/models"),
        ("http://a/v1", "/models", b"a=b%2Fc&d", b"/v1/models?a=b%2Fc&d"),
        ("http://a/b%20c", "/files/x%2Fy", b"", b"/b%20c/files/x%2Fy"),
        ("http://a/v1", "/x", b"y=//evil/../z", b"/v1/x?y=//evil/../z"),
    ],
)
async def test_the_address_is_the_base_and_the_path_as_they_are(
    base: str, path: str, query: bytes, target: bytes
) -> None:
    pool = Pool(base, httpx.MockTransport(lambda request: httpx.Response(200)), None)
    for _ in range(2):
        url = pool.url(path, query, keep=True)
        assert (url.raw_path, url.host) == (target, "a")


async def test_only_addresses_of_a_fixed_set_are_kept() -> None:
    pool = Pool("http://a", httpx.MockTransport(lambda request: httpx.Response(200)), None)
    assert pool.url("/models", b"", keep=True) is pool.url("/models", b"", keep=True)
    assert pool.url("/files/1", b"", keep=False) is not pool.url("/files/1", b"", keep=False)
    assert pool.url("/models", b"a", keep=True) is not pool.url("/models", b"a", keep=True)
