"""Token counts, as the upstream sent them: looked for once, when the answer is over, wherever they stand in it."""

from __future__ import annotations

import json
import re
from typing import Any

from .usage import counts_something

KEY = b'"usage"'
LONGEST = 64 * 1024
"""Bytes of an answer's usage, which is a few numbers."""
MOST = 64
"""Objects of that name in one answer that are looked at, the last first."""

MOST_KEYS = 4_096
"""Places of the key that are looked at in all: chunks of a stream may have a null there."""

_OPENS = re.compile(rb'"usage"\s*:\s*(?=\{)')
_decoder = json.JSONDecoder()


def read_usage(answer: bytes) -> dict[str, Any] | None:
    """The last ``usage`` of an answer that counts something, be it JSON or events, or of what is at hand of it.

    Inside a JSON string the key's quotes would be escaped, so a text that talks about usage is never taken for it. An
    object that counts nothing known is given only where there is no other.
    """
    end, other, looks, keys = len(answer), None, 0, 0
    while (end := answer.rfind(KEY, 0, end)) >= 0 and looks < MOST and keys < MOST_KEYS:
        keys += 1
        opens = _OPENS.match(answer, end)
        if opens is None:
            continue
        looks += 1
        usage = _object(answer, opens.end())
        if usage is not None and counts_something(usage):
            return usage
        other = other or usage
    return other


class UsageSearch:
    """The same for an answer of which only the last pieces are kept: it is shown the others, one after the other."""

    __slots__ = ("_found", "_rest")

    def __init__(self) -> None:
        self._found: dict[str, Any] | None = None
        self._rest = b""
        """Of the last piece, what may begin a usage that goes on in the next one."""

    def look_at(self, piece: bytes) -> None:
        data = self._rest + piece
        self._found = read_usage(data) or self._found
        last = data.rfind(KEY, -LONGEST)
        self._rest = data[last if last >= 0 else -len(KEY) :]

    def usage(self, tail: bytes) -> dict[str, Any] | None:
        """``tail`` is what was kept, behind all that was looked at."""
        return read_usage(self._rest + tail) or self._found


def _object(answer: bytes, start: int) -> dict[str, Any] | None:
    try:
        usage, _ = _decoder.raw_decode(answer[start : start + LONGEST].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return usage if isinstance(usage, dict) else None
