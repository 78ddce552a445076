"""Work that is usually done without waiting, and a guard around it where it has to be waited for."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any, TypeVar, cast

from .cancellation import Deadline

T = TypeVar("T")


@types.coroutine
def guarded(work: Awaitable[T], guard: Callable[[], AbstractContextManager[object]]) -> Generator[Any, Any, T]:
    """What ``work`` gives; if it has to be waited for at all, ``guard()`` is around the waiting.

    A deadline or a watch costs several times what most such work does, which is done without waiting. So the work is
    driven by hand.
    """
    steps = work.__await__()
    try:
        waited_for = next(steps)
        with guard():
            while True:
                try:
                    yield waited_for
                except BaseException as error:
                    waited_for = steps.throw(error)
                else:
                    waited_for = next(steps)
    except StopIteration as over:
        return cast("T", over.value)


def in_time(work: Awaitable[T], seconds: float, failure: Callable[[], Exception]) -> Awaitable[T]:
    """What ``work`` gives within ``seconds``; after them it is cancelled, and what ``failure`` makes is raised."""

    def limit() -> Deadline:
        deadline = Deadline()
        deadline.move(monotonic() + seconds, failure)
        return deadline

    return guarded(work, limit)
