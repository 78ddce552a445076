"""A stream of chat or completions as its client would have seen it, had the gateway not asked for its usage.

``stream_options.include_usage`` adds an event without choices, which has the usage. Beside it OpenAI and Azure write
``"usage": null`` into every other event, and Ollama a usage of zeros into every event of completions; vLLM and others
write nothing more. All of that is taken out. What has choices and counts stays: such upstreams count unasked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..http.sse import Event, last_boundary, next_event, without_comments
from ..http.stages import EventsOnly
from .endings import decoded

KEY = b'"usage"'
_END = b"}"
_BLANK = b"\n\n"
_CLOSED = _END + _BLANK
_NEVER = b"\0"
"""No event ends so."""
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class UsageTakenOut(EventsOnly):
    """A stage of one attempt. ``everywhere``: counts beside choices are taken out as well, because they are there only
    for what the gateway asked. ``zeros``: of counts beside choices, those that count nothing are taken out."""

    __slots__ = ("_cut", "_ending", "_everywhere", "_member", "_zeros")

    sign = KEY

    def __init__(self, *, everywhere: bool = False, zeros: bool = False) -> None:
        self._everywhere = everywhere
        self._zeros = zeros
        self._member: bytes | None = None
        """What came out of the last event that something came out of: most upstreams write it alike every time."""
        self._ending, self._cut = _NEVER, 0
        """How such an event ends, where it does with that, and how much of it goes."""

    def events(self, events: bytes, /) -> bytes:
        """This is where streams spend their time."""
        # One event of one line, here and below.
        if events.endswith(self._ending) and events.find(b"\n") == len(events) - 2 and b"\r" not in events:
            return events[: self._cut] + b"}\n\n"
        if self._member is not None:
            head, found, tail = events.rpartition(self._member)
            # The one brace behind the member is the event's own.
            if found and tail.find(_END) == len(tail) - 3 and b"\n" not in head and b"\r" not in head:
                return head + tail
        return events if events.rfind(KEY) < 0 else self._of_each(events)

    def _of_each(self, events: bytes) -> bytes:
        if self._member is None or b"\r" in events:
            return self._exactly(events)
        pieces: list[bytes] = []
        *whole, rest = events.split(_BLANK)
        for one in whole:
            head, found, tail = one.rpartition(self._member)
            if found and tail.find(_END) == len(tail) - 1 and b"\n" not in head:
                pieces += (head, tail, _BLANK)
            else:
                pieces.append(self._exactly(one + _BLANK))
        return b"".join((*pieces, self._exactly(rest)))

    def _exactly(self, events: bytes) -> bytes:
        """Only events in which the key stands are looked into: a read may hold hundreds."""
        pieces: list[bytes] = []
        start = 0
        while (key := events.find(KEY, start)) >= 0:
            begin = start + last_boundary(events[start:key])
            event = next_event(events, begin)
            if event is None:
                break
            pieces += (events[start:begin], self._of_one(events[begin : event.end], event))
            start = event.end
        return b"".join((*pieces, events[start:]))

    def _of_one(self, written: bytes, event: Event) -> bytes:
        if event.data.rfind(KEY) < 0:
            return written
        try:
            fields = _fields(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return written
        raw = fields.pop("usage", None)
        if raw is None:
            return written
        usage = decoded(bytes(raw))
        if isinstance(usage, dict):
            if not decoded(bytes(fields.get("choices", b"null"))) and not decoded(bytes(fields.get("error", b"null"))):
                return without_comments(written)[0]
            if not (self._everywhere or (self._zeros and _counts_nothing(usage))):
                return written
        elif usage is not None:
            return written
        return self._without_member(written, bytes(raw), fields)

    def _without_member(self, written: bytes, raw: bytes, fields: Mapping[str, msgspec.Raw]) -> bytes:
        """Others may be called ``usage`` deeper inside: it is taken out where that leaves all others as they are."""
        member = rb'"usage"\s*:\s*' + re.escape(raw)
        for found in re.finditer(rb",\s*" + member + rb"|" + member + rb"\s*,?\s*", written):
            rest = written[: found.start()] + written[found.end() :]
            event = next_event(rest)
            try:
                if event is not None and _fields(event.data) == fields:
                    self._remember(found[0], written[found.end() :])
                    return rest
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
        return written

    def _remember(self, member: bytes, behind: bytes) -> None:
        self._member = member if member.startswith(b",") else None
        is_last = self._member is not None and behind == _CLOSED
        self._ending, self._cut = (member + _CLOSED, -len(member + _CLOSED)) if is_last else (_NEVER, 0)


def _counts_nothing(usage: Mapping[str, Any]) -> bool:
    return usage.keys() == set(_COUNTS) and not any(usage.values())
