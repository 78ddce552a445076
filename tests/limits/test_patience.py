"""A server is given up for its own silence: not because many wait for it, nor because this process is busy."""

from __future__ import annotations

import asyncio
import time

import pytest

from openai_gateway_asgi.limits.patience import LONGEST, Patience

SILENCE = 0.02


async def test_what_is_answered_is_given_and_what_is_raised_is_raised() -> None:
    patience = Patience()
    assert await patience.answer(asyncio.sleep(0, "yes"), SILENCE) == "yes"
    assert patience.answers == 1
    with pytest.raises(KeyError):
        await patience.answer(_raises(), SILENCE)
    assert patience.answers == 1


async def _raises() -> None:
    raise KeyError


async def test_one_that_says_nothing_is_given_up_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await Patience().answer(asyncio.Event().wait(), SILENCE)
    assert SILENCE * 0.9 <= time.monotonic() - began < SILENCE * 10


async def test_as_long_as_it_answers_others_one_goes_on_waiting_but_not_for_ever() -> None:
    patience, began, gate = Patience(), time.monotonic(), asyncio.Event()
    waiting = asyncio.create_task(patience.answer(gate.wait(), SILENCE))
    hopeless = asyncio.create_task(patience.answer(asyncio.Event().wait(), SILENCE))
    while time.monotonic() - began < 5 * SILENCE:
        await patience.answer(asyncio.sleep(SILENCE / 10), SILENCE)
    gate.set()
    assert await waiting
    while not hopeless.done():
        await patience.answer(asyncio.sleep(SILENCE / 10), SILENCE)
    with pytest.raises(TimeoutError):
        await hopeless
    assert time.monotonic() - began >= LONGEST * SILENCE * 0.9


async def test_a_loop_that_is_late_is_not_the_servers_silence() -> None:
    """What was answered meanwhile stands there already: it is read before anybody is given up."""
    loop, answer = asyncio.get_running_loop(), asyncio.Event()
    loop.call_later(SILENCE / 50, lambda: time.sleep(4 * SILENCE))
    loop.call_later(SILENCE / 25, lambda: loop.call_soon(loop.call_soon, answer.set))
    assert await Patience().answer(answer.wait(), SILENCE)


async def test_who_is_cancelled_leaves_nothing_behind() -> None:
    patience = Patience()
    waiting = asyncio.create_task(patience.answer(asyncio.Event().wait(), SILENCE))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
