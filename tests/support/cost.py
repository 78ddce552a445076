"""What something costs, compared with something else that this machine does meanwhile: how fast it is does not matter."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

TRIES = 10


def a_loop() -> None:
    """The usual standard: a hundred thousand turns of Python's, some 2.5 ms where these tests were written."""
    for _ in range(100_000):
        pass


def assert_costs(run: Callable[[], object], *, at_most: float, times: Callable[[], object] = a_loop) -> None:
    """``run`` takes at most so many times the CPU time of another thing.

    What else the machine does makes either dearer and none cheaper, so the cheapest of some tries counts.
    """
    least = math.inf
    for _ in range(TRIES):
        least = min(least, spent(run) / spent(times))
        if least <= at_most:
            return
    raise AssertionError(f"It costs {least:.1f} times as much, not {at_most:.1f}.")


def spent(run: Callable[[], object]) -> float:
    """Seconds of this thread's CPU time."""
    began = time.thread_time()
    run()
    return time.thread_time() - began


async def turns_of_loop(work: Callable[[], Awaitable[object]]) -> int:
    """How often the event loop has come round when ``work`` is done; where work waits for time it is thousands."""
    loop, turns, over = asyncio.get_running_loop(), 0, False

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not over:
            loop.call_soon(turn)

    loop.call_soon(turn)
    try:
        await work()
        return turns
    finally:
        over = True
        await asyncio.sleep(0)
