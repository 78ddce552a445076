"""A burst of calls: how many begin in one turn of the event loop, in which order, and who need not wait."""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.requests import Request

from openai_gateway_asgi import Gateway, User
from openai_gateway_asgi.http.pacing import MOST, Turns
from openai_gateway_asgi.testing import FakeUpstream, json_answer
from tests.reliability.gateways import USERS, call, everyone, named


class Beat:
    """Counts the turns of the running event loop, in a block."""

    def __init__(self) -> None:
        self.turn = 0
        self._running = True

    def _next(self) -> None:
        if self._running:
            self.turn += 1
            asyncio.get_running_loop().call_soon(self._next)

    def __enter__(self) -> Beat:
        self._next()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False


async def test_a_burst_of_calls_leaves_the_event_loop_to_others_in_between() -> None:
    begun: Counter[int] = Counter()
    order: list[str] = []

    def resolve_user(request: Request) -> User | None:
        begun[beat.turn] += 1
        order.append(request.headers["x-number"])
        return USERS["ann"]

    upstream = FakeUpstream()
    upstream.answer("/chat/completions", json_answer({"id": "1"}))
    gateway = Gateway([named("a")], resolve_user=resolve_user, authorize_model=everyone, transport=upstream.transport())
    with Beat() as beat:
        calls = [call(gateway, headers={"x-number": str(number)}) for number in range(500)]
        answers = await asyncio.gather(*calls)

    assert [answer.status for answer in answers] == [200] * 500
    assert max(begun.values()) <= 2 * MOST
    assert len(begun) >= 500 / (2 * MOST)
    assert order == sorted(order, key=int)


async def begins(turns: Turns, log: list[int], number: int) -> None:
    if not turns.may_begin():
        await turns.wait()
    log.append(number)


async def test_calls_that_come_one_after_the_other_never_wait() -> None:
    turns = Turns(asyncio.get_running_loop())
    for _ in range(3 * MOST):
        assert turns.may_begin()
        await asyncio.sleep(0)


async def test_whoever_gives_up_leaves_the_line_and_keeps_nobody_waiting() -> None:
    turns, log = Turns(asyncio.get_running_loop()), list[int]()
    calls = [asyncio.create_task(begins(turns, log, number)) for number in range(4 * MOST)]
    await asyncio.sleep(0)
    assert log == list(range(MOST))
    gone = range(MOST, 3 * MOST)
    for number in gone:
        calls[number].cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert log == [number for number in range(4 * MOST) if number not in gone]


async def test_whoever_waits_when_nobody_begins_is_served_as_well() -> None:
    turns = Turns(asyncio.get_running_loop())
    await asyncio.wait_for(asyncio.gather(*(turns.wait() for _ in range(2 * MOST))), 1)
