"""Limits in a real Redis: the contract of stores, on the server's own clock; and a server that is away or hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from openai_gateway_asgi import ConfigError
from openai_gateway_asgi.limits import RedisLimits, StoreDown
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import answer
from tests.limits.redis_server import PROGRAM, RedisServer
from tests.limits.store_contract import Now, PassTime, StoreContract, bucket, places

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed")


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with RedisServer() as server:
        yield server


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisLimits]:
    store = RedisLimits(server.url, timeout=2.0)  # a busy machine is no outage
    yield store
    await store.aclose()


@pytest.fixture
def now() -> Now:
    return time.time


@pytest.fixture
def pass_time() -> PassTime:
    return asyncio.sleep


class TestRedisLimits(StoreContract):
    pass


async def test_two_gateways_on_one_server_do_not_see_each_other(server: RedisServer, store: RedisLimits) -> None:
    other = RedisLimits(server.url, prefix="other", timeout=2.0)
    await store.take([bucket(10)])
    assert (await other.take([bucket(10)])).granted
    await other.aclose()


async def test_every_account_expires_by_itself(server: RedisServer, store: RedisLimits) -> None:
    await store.take([bucket(10), places("a", seconds=5.0)])
    client = store._client()
    ages = [await client.pttl(key) for key in await client.keys("*")]
    assert len(ages) == 2
    assert all(0 < age <= 6001 for age in ages)


async def test_a_server_that_is_away_is_told_and_then_left_alone_and_then_used_again(server: RedisServer) -> None:
    store = RedisLimits(server.url, timeout=0.5)
    assert (await store.take([bucket(1)])).granted
    server.kill()
    for _ in range(4):
        with pytest.raises(StoreDown):
            await store.take([bucket(1)])
    begin = time.monotonic()
    for _ in range(100):
        with pytest.raises(StoreDown, match="left alone"):
            await store.take([bucket(1)])
    assert time.monotonic() - begin < 0.5
    await server.start()
    async with asyncio.timeout(5):
        while True:
            try:
                assert (await store.take([bucket(1)])).granted
                break
            except StoreDown:
                await asyncio.sleep(0.05)
    await store.aclose()


async def test_one_that_hangs_costs_a_call_no_more_than_its_time() -> None:
    async with FakeUpstream(wire=[answer()], on_connect=lambda connection: connection.peer_gone.wait()) as silent:  # type: ignore[arg-type,return-value]
        store = RedisLimits(f"redis://127.0.0.1:{silent.port}/0")
        begin = time.monotonic()
        with pytest.raises(StoreDown):
            await store.take([bucket(1)])
        assert time.monotonic() - begin < 0.5
        await store.aclose()


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigError, match="redis://"):
        RedisLimits("localhost:6379")


def test_its_repr_shows_no_password() -> None:
    assert "hunter2" not in repr(RedisLimits("redis://:hunter2@localhost/0"))
