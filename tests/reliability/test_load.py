"""Many streams at once, and clients that leave at random: none of the others notices, and nothing is left.

The usual run is a small one; ``-m soak`` is the load of the README.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import pytest

from openai_gateway_asgi import Gateway, Timeouts
from tests.reliability.clients import Client, request
from tests.reliability.gateways import at, chat, make_gateway
from tests.support.answers import chat_events
from tests.support.leaks import open_sockets
from tests.support.scripted import Call, ScriptedUpstream, chunked, head
from tests.support.servers import Http, Server, serve

EVENTS = chat_events(chat(stream=True))
WHOLE = b"".join(map(chunked, EVENTS))
STALL = 0.05
"""Seconds of CPU that nothing on the event loop may take in one go. Clients and upstream live on the same loop, so a
whole turn is theirs as well; what is measured is each single callback."""
GROWTH = 5 * 1024 * 1024
"""Bytes that the process may grow by after the second round."""


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 16384)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Load:
    """``streams`` at once, in ``rounds``; each client leaves with the chance ``leaving``, at a random stage."""

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
async def serving(load: Load, http: Http) -> AsyncIterator[tuple[Server, Gateway, ScriptedUpstream]]:
    async with ScriptedUpstream(lambda call: slowly(call, load.pause)) as upstream:
        gateway = make_gateway([at(upstream, max_concurrency=load.streams)], timeouts=Timeouts())
        async with serve(gateway, http=http, backlog=4096) as server:
            yield server, gateway, upstream
        await gateway.aclose()


async def one(server: Server, load: Load, chance: random.Random, connecting: asyncio.Semaphore) -> str:
    """One client's call: ``whole``, ``left``, or what went wrong."""
    stays = chance.random() >= load.leaving
    stage = chance.choice(load.stages)
    async with connecting:
        client = await Client.to(server)
    try:
        body = request(chat(stream=True), close=True)
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


async def back_to_base(gateway: Gateway, sockets: int, tasks: int) -> None:
    async with asyncio.timeout(10):
        while (
            any(each.in_use for each in gateway.health().upstreams.values())
            or len(asyncio.all_tasks()) > tasks + IDLE
            or open_sockets() > sockets + 2 * IDLE
        ):
            await asyncio.sleep(0.02)


IDLE = 1100
"""Connections that may rest in the pool after a round, each with a socket and a task at the upstream's end."""


@contextmanager
def longest_callback() -> Iterator[list[float]]:
    """The CPU seconds of the longest callback so far, in a list of one."""
    longest, run = [0.0], asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        longest[0] = max(longest[0], time.thread_time() - began)

    asyncio.Handle._run = timed  # type: ignore[method-assign]
    try:
        yield longest
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]


def memory() -> int:
    """Resident bytes of this process."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def bear(load: Load, http: Http, seed: int) -> None:
    """Asserts all that is promised of a load."""
    chance, sizes = random.Random(seed), []
    async with serving(load, http) as (server, gateway, upstream):
        tasks, sockets = len(asyncio.all_tasks()), open_sockets()
        for _ in range(load.rounds):
            connecting = asyncio.Semaphore(100)
            with longest_callback() as longest:
                outcomes = Counter(
                    await asyncio.gather(*[one(server, load, chance, connecting) for _ in range(load.streams)])
                )
            assert outcomes.keys() <= {"whole", "left"}, outcomes
            assert outcomes["whole"] >= load.streams * (1 - load.leaving) * 0.8
            assert longest[0] < STALL, longest
            await back_to_base(gateway, sockets, tasks)
            sizes.append(memory())
        assert upstream.methods.keys() == {"POST"}
        assert upstream.methods["POST"] <= load.streams * load.rounds
    assert all(size - sizes[1] < GROWTH for size in sizes[2:]), sizes


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_two_hundred_streams_of_which_some_are_left(http: Http) -> None:
    await bear(Load(streams=200, rounds=1, leaving=0.1, pause=0.02), http, seed=1)


async def test_calls_left_at_any_stage() -> None:
    load = Load(streams=200, rounds=2, leaving=0.3, pause=0.005, stages=("upload", "waiting", "stream"))
    await bear(load, "httptools", seed=2)


@pytest.mark.soak
@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_a_thousand_streams_in_five_rounds(http: Http) -> None:
    await bear(Load(streams=1000, rounds=5, leaving=0.1, pause=0.3), http, seed=3)


@pytest.mark.soak
async def test_twenty_thousand_calls_of_which_a_third_are_left() -> None:
    load = Load(streams=500, rounds=40, leaving=0.3, pause=0.01, stages=("upload", "waiting", "stream"))
    await bear(load, "httptools", seed=4)
