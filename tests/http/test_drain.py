from __future__ import annotations

import asyncio
import logging
import signal
import threading
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


async def test_case_255_off_the_main_thread_a_signal_cannot_be_heard_which_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    drain = Drain()

    async def lifespan() -> str:
        with drain.on_signal(signal.SIGTERM, 1.0):
            return threading.current_thread().name

    thread = await asyncio.to_thread(lambda: asyncio.run(lifespan()))

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "drain_on does nothing here" in caplog.text
    assert repr(thread) in caplog.text
    assert signal.getsignal(signal.SIGTERM) is before
    assert not drain.active


async def test_on_the_main_thread_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    drain = Drain()
    with drain.on_signal(signal.SIGTERM, 1.0):
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before
    assert caplog.records == []
