"""Threads for plain functions that use Django's ORM, each with database connections of its own."""

from __future__ import annotations

import atexit
import functools
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from time import monotonic
from typing import Any, ParamSpec, TypeVar

from django.db import close_old_connections, connections

P = ParamSpec("P")
T = TypeVar("T")

IDLE = 10.0
"""Seconds without work after which a thread closes its connections and ends."""
PATIENCE = 5.0
"""Seconds that ``close`` waits for calls that are still running."""


class OrmThreads(Executor):
    """Up to ``most`` threads, made as they are needed; each ends, and closes its connections, when it has been idle.

    May be used again after ``close``.
    """

    def __init__(self, most: int, *, idle: float = IDLE) -> None:
        self._most = most
        self._idle = idle
        self._changed = threading.Condition()
        self._work: deque[_Call] = deque()
        self._threads: set[threading.Thread] = set()
        self._free = 0
        """Threads that wait for work, or are about to."""
        _all.add(self)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        with self._changed:
            self._work.append(_Call(future, functools.partial(fn, *args, **kwargs)))
            if len(self._work) > self._free and len(self._threads) < self._most:
                self._start_one()
            self._changed.notify()
        return future

    def close(self, patience: float = PATIENCE) -> None:
        """Ends all threads, once each has finished what it does; waits ``patience`` seconds for that at most."""
        with self._changed:
            leaving, self._threads = self._threads, set()
            self._changed.notify_all()
        until = monotonic() + patience
        for thread in leaving:
            thread.join(max(0.0, until - monotonic()))

    def _start_one(self) -> None:
        thread = threading.Thread(target=self._run, name="openai_gateway orm", daemon=True)
        self._threads.add(thread)
        self._free += 1
        thread.start()

    def _run(self) -> None:
        try:
            while (call := self._next()) is not None:
                settle = call.run()
                with self._changed:
                    self._free += 1  # before anyone hears of the result and comes with more
                settle()
        finally:
            connections.close_all()

    def _next(self) -> _Call | None:
        """None when it is time to end."""
        me = threading.current_thread()
        with self._changed:
            in_time = True
            while not self._work and in_time and me in self._threads:
                in_time = self._changed.wait(self._idle)
            self._free -= 1
            if self._work:
                return self._work.popleft()
            self._threads.discard(me)
            return None


@dataclass(frozen=True, slots=True)
class _Call:
    future: Future[Any]
    work: Callable[[], Any]

    def run(self) -> Callable[[], None]:
        """Does the work; what is returned tells its outcome to whoever waits."""
        if not self.future.set_running_or_notify_cancel():
            return lambda: None
        try:
            result = self.work()
        except BaseException as error:
            return functools.partial(self.future.set_exception, error)
        return functools.partial(self.future.set_result, result)


_all: weakref.WeakSet[OrmThreads] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """A connection that is cut off instead of closed is an error in the database's log."""
    for threads in list(_all):
        threads.close(patience=1.0)


def in_kept_connections(call: Callable[P, T]) -> Callable[P, T]:
    """Around each call: connections that are broken, or older than a ``CONN_MAX_AGE`` above zero, are dropped.

    Zero means "until the end of the request" to Django. A request of the gateway's is many calls of many threads, so
    here it means: until the thread has been idle. Connections that a pool lends go back to it after each call.
    """

    @functools.wraps(call)
    def kept(*args: P.args, **kwargs: P.kwargs) -> T:
        close_old_connections()
        try:
            return call(*args, **kwargs)
        finally:
            for connection in filter(_ends_with_the_request, connections.all(initialized_only=True)):
                connection.close_at = None
            close_old_connections()

    return kept


def _ends_with_the_request(connection: Any) -> bool:
    given = connection.settings_dict
    return given["CONN_MAX_AGE"] == 0 and not given["OPTIONS"].get("pool")
