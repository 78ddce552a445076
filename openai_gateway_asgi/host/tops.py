"""Whether something in an answer stands where upstreams tell it, and not in what they repeat of a request.

Answers hold tools, metadata and arguments that clients and models wrote, as JSON and not as texts: a ``usage`` or a
``model`` in these is nobody's to believe. What is told stands at the top of an answer, and of an event at its top or in
an object there (``response``, ``x_groq``). That is seen by what follows it, or by what is before it; the rest of an
answer may be megabytes, or gone by.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

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


class _Whole(msgspec.Struct):
    """Any object: its fields are passed over."""


_read_over = msgspec.json.Decoder(_Whole).decode
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Unit(NamedTuple):
    """The JSON around something: a whole answer, or the line of data of an event; or as much of it as is near."""

    begin: int
    stop: int
    begins: bool
    """Whether it begins there, and not further away."""
    ends: bool


def unit_around(answer: bytes, start: int, end: int, *, events: bool) -> Unit:
    """Of a member from its key at ``start`` up to the end of its value. ``events``: the answer is a stream."""
    begin, stop = max(0, start - LONGEST), min(len(answer), end + LONGEST)
    begins, ends = begin == 0, stop == len(answer)
    if events:
        line = max(answer.rfind(b"\n", begin, start), answer.rfind(b"\r", begin, start)) + 1
        if line or begins:
            begin, begins = line + len(b"data:") * answer.startswith(b"data:", line), True
        for mark in (b"\n", b"\r"):
            if (at := answer.find(mark, end, stop)) >= 0:
                stop, ends = at, True
    return Unit(begin, stop, begins, ends)


def stands_at_top(answer: bytes, start: int, end: int, *, events: bool) -> bool:
    """Whether that member does; ``events`` as above."""
    unit = unit_around(answer, start, end, events=events)
    if unit.ends:
        rest = answer[end : unit.stop]
        if _is_object(b'{"":0' + rest) or (events and _is_object(b'{"":{"":0' + rest)):
            return True
        if rest.rstrip().endswith(b"}"):
            return False  # it is whole, and says enough
    if not unit.begins:
        return False
    before = answer[unit.begin : start]
    return _is_object(before + b'"":0}') or (events and _is_object(before + b'"":0}}'))


def told_in(answer: bytes, unit: Unit) -> list[Any]:
    """The ``usage`` of all objects in it, in their order, but for what is repeated; by the names around them."""
    if not (unit.begins and unit.ends):
        return []
    try:
        whole: Any = msgspec.json.decode(answer[unit.begin : unit.stop])
    except _FAULTS:
        return []
    return list(_told(whole, DEEPEST))


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


def _is_object(data: bytes) -> bool:
    try:
        _ = _read_over(data)
    except _FAULTS:
        return False
    return True
