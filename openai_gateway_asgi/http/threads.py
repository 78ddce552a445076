"""Blocking work that may hang, each in a thread of its own.

Not in the event loop's pool of threads: a few pieces of work that hang would fill it, for everything else that waits
for it, the host's own work included, and a loop that ends, and a process that exits, wait for it. How many hang is for
the caller to bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(name: str, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises. Whoever is cancelled leaves it alone: it goes on to its end."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # a thread that hangs outlives those who wait for it

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)

    Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(done)
