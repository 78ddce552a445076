"""One piece of work at a time per key, however many wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import GatewayBusy

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True, eq=False)
class _Flight(Generic[V]):
    task: asyncio.Task[V]
    waiters: int = 0


class SingleFlight(Generic[K, V]):
    """Callers that ask for the same key at the same time share one run of the work.

    The work runs in a task of its own, so a caller that is cancelled leaves without harm to the others; when the last
    one leaves, the work is cancelled. A result or an exception reaches everyone who waits at that moment and is not
    kept: the next caller starts afresh. Event loops do not share work, because a task belongs to one of them.
    """

    def __init__(self) -> None:
        self._flights: dict[tuple[asyncio.AbstractEventLoop, K], _Flight[V]] = {}
        # A cancelled flight is out of the dictionary before its cleanup has ended, and a loop holds tasks weakly.
        self._tasks: set[asyncio.Task[V]] = set()

    async def do(self, key: K, make: Callable[[], Awaitable[V]]) -> V:
        """What ``make()`` returns, or what the run already under way for ``key`` returns.

        Raises what the work raises, and ``GatewayBusy`` when ``aclose`` stopped it.
        """
        place = (asyncio.get_running_loop(), key)
        flight = self._flights.get(place)
        if flight is None:
            flight = self._flights[place] = self._start(place, make)
        flight.waiters += 1
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._forget(place, flight)
                flight.task.cancel()
        if flight.task.cancelled():
            # CancelledError would tell the caller's own task that somebody had cancelled *it*.
            raise GatewayBusy("The gateway is shutting down.")
        return flight.task.result()

    async def aclose(self) -> None:
        """Cancels the work of this event loop and waits until its cleanup has ended."""
        loop = asyncio.get_running_loop()
        ours = [task for task in tuple(self._tasks) if task.get_loop() is loop]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)

    def _start(self, place: tuple[asyncio.AbstractEventLoop, K], make: Callable[[], Awaitable[V]]) -> _Flight[V]:
        flight = _Flight(asyncio.ensure_future(_run(make)))
        self._tasks.add(flight.task)
        flight.task.add_done_callback(lambda task: self._finished(place, flight))
        return flight

    def _finished(self, place: tuple[asyncio.AbstractEventLoop, K], flight: _Flight[V]) -> None:
        self._forget(place, flight)
        self._tasks.discard(flight.task)
        if not flight.task.cancelled():
            flight.task.exception()  # marks it as retrieved: nobody may be left to hear of it

    def _forget(self, place: tuple[asyncio.AbstractEventLoop, K], flight: _Flight[V]) -> None:
        if self._flights.get(place) is flight:
            del self._flights[place]


async def _run(make: Callable[[], Awaitable[V]]) -> V:
    return await make()
