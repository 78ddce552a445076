from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from openai_gateway_asgi.errors import GatewayDraining
from openai_gateway_asgi.http.cancellation import Deadline
from openai_gateway_asgi.http.drain import Drain


@contextmanager
def bound(drain: Drain) -> Iterator[None]:
    with Deadline() as deadline:
        drain.enter(deadline)
        try:
            yield
        finally:
            drain.leave(deadline)


async def test_what_is_under_way_ends_at_the_deadline() -> None:
    drain = Drain()
    with pytest.raises(GatewayDraining):
        with bound(drain):
            drain.begin(0.01)
            await asyncio.sleep(5)


async def test_what_ends_before_it_is_left_alone() -> None:
    drain = Drain()
    with bound(drain):
        drain.begin(5)
    with bound(drain):
        pass
    assert not drain._under_way


async def test_a_deadline_in_the_past_is_now() -> None:
    drain = Drain()
    with pytest.raises(GatewayDraining):
        with bound(drain):
            drain.begin(0)
            await asyncio.sleep(5)


async def test_a_cancellation_of_somebody_elses_passes() -> None:
    drain = Drain()

    async def work() -> None:
        with bound(drain):
            drain.begin(5)
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
