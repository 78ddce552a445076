"""Many streams at once, and clients that leave at random: none of the others notices, and nothing is left.

The gateway has a process to itself, clients and upstream another. The usual run is a small one; ``-m soak`` is the load
of the README.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import chat_events
from openai_gateway_asgi.testing.wire import Call, chunked, head
from tests.reliability.clients import Client, request
from tests.reliability.gateways import CHAT, chat
from tests.reliability.processes import OTHERS, many_files, run, vitals
from tests.reliability.vitals import Moment
from tests.support.servers import Program

logger = logging.getLogger(__name__)

EVENTS = chat_events(chat(stream=True))
STALL = 0.05
"""Seconds that nothing on the gateway's event loop may take in one go."""
GROWTH = 5 * 1024 * 1024
"""Bytes that its process may grow by once it is warm: after the second of five rounds, or a quarter of many."""


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    with many_files():
        yield


@dataclass
class Load:
    """``streams`` at once, in ``rounds``; each client leaves with the chance ``leaving``, at one of the stages."""

    streams: int
    rounds: int
    leaving: float
    pause: float
    """Seconds between two events."""
    stages: tuple[str, ...] = ("stream",)


async def slowly(call: Call, pause: float) -> None:
    await call.read_body()
    await call.send(head(200, ((b"Content-Type", b"text/event-stream"), (b"Transfer-Encoding", b"chunked"))))
    for event in EVENTS:
        await call.send(chunked(event))
        await asyncio.sleep(pause)
    await call.send(b"0\r\n\r\n")


@asynccontextmanager
async def serving(load: Load, server: str) -> AsyncIterator[tuple[Program, FakeUpstream]]:
    async with FakeUpstream(wire=[lambda call: slowly(call, load.pause)]) as upstream:
        async with run(server, "app", {"UPSTREAM_URL": upstream.url, "WATCH_CALLBACKS": "1"}) as program:
            yield program, upstream


async def one(program: Program, load: Load, chance: random.Random, connecting: asyncio.Semaphore) -> str:
    """One client's call: ``whole``, ``left``, or what went wrong."""
    stays = chance.random() >= load.leaving
    stage = chance.choice(load.stages)
    async with connecting:
        client = await Client.to(program)
    try:
        body = request(chat(stream=True), path="/openai" + CHAT, close=True)
        if not stays and stage == "upload":
            await client.send(body[: chance.randrange(1, len(body))])
            await asyncio.sleep(chance.random() * load.pause)
            return "left"
        await client.send(body)
        if not stays and stage == "waiting":
            await asyncio.sleep(chance.random() * load.pause)
            return "left"
        if not stays:
            for _ in range(chance.randrange(1, len(EVENTS))):
                await client.until(b"\n\n", within=60)
            return "left"
        answer = await client.rest(within=60)
        return "whole" if b"data: [DONE]" in answer and b"event: error" not in answer else repr(answer[:300])
    except Exception as error:
        return repr(error)
    finally:
        await client.close()


async def back_to_base(program: Program, upstream: FakeUpstream, before: dict[str, Any]) -> None:
    """No place is held, no task is left, and of sockets only those that rest in the pool for the next call."""
    async with asyncio.timeout(10):
        while True:
            now = await vitals(program)
            more = [now[name] - before[name] for name in ("tasks", "in_use")]
            if max(more) <= 0 and now["sockets"] - before["sockets"] <= upstream.open_connections:
                return
            await asyncio.sleep(0.05)


async def put_under(load: Load, server: str, seed: int) -> None:
    """Asserts all that is promised of a load, and logs what it cost (``--log-cli-level=INFO`` shows it)."""
    chance, sizes, longest = random.Random(seed), list[int](), 0.0
    async with serving(load, server) as (program, upstream):
        before = await vitals(program)
        for _ in range(load.rounds):
            connecting = asyncio.Semaphore(50)
            calls = [one(program, load, chance, connecting) for _ in range(load.streams)]
            outcomes = Counter(await asyncio.gather(*calls))
            seen = await vitals(program)
            assert outcomes.keys() <= {"whole", "left"}, outcomes
            assert outcomes["whole"] >= load.streams * (1 - load.leaving) * 0.8
            assert seen["longest"] < STALL, seen["long"]
            await back_to_base(program, upstream, before)
            sizes.append(seen["memory"])
            longest = max(longest, seen["longest"])
        assert upstream.methods.keys() == {"POST"}
        assert upstream.methods["POST"] <= load.streams * load.rounds
    warm = max(1, load.rounds // 4)
    grown = [size - sizes[warm] for size in sizes[warm:]]
    assert max(grown) < GROWTH, sizes
    logger.info("longest callback %.0f ms, memory %+.1f MiB since it was warm", longest * 1000, grown[-1] / 2**20)


@pytest.mark.parametrize("stall", [lambda: time.sleep(0.03), lambda: burn(0.03)], ids=["blocked", "busy"])
async def test_the_measure_of_stalls_sees_one(stall: Callable[[], None]) -> None:
    moment = Moment()
    stall()
    assert moment.taken() > 0.025


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_two_hundred_streams_of_which_some_are_left(http: str) -> None:
    await put_under(Load(streams=200, rounds=2, leaving=0.1, pause=0.02), http, seed=1)


async def test_calls_left_at_any_stage() -> None:
    load = Load(streams=200, rounds=2, leaving=0.3, pause=0.005, stages=("upload", "waiting", "stream"))
    await put_under(load, "httptools", seed=2)


@pytest.mark.soak
@pytest.mark.parametrize("server", ["h11", "httptools", *OTHERS])
async def test_a_thousand_streams_in_five_rounds(server: str) -> None:
    await put_under(Load(streams=1000, rounds=5, leaving=0.1, pause=0.3), server, seed=3)


@pytest.mark.soak
@pytest.mark.parametrize("server", ["h11", "httptools", *OTHERS])
async def test_twenty_thousand_calls_of_which_a_third_are_left(server: str) -> None:
    load = Load(streams=500, rounds=40, leaving=0.3, pause=0.01, stages=("upload", "waiting", "stream"))
    await put_under(load, server, seed=4)
