from __future__ import annotations

import asyncio
from contextvars import ContextVar
from time import monotonic

from openai_gateway_asgi.http.asgi import Message
from openai_gateway_asgi.http.cancellation import ClientWatch
from openai_gateway_asgi.http.timers import GRACE, TICK, Clock


class Guest:
    def __init__(self) -> None:
        self.told: list[float] = []
        self.news = asyncio.Event()

    def stayed(self) -> None:
        self.told.append(monotonic())
        self.news.set()


def clock() -> Clock:
    return Clock.of(asyncio.get_running_loop())


async def test_who_stays_is_told_once_and_within_the_grace() -> None:
    guest = Guest()
    entered = monotonic()
    clock().enter(guest)
    await guest.news.wait()
    assert guest.told[0] - entered >= TICK / 2  # event loops count in milliseconds of their own
    await asyncio.sleep(2 * GRACE)
    assert len(guest.told) == 1


async def test_who_has_left_is_told_nothing() -> None:
    early, late, stays = Guest(), Guest(), Guest()
    for guest in (early, late, stays):
        clock().enter(guest)
    clock().leave(early)
    await asyncio.sleep(TICK * 1.2)
    clock().leave(late)
    await stays.news.wait()
    assert not early.told
    assert not late.told


async def test_the_clock_stands_still_while_nobody_is_there_and_goes_on_for_the_next() -> None:
    for _ in range(2):
        guest = Guest()
        clock().enter(guest)
        await guest.news.wait()
        await asyncio.sleep(2 * GRACE)
        assert not clock()._ticking


def test_each_event_loop_has_a_clock_of_its_own_and_an_ended_one_is_let_go() -> None:
    async def own() -> Clock:
        assert clock() is clock()
        return clock()

    first, second = asyncio.run(own()), asyncio.run(own())
    assert first is not second
    assert Clock.of(second.loop) is second
    assert Clock.of(first.loop) is not first


async def test_the_disconnect_is_listened_for_in_the_context_of_the_request() -> None:
    """The host's middlewares wrap ``receive``, and what they keep in context variables is one request's own."""
    request: ContextVar[str] = ContextVar("request", default="none")
    heard: dict[str, str] = {}

    async def one(name: str) -> None:
        listened = asyncio.Event()

        async def receive() -> Message:
            heard[name] = request.get()
            listened.set()
            return {"type": "http.disconnect"}

        request.set(name)
        with ClientWatch(receive, clock(), over=lambda: True):
            await listened.wait()

    await asyncio.gather(one("first"), one("second"))
    assert heard == {"first": "first", "second": "second"}
