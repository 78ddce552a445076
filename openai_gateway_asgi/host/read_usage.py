"""Token counts, as the upstream sent them: looked for once, when the answer is over, wherever they stand in it."""

from __future__ import annotations

import json
import re
from typing import Any

from .tops import stands_at_top, told_in, unit_around
from .usage import counts_something

KEY = b'"usage"'
LONGEST = 64 * 1024
"""Bytes of an answer's usage, which is a few numbers."""
MOST = 64
"""Objects of that name in one answer that are looked at, the last first."""
MOST_UNITS = 2
"""Events, or answers, that are read by their names, because nothing is told at their top."""

MOST_KEYS = 4_096
"""Places of the key that are looked at in all: chunks of a stream may have a null there."""

_OPENS = re.compile(rb'"usage"\s*:\s*(?=\{)')
_decoder = json.JSONDecoder()


def read_usage(answer: bytes, *, events: bool = False) -> dict[str, Any] | None:
    """The last ``usage`` of an answer that counts something, be it JSON or ``events``, or of what is at hand of it.

    Inside a JSON string the key's quotes would be escaped, so a text that talks about usage is never taken for it; nor
    is one in what an answer repeats of the request. An object that counts nothing known is given only where there is no
    other.
    """
    end, other, looks, keys = len(answer), None, 0, 0
    units: set[int] = set()
    while (end := answer.rfind(KEY, 0, end)) >= 0 and looks < MOST and keys < MOST_KEYS:
        keys += 1
        opens = _OPENS.match(answer, end)
        if opens is None:
            continue
        looks += 1
        usage, stop = _object(answer, opens.end())
        if usage is None:
            continue
        if not counts_something(usage):
            other = other or usage
        elif stands_at_top(answer, end, stop, events=events):
            return usage
        elif len(units) < MOST_UNITS:
            unit = unit_around(answer, end, stop, events=events)
            told = [] if unit.begin in units else told_in(answer, unit)
            units.add(unit.begin)
            for each in reversed(told):
                if isinstance(each, dict) and counts_something(each):
                    return each
    return other


class UsageSearch:
    """The same for an answer of which only the last pieces are kept: it is shown the others, one after the other."""

    __slots__ = ("_begun", "_events", "_found", "_rest")

    def __init__(self, *, events: bool) -> None:
        self._events = events
        self._found: dict[str, Any] | None = None
        self._begun = events
        self._rest = b""
        """Of the last piece, what may begin a usage that goes on in the next one; of JSON at first all of it, because
        what stands at its top is told by how it begins."""

    def look_at(self, piece: bytes) -> None:
        data = self._rest + piece
        self._found = read_usage(data, events=self._events) or self._found
        if self._begun or len(data) > LONGEST:
            self._begun = True
            last = data.rfind(KEY, -LONGEST)
            data = data[last if last >= 0 else -len(KEY) :]
        self._rest = data

    def usage(self, tail: bytes) -> dict[str, Any] | None:
        """``tail`` is what was kept, behind all that was looked at."""
        return read_usage(self._rest + tail, events=self._events) or self._found


def _object(answer: bytes, start: int) -> tuple[dict[str, Any] | None, int]:
    """The object that begins there, and where it ends."""
    written = answer[start : start + LONGEST]
    text = written.decode("utf-8", "replace")
    try:
        usage, stop = _decoder.raw_decode(text)
        if not text.isascii():  # a character may be several bytes
            _, stop = _decoder.raw_decode(written.decode("latin-1"))
    except (ValueError, RecursionError):
        return None, start
    return (usage, start + stop) if isinstance(usage, dict) else (None, start)
