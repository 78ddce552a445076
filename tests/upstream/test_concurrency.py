from __future__ import annotations

import asyncio

import pytest

from openai_gateway_asgi import Upstream
from openai_gateway_asgi.errors import GatewayBusy
from openai_gateway_asgi.upstream.concurrency import AllSlots, Slots

LONG = 60.0


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_so_many_are_let_in_and_the_others_wait_in_line() -> None:
    slots, entered = Slots(2), []

    async def enter(name: int) -> None:
        await slots.enter(LONG)
        entered.append(name)

    tasks = [asyncio.create_task(enter(name)) for name in range(5)]
    await turns()
    assert entered == [0, 1]

    slots.leave()
    slots.leave()
    await turns()
    assert entered == [0, 1, 2, 3]

    for _ in range(3):
        slots.leave()
    await asyncio.gather(*tasks)
    assert slots.in_use == 0


async def test_patience_has_an_end_that_says_when_to_come_back() -> None:
    slots = Slots(1)
    await slots.enter(LONG)

    with pytest.raises(GatewayBusy) as refused:
        await slots.enter(0.01)

    assert (b"retry-after", b"1") in refused.value.headers
    slots.leave()
    assert slots.idle


async def test_no_patience_at_all_is_an_answer_at_once() -> None:
    slots = Slots(1)
    await slots.enter(0.0)
    with pytest.raises(GatewayBusy):
        await slots.enter(0.0)


async def test_one_who_leaves_the_line_takes_no_slot_with_them() -> None:
    slots = Slots(1)
    await slots.enter(LONG)
    waiting = asyncio.create_task(slots.enter(LONG))
    behind = asyncio.create_task(slots.enter(LONG))
    await turns()

    waiting.cancel()
    await turns()
    slots.leave()

    await behind
    assert slots.in_use == 1


async def test_a_slot_handed_to_one_who_leaves_in_the_same_moment_goes_to_the_next() -> None:
    slots = Slots(1)
    await slots.enter(LONG)
    waiting = asyncio.create_task(slots.enter(LONG))
    behind = asyncio.create_task(slots.enter(LONG))
    await turns()

    slots.leave()
    waiting.cancel()

    await behind
    assert waiting.cancelled()
    assert slots.in_use == 1


async def test_a_larger_limit_lets_those_in_line_in_at_once() -> None:
    slots = Slots(1)
    await slots.enter(LONG)
    waiting = [asyncio.create_task(slots.enter(LONG)) for _ in range(3)]
    await turns()

    slots.resize(3)
    await turns()

    assert [task.done() for task in waiting] == [True, True, False]
    slots.leave()
    await asyncio.gather(*waiting)


async def test_a_smaller_limit_holds_when_enough_have_left() -> None:
    slots = Slots(3)
    for _ in range(3):
        await slots.enter(LONG)
    waiting = asyncio.create_task(slots.enter(LONG))
    slots.resize(1)
    await turns()

    slots.leave()
    slots.leave()
    await turns()
    assert not waiting.done()

    slots.leave()
    await waiting
    assert slots.in_use == 1


async def test_each_upstream_has_its_own_and_those_that_rest_are_forgotten() -> None:
    every = AllSlots()
    a = Upstream("http://a.test", max_concurrency=1)
    b = Upstream("http://b.test", max_concurrency=1)

    async with every.of(a, 0.0), every.of(b, 0.0):
        assert every.in_use() == {"a.test": 1, "b.test": 1}
        with pytest.raises(GatewayBusy):
            async with every.of(a, 0.0):
                pass
        with pytest.raises(GatewayBusy):
            async with every.of(b, 0.0):
                pass

    assert every.in_use() == {}


async def test_a_new_configuration_of_the_same_name_counts_those_of_the_old_one() -> None:
    every = AllSlots()
    async with every.of(Upstream("http://a.test", max_concurrency=1), 0.0):
        larger = Upstream("http://a.test", max_concurrency=2)
        async with every.of(larger, 0.0):
            with pytest.raises(GatewayBusy):
                async with every.of(larger, 0.0):
                    pass
