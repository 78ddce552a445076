"""Configurations that change while calls run: none is harmed, each sees one of them, and what was replaced is closed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from openai_gateway_asgi import Gateway, Timeouts
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import chat_events
from openai_gateway_asgi.testing.wire import Call, answer, chunked, head
from tests.reliability.gateways import ADMIN, MODEL, at, call, chat, make_gateway, talk
from tests.support.asgi import ask

WHOLE = chat_events(chat(stream=True))
STREAMS = 20
CHANGES = 100


class Slow:
    """Whole answers at once; streams stop in the middle until ``go_on`` is set."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        if b'"stream":true' not in await call.read_body():
            await answer(200, body=b'{"id": "1"}')(call)
            return
        await call.send(head(200, ((b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked"))))
        await call.send(chunked(WHOLE[1]))
        await self.go_on.wait()
        await call.send(b"".join(map(chunked, WHOLE[2:])) + b"0\r\n\r\n")


async def change(gateway: Gateway, url: str, number: int) -> None:
    """Puts configuration ``number`` in force: every field of its upstream, and so its pool too, says which it is."""
    etag = (await ask(gateway, "GET", "/v1/config", headers=ADMIN)).header("etag") or ""
    config = {
        "ENABLE_OPENAI_API": True,
        "OPENAI_API_BASE_URLS": [f"{url}/{number}/v1"],
        "OPENAI_API_KEYS": [f"key-{number}"],
        "OPENAI_API_CONFIGS": {"0": {"model_ids": [MODEL], "headers": {"X-Number": str(number)}, "name": f"n{number}"}},
    }
    saved = await ask(gateway, "POST", "/v1/config/update", json=config, headers={**ADMIN, "if-match": etag})
    assert saved.status == 200, saved.body


def assert_one_configuration(upstream: FakeUpstream) -> set[bytes]:
    """Each request shows one; all of those that were seen."""
    seen = set()
    for request in upstream.requests:
        (number,) = request.values("x-number")
        assert request.target == b"/%b/v1/chat/completions" % number
        assert request.values("authorization") == [b"Bearer key-" + number]
        seen.add(number)
    return seen


async def change_all_the_time(rounds: int) -> None:
    """A hundred changes in each round, with calls coming in all the time and streams that span many changes."""
    slow, numbers = Slow(), itertools.count(1)
    async with FakeUpstream(wire=[slow]) as upstream:
        first = at(upstream.url + "/0", api_key="key-0", headers={"X-Number": "0"})
        gateway = make_gateway([first], timeouts=Timeouts())
        done = asyncio.Event()
        callers = [asyncio.create_task(keep_calling(gateway, done)) for _ in range(4)]
        for _ in range(rounds):
            slow.go_on.clear()
            bodies = await round_of_changes(gateway, upstream.url, numbers, slow)
            assert bodies == [b"".join(WHOLE[1:])] * STREAMS
        done.set()

        assert sum(await asyncio.gather(*callers)) >= CHANGES * rounds
        assert len(assert_one_configuration(upstream)) >= CHANGES * rounds // 4
        await until(lambda: upstream.open_connections <= 4)  # the pool in force, and nothing of those before it
        await gateway.aclose()
        await until(lambda: upstream.open_connections == 0)


async def keep_calling(gateway: Gateway, done: asyncio.Event) -> int:
    calls = 0
    while not done.is_set():
        assert (await call(gateway)).status == 200
        calls += 1
    return calls


async def round_of_changes(gateway: Gateway, url: str, numbers: Iterator[int], slow: Slow) -> list[bytes]:
    """What the streams of the round gave."""
    streams, started = [], []

    async def stream() -> bytes:
        async with talk(gateway) as talking:
            await talking.receive_start()
            started.append(talking)
            return await talking.receive_rest()

    for number in itertools.islice(numbers, CHANGES):
        if number % (CHANGES // STREAMS) == 0:
            streams.append(asyncio.create_task(stream()))
        await change(gateway, url, number)
    await until(lambda: len(started) == len(streams))
    slow.go_on.set()
    return await asyncio.gather(*streams)


async def until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


async def test_a_hundred_changes_while_streams_run() -> None:
    await change_all_the_time(rounds=1)


@pytest.mark.soak
async def test_a_thousand_changes_while_streams_run() -> None:
    await change_all_the_time(rounds=10)


async def test_a_replaced_pool_closes_after_its_last_stream_and_not_before() -> None:
    slow = Slow()
    async with FakeUpstream(wire=[slow]) as upstream:
        gateway = make_gateway(
            [at(upstream.url + "/0", api_key="key-0", headers={"X-Number": "0"})], timeouts=Timeouts()
        )
        async with talk(gateway) as first, talk(gateway) as second:
            await first.receive_start()
            await second.receive_start()
            await change(gateway, upstream.url, 1)
            assert upstream.open_connections == 2
            second.disconnect()
            await second.ended()
            await upstream.connections[1].closed()
            assert upstream.open_connections == 1
            slow.go_on.set()
            assert (await first.receive_rest()).endswith(b"[DONE]\n\n")
        await upstream.connections[0].closed()
        await gateway.aclose()


async def test_a_call_between_two_tries_goes_on_with_the_configuration_it_began_with() -> None:
    async with FakeUpstream(wire=[answer(429, ((b"Retry-After-Ms", b"100"),)), answer(200)]) as upstream:
        gateway = make_gateway([at(upstream.url + "/0", api_key="key-0", headers={"X-Number": "0"})])
        calling = asyncio.create_task(call(gateway))
        await upstream.until_requests(1)
        await change(gateway, upstream.url, 1)

        assert (await calling).status == 200
        assert assert_one_configuration(upstream) == {b"0"}
        await until(lambda: upstream.open_connections == 0)
        await gateway.aclose()
