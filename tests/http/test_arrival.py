from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openai_gateway_asgi.errors import ClientDisconnected
from openai_gateway_asgi.http import arrival as module
from openai_gateway_asgi.http.arrival import Arrival
from openai_gateway_asgi.http.timers import GRACE, Clock

GONE = {"type": "http.disconnect"}


def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Line:
    """The server's end: what it has to say, in order; one who stops receiving takes what was under way along."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.came = asyncio.Event()
        self.received = 0
        self.cancelled = 0

    def say(self, *messages: dict[str, Any]) -> None:
        self.messages += messages
        self.came.set()

    async def __call__(self) -> dict[str, Any]:
        self.received += 1
        try:
            while not self.messages:
                self.came.clear()
                await self.came.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.messages.pop(0)


async def immediate() -> str:
    return "at once"


@asynccontextmanager
async def waiting(
    line: Line, *, released: asyncio.Event | None = None
) -> AsyncIterator[tuple[Arrival, asyncio.Task[Any]]]:
    """A request that waits for what comes when ``released`` is set, long enough to be watched."""
    released = released or asyncio.Event()

    async def wait() -> str:
        await released.wait()
        return "in the end"

    arrival = Arrival(line, Clock.of(asyncio.get_running_loop()))

    async def run() -> str:
        return await arrival.awaited(wait())

    with arrival:
        task = asyncio.create_task(run())
        await asyncio.sleep(2 * GRACE)
        yield arrival, task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_needs_no_waiting_sets_nothing_up() -> None:
    line = Line(piece(b"a"))
    with Arrival(line, Clock.of(asyncio.get_running_loop())) as arrival:
        assert await arrival.awaited(immediate()) == "at once"
        assert arrival.onward is line
    assert line.received == 0


async def test_what_is_soon_over_receives_nothing() -> None:
    line = Line(piece(b"a"))
    with Arrival(line, Clock.of(asyncio.get_running_loop())) as arrival:
        await arrival.awaited(asyncio.sleep(0))
        assert arrival.onward is line
    assert line.received == 0


async def test_a_client_that_leaves_is_noticed_behind_all_that_it_sent() -> None:
    async with waiting(Line(piece(b"a"), piece(b"b", more=False), GONE)) as (_, task):
        with pytest.raises(ClientDisconnected):
            await task


async def test_a_client_that_leaves_later_is_noticed() -> None:
    line = Line(piece(b"a"))
    async with waiting(line) as (_, task):
        assert not task.done()
        line.say(GONE)
        with pytest.raises(ClientDisconnected):
            await task


async def test_what_came_meanwhile_comes_first_and_in_order() -> None:
    line, released = Line(piece(b"a"), piece(b"b")), asyncio.Event()
    async with waiting(line, released=released) as (arrival, task):
        released.set()
        assert await task == "in the end"
        line.say(piece(b"c", more=False), GONE)
        got = [(await arrival.receive()) for _ in range(4)]
        assert got == [piece(b"a"), piece(b"b"), piece(b"c", more=False), GONE]


async def test_a_receive_under_way_is_taken_over_and_not_cancelled() -> None:
    line, released = Line(), asyncio.Event()
    async with waiting(line, released=released) as (arrival, task):
        released.set()
        await task
        receiving = asyncio.create_task(arrival.onward())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        line.say(piece(b"a"))
        assert await receiving == piece(b"a")
        assert (line.received, line.cancelled) == (1, 0)


async def test_who_stops_waiting_for_a_message_leaves_it_to_the_next() -> None:
    line, released = Line(), asyncio.Event()
    async with waiting(line, released=released) as (arrival, task):
        released.set()
        await task
        leaving = asyncio.create_task(arrival.receive())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        line.say(piece(b"a"))
        assert await arrival.receive() == piece(b"a")


async def test_at_the_end_nothing_is_received_any_more() -> None:
    line, released = Line(), asyncio.Event()
    async with waiting(line, released=released) as (_, task):
        released.set()
        await task
    await asyncio.sleep(0)
    assert (line.received, line.cancelled) == (1, 1)


@pytest.mark.parametrize("limit", ["AHEAD", "ALL_AHEAD"])
async def test_no_more_is_kept_than_the_bound_and_nothing_is_lost_behind_it(
    limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, limit, 25)
    clock = Clock.of(asyncio.get_running_loop())
    line, released = Line(*(piece(b"0123456789") for _ in range(10)), piece(b"", more=False)), asyncio.Event()
    async with waiting(line, released=released) as (arrival, task):
        assert line.received == 3
        assert clock.read_ahead == 30
        released.set()
        await task
        body = b""
        while (message := await arrival.receive())["more_body"]:
            body += message["body"]
        assert body == b"0123456789" * 10
        assert clock.read_ahead == 0
    assert clock.read_ahead == 0


async def test_what_was_kept_is_let_go_at_the_end() -> None:
    clock = Clock.of(asyncio.get_running_loop())
    async with waiting(Line(piece(b"0123456789"))):
        assert clock.read_ahead == 10
    assert clock.read_ahead == 0


async def test_a_receive_that_fails_fails_whoever_reads() -> None:
    async def broken() -> dict[str, Any]:
        raise OSError("the server's own")

    released = asyncio.Event()
    async with waiting(broken, released=released) as (arrival, task):  # type: ignore[arg-type]
        released.set()
        await task
        with pytest.raises(OSError, match="own"):
            await arrival.receive()
