"""The names that a reader of JSON may take a key for.

Readers differ: some ignore the case of a key (Go's encoding/json, .NET), with the letters that fold into ASCII ones,
some end it at a NUL (what is written in C), some trim it. A key that one of them would take for a name which counts
must be written as that name; escapes are not another spelling, because all readers undo them.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

LONGEST = 256
"""Bytes of a key, as it is written, that are looked at; of a longer one those behind its first blanks, and what follows
them may be anything."""
_MOST_BLANKS = 4096
"""Blanks in front of a key that are passed over."""

BLANK = (
    rb"(?:[\x00-\x20\x7f]|\xc2[\x85\xa0\xad]|\xe1\x9a\x80|\xe2\x80[\x80-\x8f\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80|\xef\xbb\xbf"
    rb"|\\[bfnrt]|\\u00(?:[01][0-9a-fA-F]|20|7[fF]|85|[aA][0dD])|\\u(?:1680|200[0-9a-fA-F]|202[89fF]|205[fF]|3000|[fF][eE][fF][fF]))"
)
_KEY = re.compile(
    rb"(?>%b*)((?>(?:(?!%b)(?:[^\\]|\\u[0-9a-fA-F]{4}|\\.))+))(?:(?P<nul>\x00|\\u0000)|(?P<blank>%b)|\Z)"
    % ((BLANK,) * 3),
    re.DOTALL,
)
_NUL = re.compile(rb"\x00|\\u0000")
_BLANKS = re.compile(rb"(?>%b*)" % BLANK)
_NESTING = re.compile(r"[\[\].]")
_AROUND = string.whitespace + "\0'`"
_decode = json.JSONDecoder(strict=False).decode


class Spelt(NamedTuple):
    name: str
    """In the letters of the table."""
    exact: bool
    """Whether every reader reads just that."""


ANYTHING = Spelt("", exact=False)
"""Of a key that begins with so many blanks that nobody has looked behind them."""


def spelt(key: bytes) -> Spelt | None:
    """What a key, as it is written between its quotes, may be read as; None where that is no name at all."""
    long = len(key) > LONGEST
    if long:
        start = _BLANKS.match(key, 0, _MOST_BLANKS).end()  # type: ignore[union-attr]  # it matches nothing as well
        if start >= min(len(key), _MOST_BLANKS - 8):
            return ANYTHING
        key = key[start : start + LONGEST]
    found = _KEY.match(key)
    if found is None:
        return None
    if found["blank"] and not long:
        start, end = found.start("blank"), _BLANKS.match(key, found.end()).end()  # type: ignore[union-attr]
        if end < len(key) and _NUL.search(key, start, end) is None:
            return None  # more words than one
    try:
        text = _decode(f'"{found[1].decode("utf-8", "replace")}"')
    except ValueError:
        return None  # no reader takes it
    name = folded(text)
    return Spelt(name, text == name and found[1] == key and not long)


def folded(text: str) -> str:
    """In lower case by all the rules of readers: the long s, the Kelvin sign and the Turkish letters fold as well. Half
    characters are left out, as whoever cannot write them does."""
    if text.isascii() and text.islower():
        return text
    return text.encode("utf-8", "ignore").decode().upper().lower().replace("\u0307", "")


def plainly(name: str) -> Spelt | None:
    """``spelt`` for a key that has been decoded."""
    return spelt(json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass")[1:-1])


def stem(name: str) -> str:
    """What the most lenient reader may make of the name of a form's field or of a query's parameter: without case,
    escapes, blanks, quotes and nesting."""
    return next(pieces(name), "")


def pieces(name: str) -> Iterator[str]:
    """The names in such a name, which may nest: ``input_reference[file_id]`` is a ``file_id`` to some."""
    return (piece for raw in _NESTING.split(folded(unquote(name))) if (piece := raw.strip(_AROUND)))
