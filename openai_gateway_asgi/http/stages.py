"""What stands between an upstream's words and the client's, where they differ: translation, filters, names.

Whoever changes answers is a stage of the attempt at hand (``exchange.stages``), put there by a layer of its own, in the
order of the chain. Without any, answers pass as bytes. What is known of an answer (its usage, its end, its errors) is
read from the upstream's own words, before the stages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from time import monotonic
from typing import Protocol

from ..errors import UpstreamError
from .pacing import Turns
from .sse import BOUNDARIES, last_boundary, next_sequence_number

IN_ONE_GO = 4 * 1024
"""Bytes of a read that stages get at once; of a longer event all."""
LONG = 32 * 1024
"""Bytes of a piece that is checked beforehand: it is one event, which stages get at once."""
LONGEST_TURN = 0.001
"""Seconds after which others have their turn: most stages need no time at all, and to wait for a turn costs some."""


Check = Callable[[bytes], Awaitable[None]]


class Stage(Protocol):
    """One step, made anew for each attempt, so that what an attempt said that was given up leaves nothing.

    What it raises ends the attempt. Where nothing has been told yet, an ``UpstreamError`` leads to the next attempt.
    """

    def events(self, events: bytes, /) -> bytes | Awaitable[bytes]:
        """Whole events in, comments included; whole events out, possibly none. An error of the upstream's is the last
        of a stream, and is not followed by ``end``. To wait costs, so that only who has to gives an awaitable."""
        ...

    async def end(self) -> bytes:
        """The stream is whole: the events that are still to be said."""
        ...

    def answer(self, body: bytes, /) -> bytes | Awaitable[bytes]:
        """An answer that is no stream, whole and not compressed: JSON, or text."""
        ...

    def lets_pass(self) -> bool:
        """Whether what is longer than is usually held (an event, or an answer that is no stream) may pass unchanged. If
        not, it is held, up to ``event_limit``."""
        ...


class EventsOnly:
    """The rest of a stage that changes nothing but streams."""

    __slots__ = ()

    async def end(self) -> bytes:
        return b""

    async def answer(self, body: bytes, /) -> bytes:
        return body

    def lets_pass(self) -> bool:
        """An event that is too long to be held is passed on unchanged."""
        return True


def sign_of(stages: tuple[Stage, ...]) -> bytes:
    """What stands in all events that these change: a single stage may name it as its ``sign``. Empty: they may change
    any."""
    return getattr(stages[0], "sign", b"") if len(stages) == 1 else b""


def joined(stages: tuple[Stage, ...]) -> Callable[[bytes], bytes | Awaitable[bytes]] | None:
    """What all of them do to whole events, as one; None where there are none."""
    if len(stages) == 2:
        return _pair(*stages)
    if len(stages) > 2:
        return partial(_through, stages)
    return stages[0].events if stages else None


def _pair(first: Stage, second: Stage) -> Callable[[bytes], bytes | Awaitable[bytes]]:
    """As ``_through``, for what streams of presets have: the name, behind a stage that most events do not concern."""
    sign, change, then = sign_of((first,)), first.events, second.events

    def both(events: bytes) -> bytes | Awaitable[bytes]:
        if events.rfind(sign) >= 0:
            passed = change(events)
            if not isinstance(passed, bytes):
                return _waited(passed, (second,))
            if not passed:
                return passed
            events = passed
        return then(events)

    return both


def _through(stages: tuple[Stage, ...], events: bytes) -> bytes | Awaitable[bytes]:
    """As ``staged``, without a coroutine unless a stage has to wait."""
    for number, stage in enumerate(stages, 1):
        passed = stage.events(events)
        if not isinstance(passed, bytes):
            return _waited(passed, stages[number:])
        if not passed:
            break
        events = passed
    else:
        return events
    return b""


async def _waited(passed: Awaitable[bytes], others: tuple[Stage, ...]) -> bytes:
    return await staged(others, await passed)


def next_number(stages: tuple[Stage, ...], pieces: Iterable[bytes]) -> int:
    """The number of the next event: of the stage that makes them, where one does, else behind ``pieces``, which are the
    last of the upstream's."""
    numbering = [number for stage in stages if (number := getattr(stage, "next_number", None)) is not None]
    return int(numbering[-1]()) if numbering else next_sequence_number(pieces)


async def staged(stages: tuple[Stage, ...], events: bytes) -> bytes:
    """Whole events, as the client sees them."""
    for stage in stages:
        if not events:
            break
        passed = stage.events(events)
        events = passed if isinstance(passed, bytes) else await passed
    return events


async def ended(stages: tuple[Stage, ...], events: bytes) -> bytes:
    """The last events of a whole stream, as the client sees them, and what the stages have to add."""
    for stage in stages:
        events = await staged((stage,), events) + await stage.end()
    return events


async def in_pieces(
    stages: tuple[Stage, ...], events: bytes, turns: Turns, check: Check | None = None, *, over: bool = False
) -> bytes:
    """The same for a read that holds very many events; ``over``: they are the last of a whole stream.

    ``check`` is shown what is longer than others, one event mostly, and raises what it has against it.
    """
    sign = sign_of(stages)
    last = events.rfind(sign)
    if last < 0:
        return events + await ended(stages, b"") if over else events
    at = last_boundary(events[:last]) if sign and events.rfind(sign, 0, last) < 0 else 0
    changed, began = [events[:at]], monotonic()  # before the one event with the sign nothing changes
    while len(events) - at > IN_ONE_GO and (end := _end_near(events, at)) < len(events):
        if check is not None and end - at > LONG:
            await check(events[at:end])
        passed = _through(stages, events[at:end])
        changed.append(passed if isinstance(passed, bytes) else await passed)
        at = end
        if monotonic() - began > LONGEST_TURN:
            await turns.wait()
            began = monotonic()
    if check is not None and len(events) - at > LONG:
        await check(events[at:])
    changed.append(await (ended if over else staged)(stages, events[at:]))
    return b"".join(changed)


def _end_near(events: bytes, at: int) -> int:
    """Where an event ends, about ``IN_ONE_GO`` behind ``at``."""
    far = at + IN_ONE_GO
    if end := last_boundary(events[at:far]):
        return at + end
    ends = [found + len(mark) for mark in BOUNDARIES if (found := events.find(mark, far - len(mark))) >= 0]
    return min(ends, default=len(events))


def answered(stages: tuple[Stage, ...], body: bytes) -> bytes | Awaitable[bytes]:
    """An answer that is no stream, as the client sees it; without a coroutine unless a stage has to wait."""
    if len(stages) == 1:
        return stages[0].answer(body)
    if len(stages) == 1:
        return stages[0].answer(body)
    for number, stage in enumerate(stages, 1):
        changed = stage.answer(body)
        if not isinstance(changed, bytes):
            return _answered_later(changed, stages[number:])
        body = changed
    return body


async def _answered_later(changed: Awaitable[bytes], others: tuple[Stage, ...]) -> bytes:
    body = answered(others, await changed)
    return body if isinstance(body, bytes) else await body


def too_long(limit: int, what: str) -> UpstreamError:
    return UpstreamError(f"The upstream sent {what} of more than {limit} bytes, which is the gateway's `event_limit`.")
