"""What a test may leave behind: nothing. And how long the event loop was kept from its work."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Self

from tests.support.cost import a_loop, spent

SETTLE_TURNS = 20
SETTLE_SECONDS = 1.0
"""How long closing sockets and cancelled tasks may take; only a test that leaks waits so long."""

_IGNORED = ("/dev/", "/proc/", "/sys/", "/var/lib/libuuid/")
"""The last is the system's own: what makes ids by the clock keeps its file open for as long as the process lives."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """The sockets and files that this process has open, and the unfinished tasks of the running loop."""

    descriptors: frozenset[str]
    tasks: frozenset[asyncio.Task[Any]] = frozenset()

    @classmethod
    def of_process(cls) -> Self:
        return cls(_descriptors())

    @classmethod
    def of_loop(cls) -> Self:
        """To be called in a running loop; the task that calls does not count."""
        current = asyncio.current_task()
        return cls(_descriptors(), frozenset(task for task in asyncio.all_tasks() if task is not current))

    def left_since(self, before: Holdings) -> list[str]:
        """One line for each thing that is here now and was not before."""
        tasks = [f"task {task!r}" for task in self.tasks - before.tasks]
        return sorted(self.descriptors - before.descriptors) + tasks


async def settled_leaks(before: Holdings) -> list[str]:
    """What is left since ``before``, after the loop had its turns to close what is closing."""
    deadline = time.monotonic() + SETTLE_SECONDS
    for turn in range(1_000_000):
        left = Holdings.of_loop().left_since(before)
        if not left or time.monotonic() > deadline:
            return left
        if turn == SETTLE_TURNS:
            gc.collect()
        await asyncio.sleep(0 if turn < SETTLE_TURNS else 0.005)
    raise AssertionError("unreachable")


def leaks_of_process(before: Holdings) -> list[str]:
    """The same for code without a loop: what is left after a garbage collection."""
    left = Holdings.of_process().left_since(before)
    if left:
        gc.collect()
        left = Holdings.of_process().left_since(before)
    return left


def open_sockets() -> int:
    """The number of sockets that this process has open."""
    return sum(name.startswith("socket:") for name in _descriptors())


def _descriptors() -> frozenset[str]:
    names = (_target(number) for number in os.listdir("/proc/self/fd"))
    return frozenset(name for name in names if name is not None and not name.startswith(_IGNORED))


def _target(number: str) -> str | None:
    """What the descriptor stands for: ``socket:[inode]``, ``pipe:[inode]`` or a path; None if it is gone."""
    try:
        name = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return None
    return None if name.startswith("anon_inode:") else name


@dataclass(slots=True)
class Stalls:
    """The longest time that the loop did not come round, and all such times together: seconds by the clock.

    The clock includes what other processes took from us. CPU time does not, nor does it see a blocking sleep: ``loops``
    is the longest time by that, as a multiple of what ``a_loop`` takes meanwhile.
    """

    longest: float = 0.0
    lost: float = 0.0
    loops: float = 0.0


@contextlib.asynccontextmanager
async def stall_watch(interval: float = 0.001) -> AsyncIterator[Stalls]:
    """Measures how long the event loop is kept busy by any single turn, beyond ``interval`` seconds."""
    loop = asyncio.get_running_loop()
    stalls, longest_cpu = Stalls(), 0.0

    async def beat() -> None:
        nonlocal longest_cpu
        while True:
            clock, cpu = loop.time(), time.thread_time()
            await asyncio.sleep(interval)
            stall = max(0.0, loop.time() - clock - interval)
            stalls.longest, stalls.lost = max(stalls.longest, stall), stalls.lost + stall
            longest_cpu = max(longest_cpu, time.thread_time() - cpu)

    beating = asyncio.create_task(beat(), name="stall watch")
    await asyncio.sleep(0)
    try:
        yield stalls
        await asyncio.sleep(2 * interval)  # a stall that has just ended is still to be seen
        stalls.loops = longest_cpu / spent(a_loop)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


@contextlib.asynccontextmanager
async def lasting(least: float, less_than: float) -> AsyncIterator[None]:
    """The block takes so many seconds by the clock; what a busy machine adds to them does not count as late."""
    loop = asyncio.get_running_loop()
    async with stall_watch() as stalls:
        began = loop.time()
        yield
        took = loop.time() - began
    assert least <= took
    assert took - stalls.lost < less_than


@contextlib.contextmanager
def cyclic_garbage() -> Iterator[list[object]]:
    """Fills the list, after the block, with what the block has made and only a garbage collection would free."""
    found: list[object] = []
    frozen = gc.get_freeze_count() > 0  # as in every test with an event loop: what came before it is looked at by none
    gc.collect()
    gc.freeze()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found += gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        if not frozen:
            gc.unfreeze()
