"""Limits in a real Redis: the contract of stores, on the server's own clock; and a server that is away or hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from openai_gateway_asgi import ConfigError, User
from openai_gateway_asgi.host.records import Outcome, UsageRecord
from openai_gateway_asgi.host.usage import Usage
from openai_gateway_asgi.http.background import Background
from openai_gateway_asgi.limits import Claim, Limit, RedisLimits, StoreDown, redis, settling
from openai_gateway_asgi.limits.desk import Desk
from openai_gateway_asgi.limits.limit import Subject
from openai_gateway_asgi.limits.reservation import Call
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import answer
from tests.limits.redis_server import PROGRAM, Lossy, RedisServer
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


def answered(*, tokens: int) -> UsageRecord:
    return UsageRecord(
        request_id="r",
        upstream_request_id=None,
        operation="createChatCompletion",
        user=User("ann"),
        model="m",
        upstream="up",
        upstream_model="m",
        status=200,
        outcome=Outcome.COMPLETED,
        error=None,
        attempts=1,
        streamed=False,
        first_byte=0.1,
        total=0.2,
        usage=Usage(input=tokens, output=0),
    )


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


async def used_again(store: RedisLimits) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                assert (await store.take([bucket(1)])).granted
                return
            except StoreDown:
                await asyncio.sleep(0.01)


async def test_a_server_that_is_away_is_told_and_then_left_alone_and_then_used_again(server: RedisServer) -> None:
    store = RedisLimits(server.url, timeout=0.5)
    assert (await store.take([bucket(1)])).granted
    server.kill()
    for _ in range(4):
        with pytest.raises(StoreDown):
            await store.take([bucket(1)])
    with pytest.raises(StoreDown, match="left alone"):
        store.take([bucket(1)]).send(None)  # it is said at once: nothing is waited for
    await server.start()
    await used_again(store)
    await store.aclose()


async def test_what_was_settled_without_an_answer_is_not_settled_twice(
    server: RedisServer, store: RedisLimits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "SETTLED_AGAIN", 0.01)
    limit = Limit(tokens=1000, per="day", by="user")
    background, ann = Background(), User("ann")
    async with Lossy(server) as lossy:
        desk = Desk([limit], RedisLimits(lossy.url, timeout=0.5), None, background)

        async def call() -> tuple[Claim, ...]:
            reservation = await desk.reserve(Call([limit], Subject(ann, ("m",)), Usage(input=400, output=0), ()))
            desk.settle(reservation, answered(tokens=100))
            return tuple(claim for _, claim in reservation.held)

        claims = await call()
        await background.aclose()
        lossy.lose_after_next_take()
        await call()
        await lossy.lost.wait()
        lossy.losing = False
        await background.aclose()
        await desk.aclose()
    (balance,) = await store.balances(claims)
    assert balance.remaining == 800


async def test_who_leaves_before_the_answer_came_gets_back_what_was_granted(
    server: RedisServer, store: RedisLimits
) -> None:
    limits = [Limit(tokens=1000, per="day", by="user"), Limit(concurrent=2, by="user")]
    background, subject = Background(), Subject(User("ann"), ("m",))
    async with Lossy(server) as lossy:
        desk = Desk(limits, RedisLimits(lossy.url, timeout=2.0), None, background)
        first = await desk.reserve(Call(limits, subject, Usage(input=400, output=0), ()))
        lossy.held = asyncio.Event()
        leaving = asyncio.create_task(desk.reserve(Call(limits, subject, Usage(input=400, output=0), ())))
        await lossy.answered.wait()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        lossy.held.set()
        await background.aclose()
        await desk.aclose()
    balances = await store.balances([claim for _, claim in first.held])
    assert [balance.remaining for balance in balances] == [600, 1]


async def test_a_call_asks_the_server_once_before_its_answer_begins(server: RedisServer, store: RedisLimits) -> None:
    limits = [Limit(requests=9, per="minute", by="user"), Limit(tokens=900, per="day"), Limit(concurrent=3)]
    desk, subject = Desk(limits, store, None, Background()), Subject(User("ann"), ("m",))
    counted = []
    for _ in range(3):
        await desk.reserve(Call(limits, subject, Usage(input=1, output=0), ()))
        stats = await store._client().info("commandstats")
        counted.append(stats["cmdstat_evalsha"]["calls"])
    assert [later - earlier for earlier, later in pairwise(counted)] == [1, 1]


async def test_one_that_hangs_costs_a_call_no_more_than_its_time() -> None:
    async with FakeUpstream(wire=[answer()], on_connect=lambda connection: connection.peer_gone.wait()) as silent:  # type: ignore[arg-type,return-value]
        store = RedisLimits(f"redis://127.0.0.1:{silent.port}/0")
        async with asyncio.timeout(5):
            with pytest.raises(StoreDown):
                await store.take([bucket(1)])
        assert len(silent.connections) == 1
        await store.aclose()


async def test_one_that_hangs_costs_nothing_once_it_has_failed_and_is_found_when_it_is_back(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "FIRST_REST", 0.02)
    monkeypatch.setattr(redis, "LONGEST_REST", 0.02)
    store = RedisLimits(server.url, timeout=0.3)
    server.stop()
    await asyncio.gather(*(store.take([bucket(1)]) for _ in range(5)), return_exceptions=True)
    for _ in range(40):  # some while it rests, some while it is looked for, and hangs
        with pytest.raises(StoreDown):
            store.take([bucket(1)]).send(None)
        await asyncio.sleep(0.01)
    server.go_on()
    await used_again(store)
    await store.aclose()


async def test_calls_that_fail_together_make_it_rest_once(server: RedisServer) -> None:
    store = RedisLimits(server.url, timeout=0.1)
    server.stop()
    await asyncio.gather(*(store.take([bucket(1)]) for _ in range(30)), return_exceptions=True)
    server.go_on()
    assert store._rest == redis.FIRST_REST
    await store.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        None,
        "redis://:hunter2@localhost:port/0",
        "redis://:hunter2@localhost:99999",
        "redis://:hunter2@localhost/0?no_such_option=1",
        "redis://:hunter2@localhost/0?socket_timeout=long",
        "rediss://:hunter2@localhost/0?ssl_cert_reqs=perhaps",
    ],
)
def test_what_is_no_url_is_refused_at_the_start_and_not_call_by_call(url: Any) -> None:
    with pytest.raises(ConfigError, match="redis://") as caught:
        RedisLimits(url)
    assert caught.value.field == "limit_store"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"prefix": ""}, "limit_store.prefix"),
        ({"prefix": 5}, "limit_store.prefix"),
        ({"prefix": "a}b"}, "limit_store.prefix"),
        ({"timeout": 0}, "limit_store.timeout"),
        ({"timeout": -1}, "limit_store.timeout"),
        ({"timeout": float("nan")}, "limit_store.timeout"),
        ({"timeout": None}, "limit_store.timeout"),
        ({"timeout": "0.1"}, "limit_store.timeout"),
    ],
)
def test_what_would_make_every_call_find_the_store_away_is_refused(options: Any, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisLimits("redis://localhost/0", **options)
    assert caught.value.field == field


def test_its_repr_shows_no_password() -> None:
    assert "hunter2" not in repr(RedisLimits("redis://:hunter2@localhost/0"))
