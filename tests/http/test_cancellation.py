from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import pytest

from openai_gateway_asgi.errors import ClientDisconnected
from openai_gateway_asgi.http.asgi import Message, Receive
from openai_gateway_asgi.http.cancellation import ClientWatch, Deadline
from openai_gateway_asgi.http.timers import Clock


class Line:
    """A server's ``receive``: the disconnect, once the test hangs up."""

    def __init__(self, *, hung_up: bool = False) -> None:
        self.hang_up = asyncio.Event()
        self.listened = asyncio.Event()
        if hung_up:
            self.hang_up.set()

    async def receive(self) -> Message:
        self.listened.set()
        await self.hang_up.wait()
        return {"type": "http.disconnect"}


class Late(Exception):
    pass


class Other(Exception):
    pass


async def forever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    raise Other


def watch(receive: Receive, over: Callable[[], bool] = lambda: False) -> ClientWatch:
    return ClientWatch(receive, Clock.of(asyncio.get_running_loop()), over=over)


async def watched(receive: Receive, block: Callable[[], Awaitable[object]] = forever) -> None:
    with watch(receive):
        await block()


async def limited(prepare: Callable[[Deadline], object], block: Callable[[], Awaitable[object]] = forever) -> None:
    with Deadline() as deadline:
        prepare(deadline)
        await block()


def no_cancellation_left() -> None:
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_client_that_leaves_ends_the_block() -> None:
    with pytest.raises(ClientDisconnected):
        await watched(Line(hung_up=True).receive)
    no_cancellation_left()


async def test_a_client_that_leaves_after_its_answer_has_missed_nothing() -> None:
    with watch(Line(hung_up=True).receive, over=lambda: True) as watching:
        assert await watching.receive() == {"type": "http.disconnect"}
        await asyncio.sleep(0)
    no_cancellation_left()


async def test_a_short_block_is_over_before_anyone_listens() -> None:
    line = Line()
    with watch(line.receive):
        await asyncio.sleep(0)
    assert not line.listened.is_set()


async def test_only_the_disconnect_ends_the_block() -> None:
    messages: list[Message] = [{"type": "http.request", "body": b"late"}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return messages.pop(0)

    with pytest.raises(ClientDisconnected):
        await watched(receive)
    assert messages == []


async def test_a_cancellation_by_somebody_else_passes() -> None:
    line = Line()
    task = asyncio.create_task(watched(line.receive, lambda: limited(lambda d: d.move(monotonic() + 60, Late))))
    await line.listened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_exception_of_the_block_passes() -> None:
    with pytest.raises(Other):
        await watched(Line().receive, fails)
    with pytest.raises(Other):
        await limited(lambda deadline: deadline.move(monotonic() + 60, Late), fails)


@pytest.mark.parametrize("seconds", [0.01, 0, -1])
async def test_a_deadline_ends_the_block_in_its_failure(seconds: float) -> None:
    with pytest.raises(Late):
        await limited(lambda deadline: deadline.move(monotonic() + seconds, Late))
    no_cancellation_left()


async def test_without_a_moment_a_deadline_never_comes() -> None:
    with Deadline():
        await asyncio.sleep(0)
    with Deadline() as deadline:
        deadline.move(float("inf"), Late)
        await asyncio.sleep(0.01)


async def test_a_deadline_can_be_moved_both_ways() -> None:
    started = monotonic()

    def there_and_back(deadline: Deadline) -> None:
        deadline.move(started + 0.01, Late)
        deadline.move(started + 60, Late)
        asyncio.get_running_loop().call_later(0.03, deadline.move, started + 0.05, Other)

    with pytest.raises(Other):
        await limited(there_and_back)
    assert 0.04 <= monotonic() - started < 5


async def test_the_last_word_bounds_every_move() -> None:
    def bounded(deadline: Deadline) -> None:
        deadline.end_by(monotonic() + 0.01, Other)
        deadline.move(monotonic() + 60, Late)

    with pytest.raises(Other):
        await limited(bounded)


async def test_an_earlier_move_stands_before_the_last_word() -> None:
    def bounded(deadline: Deadline) -> None:
        deadline.move(monotonic() + 0.01, Late)
        deadline.end_by(monotonic() + 60, Other)

    with pytest.raises(Late):
        await limited(bounded)


async def test_a_client_that_leaves_during_the_cleanup_after_a_deadline_is_gone() -> None:
    line = Line()

    async def block() -> None:
        with Deadline() as deadline:
            deadline.move(monotonic() + 0.01, Late)
            try:
                await forever()
            finally:
                line.hang_up.set()
                await forever()

    with pytest.raises(ClientDisconnected):
        await watched(line.receive, block)
    no_cancellation_left()


async def test_a_deadline_during_the_cleanup_after_a_client_changes_nothing() -> None:
    async def block() -> None:
        with Deadline() as deadline:
            try:
                await forever()
            finally:
                deadline.move(monotonic() - 1, Late)
                await forever()

    with pytest.raises(ClientDisconnected):
        await watched(Line(hung_up=True).receive, block)
    no_cancellation_left()


async def test_a_deadline_that_came_leaves_the_watch_at_work() -> None:
    line = Line()

    async def block() -> None:
        with pytest.raises(Late):
            await limited(lambda deadline: deadline.move(monotonic() + 0.01, Late))
        line.hang_up.set()
        await forever()

    with pytest.raises(ClientDisconnected):
        await watched(line.receive, block)
    no_cancellation_left()
