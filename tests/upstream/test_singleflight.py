from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openai_gateway_asgi.errors import GatewayBusy
from openai_gateway_asgi.upstream.singleflight import SingleFlight


class Work:
    """Counts its runs; each ends when ``finish`` is set, or is cancelled."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.runs = 0
        self.cancelled = 0
        self.started = asyncio.Event()
        self.finish = asyncio.Event()

    async def __call__(self) -> int:
        self.runs += 1
        run = self.runs
        self.started.set()
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise self.failure
        return run


@pytest.fixture
def complaints() -> list[dict[str, Any]]:
    """What asyncio's own exception handler was told, such as exceptions nobody retrieved."""
    return []


@pytest.fixture
async def flight(complaints: list[dict[str, Any]]) -> SingleFlight[str, int]:
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    return SingleFlight()


async def waiting(
    flight: SingleFlight[str, int], work: Callable[[], Awaitable[int]], *keys: str
) -> list[asyncio.Task[int]]:
    """Callers, one per key, each of which has begun to wait."""
    tasks = [asyncio.create_task(flight.do(key, work)) for key in keys]
    await asyncio.sleep(0)
    return tasks


async def cancelled(task: asyncio.Task[int]) -> bool:
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async def test_all_who_wait_share_one_run(flight: SingleFlight[str, int]) -> None:
    work = Work()
    callers = await waiting(flight, work, *["a"] * 100)
    work.finish.set()
    assert await asyncio.gather(*callers) == [1] * 100
    assert work.runs == 1


async def test_keys_do_not_share(flight: SingleFlight[str, int]) -> None:
    work = Work()
    callers = await waiting(flight, work, "a", "b")
    work.finish.set()
    assert await asyncio.gather(*callers) == [1, 2]


async def test_a_result_is_not_kept(flight: SingleFlight[str, int]) -> None:
    work = Work()
    work.finish.set()
    assert [await flight.do("a", work), await flight.do("a", work)] == [1, 2]


async def test_a_caller_that_comes_after_the_end_starts_afresh_though_others_have_not_resumed(
    flight: SingleFlight[str, int],
) -> None:
    late: list[asyncio.Task[int]] = []

    async def ends_and_is_asked_again() -> int:
        asyncio.get_running_loop().call_soon(lambda: late.append(asyncio.create_task(flight.do("a", second))))
        return 1

    async def second() -> int:
        return 2

    assert await flight.do("a", ends_and_is_asked_again) == 1
    assert await late[0] == 2


async def test_the_first_caller_may_leave_without_harm_to_the_others(flight: SingleFlight[str, int]) -> None:
    work = Work()
    first, *others = await waiting(flight, work, "a", "a", "a")
    assert await cancelled(first)
    work.finish.set()
    assert await asyncio.gather(*others) == [1, 1]
    assert (work.runs, work.cancelled) == (1, 0)


async def test_the_work_is_cancelled_when_the_last_caller_leaves(flight: SingleFlight[str, int]) -> None:
    work = Work()
    callers = await waiting(flight, work, "a", "a")
    await work.started.wait()
    for caller in callers:
        assert work.cancelled == 0
        assert await cancelled(caller)
    await flight.aclose()
    assert work.cancelled == 1


async def test_a_caller_that_comes_while_cancelled_work_cleans_up_starts_afresh(flight: SingleFlight[str, int]) -> None:
    clean = asyncio.Event()
    cleaning = asyncio.Event()

    async def slow_to_stop() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await clean.wait()
        return 1

    [caller] = await waiting(flight, slow_to_stop, "a")
    assert await cancelled(caller)
    await cleaning.wait()

    work = Work()
    work.finish.set()
    assert await flight.do("a", work) == 1
    clean.set()
    await flight.aclose()


async def test_an_exception_reaches_all_who_wait_and_is_not_kept(
    flight: SingleFlight[str, int], complaints: list[dict[str, Any]]
) -> None:
    work = Work(failure=ValueError("no"))
    callers = await waiting(flight, work, "a", "a", "a")
    work.finish.set()
    assert [str(error) for error in await asyncio.gather(*callers, return_exceptions=True)] == ["no"] * 3

    work.failure = None
    assert await flight.do("a", work) == 2
    assert complaints == []


async def test_work_that_fails_after_everyone_left_is_silent(
    flight: SingleFlight[str, int], complaints: list[dict[str, Any]]
) -> None:
    async def fails_when_stopped() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("while cleaning up") from None
        return 1

    [caller] = await waiting(flight, fails_when_stopped, "a")
    await asyncio.sleep(0)
    assert await cancelled(caller)
    await flight.aclose()
    del caller
    gc.collect()
    assert complaints == []


async def test_closing_ends_the_work_and_tells_callers_so(flight: SingleFlight[str, int]) -> None:
    work = Work()
    [caller] = await waiting(flight, work, "a")
    await work.started.wait()
    await flight.aclose()
    with pytest.raises(GatewayBusy):
        await caller
    assert not caller.cancelled()
    assert work.cancelled == 1


def test_event_loops_do_not_share_work() -> None:
    flight: SingleFlight[str, int] = SingleFlight()

    async def in_this_loop() -> int:
        work = Work()
        [caller] = await waiting(flight, work, "a")
        work.finish.set()
        assert await caller == 1
        return work.runs

    async def in_another_loop_meanwhile() -> int:
        work = Work()
        [caller] = await waiting(flight, work, "a")
        runs = await asyncio.to_thread(asyncio.run, in_this_loop())
        work.finish.set()
        assert await caller == 1
        return runs + work.runs

    assert asyncio.run(in_another_loop_meanwhile()) == 2
