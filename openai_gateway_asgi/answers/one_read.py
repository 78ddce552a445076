"""A look at what one read of a stream gave: how far it brings the stream, and whether the client is told something."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from ..http.sse import next_event
from .endings import Course, State, decoded, is_done
from .told import answers, tells

IN_ONE_GO = 256
"""Events of one read that are looked into between two turns for others; a millisecond or two."""


class Look(NamedTuple):
    telling: bool
    """Whether one of the events tells, where that was asked."""
    writes: bool
    """Whether one has text of the answer or arguments of a tool, where that was asked."""
    end: int
    """Where the last event ends that was looked into."""


def look_at(
    course: Course, operation: str, events: bytes, *, long: bytes | None, asks: bool, goes_on: bool
) -> Generator[None, None, Look]:
    """Shows whole events to the stream's course, those that may matter to it; ``yield`` is a turn for others.

    ``long``: how the event began whose end comes first here, None where ``events`` begin with a new one. ``asks``:
    whether it is to be found out if something tells; ``goes_on``: even behind the first event that does.
    """
    start, end, count = 0, 0, 0
    ahead: dict[bytes, int] = {}
    telling = writes = False
    if events and long is not None:
        event = next_event(events)
        end = start = len(events) if event is None else event.end
        course.take_long(long, events[:end])
    while True:
        seeks = asks and (goes_on or not telling)
        start = start if seeks else course.next_notable(events, start, ahead)
        if start < 0 or (event := next_event(events, start)) is None:
            break
        begin, start = start, event.end
        end = start
        value = decoded(event.data)
        state = course.take(event, value)
        if state is State.FAILED:
            end = begin if is_done(event) else end  # behind [DONE] nobody would read what failed
            break
        if seeks and tells(operation, event, value):
            if not telling:
                course.learn(events[begin:end])
            telling = True
            writes = writes or (goes_on and answers(operation, value))
        if state is State.WHOLE:
            break
        count += 1
        if count % IN_ONE_GO == 0:
            yield
    return Look(telling, writes, end)
