"""The elements of a long JSON list, a window after the other: a decoder holds the interpreter as long as it takes.

What has been decoded of a list tells where one of its elements begins, and bytes that are whole elements end where one
does. So each comma is tried that may stand between two; where it stands inside of one, what is before it is no list.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import islice

import msgspec

WINDOW = 512 * 1024
"""Bytes of a list that are decoded in one go, some milliseconds; twice as many where no element ends near them."""

_BETWEEN = tuple(re.compile(between) for between in (rb"\}\s*+,(?=\s*+\{)", rb"\"\s*+,(?=\s*+\")", rb","))
"""What may end an element: commas between two objects, as nearly always, between two texts, and others."""
_TRIED = 3
"""Commas of each kind that are tried; a good one is found soon, but where somebody has hidden them."""

_decode = msgspec.json.Decoder(list[msgspec.Raw]).decode


def elements(data: bytes | memoryview) -> Iterator[list[msgspec.Raw]]:
    """Those of a list, undecoded. Raises ``msgspec.DecodeError`` for what is none, perhaps behind some of its own."""
    if len(data) <= WINDOW:
        yield _decode(data)
        return
    data, at, size = bytes(data).strip(), 0, 0
    if data[:1] != b"[" or data[-1:] != b"]":
        raise msgspec.DecodeError("it is no list")
    at = 1
    while at < len(data):
        size = size * 2 or _about(WINDOW)
        for end in _ends(data, at + size):
            try:
                found = _decode(b"[%b]" % data[at:end])
            except msgspec.DecodeError:
                continue
            if not found and (at > 1 or end < len(data) - 1):
                raise msgspec.DecodeError("nothing stands between two commas")
            yield found
            at, size = end + 1, 0
            break
        else:
            if at + size >= len(data):
                raise msgspec.DecodeError("it is no list")


def _ends(data: bytes, near: int) -> Iterator[int]:
    """Where elements may end from there on: before a comma, or before the end of the list."""
    if near >= len(data) - 1:
        yield len(data) - 1
        return
    for between in _BETWEEN:
        for met in islice(between.finditer(data, near, near + WINDOW), _TRIED):
            yield met.end() - 1


def _about(size: int) -> int:
    """Nobody knows beforehand where a window will end, and so where to put what cannot be cut."""
    return size // 2 + random.randrange(size)  # noqa: S311
