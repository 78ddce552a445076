"""Whether something in an answer stands where upstreams tell it, and not in what they repeat of a request.

Answers hold tools, metadata and arguments that clients and models wrote, as JSON and not as texts: a ``usage`` or a
``model`` in these is nobody's to believe. What is told stands at the top of an answer, and of an event at its top or in
an object there (``response``, ``x_groq``). That is seen by what follows it, or by what is before it; the rest of an
answer may be megabytes, or gone by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

REPEATED = frozenset(
    """tools tool_choice tool_calls function_call function arguments metadata text instructions input prompt output
    content messages response_format variables parameters""".split()
)
"""Names of what is the client's own, or the model's."""
LONGEST = 256 * 1024
"""Bytes before something, or behind it, by which its place is told: it stands near the one end or the other."""
DEEPEST = 8
"""Objects and lists around what is told."""

_LINE_END = re.compile(rb"[\r\n]")


class _Whole(msgspec.Struct):
    """Any object: its fields are passed over."""


_read_over = msgspec.json.Decoder(_Whole).decode
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def stands_at_top(answer: bytes, start: int, end: int, *, events: bool) -> bool:
    """Of a member from its key at ``start`` up to the end of its value. ``events``: the answer is a stream."""
    begin, stop = _line(answer, start, end) if events else (0, len(answer))
    if stop - end <= LONGEST:
        rest = answer[end:stop]
        if _is_object(b'{"":0' + rest) or (events and _is_object(b'{"":{"":0' + rest)):
            return True
    if start - begin > LONGEST:
        return False
    before = answer[begin:start]
    return _is_object(before + b'"":0}') or (events and _is_object(before + b'"":0}}'))


def is_among_told(answer: bytes, start: int, value: Any, *, events: bool) -> bool:
    """Whether a ``usage`` of this value stands anywhere but in what is repeated; by the names around it."""
    begin, stop = _line(answer, start, start) if events else (0, len(answer))
    if stop - begin > LONGEST:
        return False
    try:
        whole: Any = msgspec.json.decode(answer[begin:stop])
    except _FAULTS:
        return False
    return any(each == value for each in _told(whole, DEEPEST))


def _told(value: Any, deep: int) -> Iterator[Any]:
    if isinstance(value, dict) and deep:
        for name, inner in value.items():
            if name == "usage":
                yield inner
            elif name not in REPEATED:
                yield from _told(inner, deep - 1)
    elif isinstance(value, list) and deep:
        for inner in value:
            yield from _told(inner, deep - 1)


def _line(answer: bytes, start: int, end: int) -> tuple[int, int]:
    """Of the line of data around them, where its JSON begins and ends."""
    begin = max(answer.rfind(b"\n", 0, start), answer.rfind(b"\r", 0, start)) + 1
    stop = _LINE_END.search(answer, end)
    return begin + len(b"data:") * answer.startswith(b"data:", begin), len(answer) if stop is None else stop.start()


def _is_object(data: bytes) -> bool:
    try:
        _ = _read_over(data)
    except _FAULTS:
        return False
    return True
