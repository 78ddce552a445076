"""The host's filters over one attempt's answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any, NamedTuple

from ..answers.endings import CHAT, FINAL_EVENTS, finish_reason, is_done
from ..answers.too_much import LIGHT, too_much_in
from ..errors import GatewayError, HostFailure
from ..host.read_usage import read_usage
from ..host.usage import Usage, normal_usage
from ..http.pacing import in_turns
from ..http.sse import Event, last_events, next_event, only_comments
from ..http.stages import too_long
from ..http.timers import Clock
from .filter import Events, Hooked
from .filter_call import FilterCall
from .filter_event import FilterEvent, written_event
from .told_answer import Gathering

DONE = b"data: [DONE]\n\n"
COMMENT = b":\n\n"
"""What is left of a comment: that something came."""

logger = logging.getLogger("openai_gateway_asgi")

Part = bytes | FilterEvent
"""What no filter sees, or an event."""


class Applied(NamedTuple):
    """A filter, at work on a call."""

    place: int
    """Its place in the list."""
    hooks: Hooked
    call: FilterCall


class FilterStage:
    """All filters of one call, in their order, over one attempt. No filter sees ``[DONE]``, errors or comments."""

    def __init__(self, filters: Sequence[Applied], operation: str, tail: deque[bytes], most: int) -> None:
        """``tail`` are the last pieces of the answer as they came; ``most``: bytes of an answer that ``after`` sees."""
        self.over = False
        """Whether ``after`` has seen it."""
        self._operation = operation
        self._tail = tail
        self._most = self._room = most
        self._events = [each for each in filters if each.hooks.event is not None]
        self._afters = [each for each in filters if each.hooks.after is not None]
        self._gathering = Gathering(operation) if self._afters else None
        self._waits = any(each.hooks.event is not None and each.hooks.event.is_async for each in self._events)
        self._ended = self._told_end = False
        for each in filters:
            each.call.state = {}

    def events(self, events: bytes) -> bytes | Awaitable[bytes]:
        if only_comments(events):
            return COMMENT
        if len(events) > LIGHT:
            return self._long(events)
        parts = self._parts(events)
        if self._waits:
            return self._later(parts)
        for filter in self._events:
            parts = [each for part in parts for each in self._now(filter, part)]
        return self._told(parts)

    async def end(self) -> bytes:
        if self._ended and not self._told_end:
            raise _failed("filters left out the event that ends the answer")
        await self._after(complete=True)
        return b""

    async def answer(self, body: bytes) -> bytes:
        event = FilterEvent("answer", body, operation=self._operation, too_much=await _counted(body))
        for filter in self._events:
            given = _listed(filter, await self._asked(filter, event))
            if len(given) != 1:
                raise _failed(f"filters.{filter.place}.event gave {len(given)} answers in the place of one")
            event = given[0]
            await _turn(body)
        told = _sendable(event)
        await _turn(body)
        self._gather(event, told)
        usage = normal_usage(read_usage(body))
        await self._after(complete=True, usage=usage)
        return told

    def lets_pass(self) -> bool:
        return False

    async def broke_off(self) -> None:
        """Something was told of the answer, and the rest will not come."""
        try:
            await self._after(complete=False)
        except GatewayError:
            logger.error("a filter failed after an answer that broke off")

    async def _long(self, events: bytes) -> bytes:
        return await self._later(self._parts(events, await _counted(events)))

    def _parts(self, events: bytes, too_much: str = "") -> list[Part]:
        parts: list[Part] = []
        start = 0
        while (event := next_event(events, start)) is not None:
            start = event.end
            name = event.name.decode("latin-1")
            if is_done(event):
                parts.append(DONE)
                continue
            if event.error:
                parts.append(b"error: " + event.error + b"\n\n")
                continue
            seen = FilterEvent("event", event.data, operation=self._operation, name=name, too_much=too_much)
            if _is_error(event, seen):
                parts.append(written_event(name, event.data))
                continue
            self._ended = self._ended or _is_final(self._operation, seen)
            parts.append(seen)
        return parts

    def _now(self, filter: Applied, part: Part) -> Sequence[Part]:
        if isinstance(part, bytes):
            return (part,)
        assert filter.hooks.event is not None
        return _listed(filter, filter.hooks.event.now(filter.call, part))

    async def _later(self, parts: list[Part]) -> bytes:
        for filter in self._events:
            kept: list[Part] = []
            for part in parts:
                kept += (part,) if isinstance(part, bytes) else _listed(filter, await self._asked(filter, part))
            parts = kept
        return self._told(parts)

    async def _asked(self, filter: Applied, event: FilterEvent) -> Events:
        assert filter.hooks.event is not None
        return await filter.hooks.event(filter.call, event)

    def _told(self, parts: Iterable[Part]) -> bytes:
        said: list[bytes] = []
        for part in parts:
            if isinstance(part, bytes):
                said.append(part)
                continue
            self._told_end = self._told_end or (self._ended and _is_final(self._operation, part))
            data = _sendable(part)
            self._gather(part, data)
            said.append(written_event(part.name, data))
        return b"".join(said)

    def _gather(self, event: FilterEvent, told: bytes) -> None:
        if self._gathering is None:
            return
        self._room -= len(told)
        if self._room < 0:
            raise too_long(self._most, "an answer")
        self._gathering.add(event)

    async def _after(self, *, complete: bool, usage: Usage | None = None) -> None:
        if self.over:
            return
        self.over = True
        if self._gathering is None:
            return
        answer = self._gathering.told(
            usage or normal_usage(read_usage(last_events(self._tail), events=True)), complete=complete
        )
        self._gathering = None
        for filter in self._afters:
            assert filter.hooks.after is not None
            await filter.hooks.after(filter.call, answer)


async def _counted(answer: bytes) -> str:
    """What there is too much of in it."""
    return (
        await in_turns(too_much_in(answer), Clock.of(asyncio.get_running_loop()).slices) if len(answer) > LIGHT else ""
    )


async def _turn(answer: bytes) -> None:
    """Others have theirs before it is read or written once more, if it is long."""
    if len(answer) > LIGHT:
        await Clock.of(asyncio.get_running_loop()).slices.wait()


def _listed(filter: Applied, given: Events) -> Sequence[FilterEvent]:
    """What a filter gave in the place of an event."""
    if given is None:
        return ()
    if isinstance(given, FilterEvent):
        return (given,)
    assert filter.hooks.event is not None
    try:
        events = list(given)
    except Exception as error:
        raise filter.hooks.event.translated(error) from error
    if not all(isinstance(event, FilterEvent) for event in events):
        raise _failed(f"filters.{filter.place}.event gave something that is no FilterEvent")
    return events


def _sendable(event: FilterEvent) -> bytes:
    """What an event has been changed to, as bytes."""
    try:
        return event.written
    except (TypeError, ValueError, RecursionError) as error:
        raise _failed(f"a filter made of an event what is no JSON: {error}") from error


def _failed(why: str) -> HostFailure:
    logger.error("%s", why)
    return HostFailure("The application failed while it handled this request.")


def _is_error(event: Event, seen: FilterEvent) -> bool:
    """Whether it says that the answer failed, and nothing of the answer itself."""
    if b"error" not in event.data and event.name != b"error":
        return False
    data: Any = seen.read()
    if not isinstance(data, dict):
        return False
    return data.get("type") == "error" or (bool(data.get("error")) and "choices" not in data)


def _is_final(operation: str, event: FilterEvent) -> bool:
    if operation in CHAT:
        if not event.may_finish:
            return False
        data = event.read()
        choices = data.get("choices") if isinstance(data, dict) else None
        return isinstance(choices, list) and any(isinstance(each, dict) and finish_reason(each) for each in choices)
    finals = FINAL_EVENTS.get(operation, ())
    return bool(finals) and isinstance(data := event.read(), dict) and data.get("type") in finals
