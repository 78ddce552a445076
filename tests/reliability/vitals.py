"""How a server's process is under a load, for the test that puts the load on it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import resource
import threading
import time
from typing import Any

from starlette.types import Receive, Scope, Send

from openai_gateway_asgi import Gateway, UsageRecord
from tests.reliability.leaving import Reading
from tests.support.leaks import open_sockets

LONG = 0.02
"""Seconds from which on a callback is told of by name."""


class Moment:
    """A moment of this thread's, from which to measure what it takes: CPU, or all time in which it has blocked.

    A thread that waits for a CPU which others have is not held up by what it does itself, nor is one whose machine is
    given to others. So the clock counts only where the thread has gone to sleep of its own accord.
    """

    __slots__ = ("_clock", "_cpu", "_slept")

    def __init__(self) -> None:
        self._clock, self._cpu, self._slept = _undisturbed(), time.thread_time(), _sleeps()

    def taken(self) -> float:
        """Seconds."""
        return time.thread_time() - self._cpu if _sleeps() == self._slept else _undisturbed() - self._clock


def _sleeps() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _undisturbed() -> float:
    """The clock, less the time in which this thread has waited for a CPU."""
    if not hasattr(_thread, "schedstat"):
        _thread.schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    return time.perf_counter() - int(os.pread(_thread.schedstat, 64, 0).split()[1]) / 1e9


_thread = threading.local()


class Vitals:
    """An app that answers what it has seen since it was asked last, and starts afresh.

    Asked for ``calls`` or ``memory``, it tells of these alone, and of all that came before: they are asked for often.
    """

    def __init__(self, gateway: Gateway, reading: Reading, records: list[UsageRecord]) -> None:
        self._gateway, self._reading, self._records = gateway, reading, records
        self._longest = self._longest_cpu = self._longest_held = self._collected = self._collecting = 0.0
        self._long: list[str] = []

    def watch_callbacks(self) -> None:
        """Times every callback of every event loop of this process from now on: by the clock, by the CPU that its own
        thread needs, and by what it is held up for by all threads of the process, which take the interpreter from it.

        Less what Python's collector takes of it: when that runs, and over how many objects, is the host's to settle.
        """
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            began, cpu, all_cpu, collected = Moment(), time.thread_time(), time.process_time(), self._collected
            run(handle)
            collecting = self._collected - collected
            taken = began.taken() - collecting
            self._longest = max(self._longest, taken)
            self._longest_cpu = max(self._longest_cpu, time.thread_time() - cpu - collecting)
            self._longest_held = max(self._longest_held, min(taken, time.process_time() - all_cpu - collecting))
            if taken > LONG:
                self._long.append(f"{taken:.3f} s: {handle!r}")

        asyncio.Handle._run = timed  # type: ignore[method-assign]
        gc.callbacks.append(self._note_collection)

    def _note_collection(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = {"calls": self._calls, "memory": self._memory}
        now = parts.get(scope["path"].rpartition("/")[2], self._now)()
        body = json.dumps(now).encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _calls(self) -> dict[str, Any]:
        outcomes = [record.outcome for record in self._records]
        return {"read": self._reading.count, "outcomes": outcomes, "in_use": self._in_use()}

    def _memory(self) -> dict[str, Any]:
        return {"memory": _resident()}

    def _in_use(self) -> int:
        return sum(each.in_use for each in self._gateway.health().upstreams.values())

    def _now(self) -> dict[str, Any]:
        gc.collect()
        _give_back()
        seen = {
            "longest": self._longest,
            "longest_cpu": self._longest_cpu,
            "longest_held": self._longest_held,
            "long": self._long,
            "tasks": len(asyncio.all_tasks()),
            "sockets": open_sockets(),
            "in_use": self._in_use(),
            "memory": _resident(),
        }
        self._longest = self._longest_cpu = self._longest_held = 0.0
        self._long = []
        self._records.clear()
        return seen


def _give_back() -> None:
    """What C's allocator keeps for itself is nobody's: twice of what is in use, after large bodies and answers."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _resident() -> int:
    """Bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
