"""How much there is to take to pieces in an answer: that is what decoding it costs, not its bytes."""

from __future__ import annotations

from collections.abc import Callable, Generator

LIGHT = 32 * 1024
"""Bytes of an answer up to which nothing in it is counted."""
_WINDOW = 256 * 1024
"""Bytes of an answer that are counted between two turns for others."""
MOST_PARTS = 30_000
"""Objects and lists of an answer that is decoded: those of the probabilities of 2,300 tokens, with five others each."""
MOST_TEXTS = 200_000
"""Keys and texts of one."""
MOST_VALUES = 500_000
"""Values of one: some hundred vectors."""
MOST_ESCAPES = 1_000_000
"""Escaped letters in its texts."""


def _parts(window: bytes, marks: bytes) -> int:
    return marks.count(b"{") + marks.count(b"[")


def _quotes(window: bytes, marks: bytes) -> int:
    return marks.count(b'"') - window.count(b'\\"')


def _values(window: bytes, marks: bytes) -> int:
    return marks.count(b",")


def _escapes(window: bytes, marks: bytes) -> int:
    return marks.count(b"\\")


Bounds = tuple[tuple[Callable[[bytes, bytes], int], int, str], ...]
"""What counts in a window of an answer and in the marks of it, how much of it there may be, and what more is called."""

KEPT_AS_WRITTEN: Bounds = (
    (_parts, MOST_PARTS, f"more than {MOST_PARTS} objects and lists"),
    (_quotes, 2 * MOST_TEXTS, f"more than {MOST_TEXTS} texts"),
    (_values, MOST_VALUES, f"more than {MOST_VALUES} values"),
)
"""Where texts are not decoded, escapes cost nothing."""
EVERYTHING: Bounds = (*KEPT_AS_WRITTEN, (_escapes, MOST_ESCAPES, f"more than {MOST_ESCAPES} escapes"))
_OTHERS = bytes(set(range(256)) - set(b'{[",\\'))


def too_much_in(answer: bytes, bounds: Bounds = EVERYTHING) -> Generator[None, None, str]:
    """The steps to what there is more of in an answer than may be decoded; empty where that is nothing."""
    if len(answer) <= LIGHT:
        return ""
    found = [0] * len(bounds)
    for begin in range(0, len(answer), _WINDOW):
        window = answer[begin : begin + _WINDOW]
        marks = window.translate(None, _OTHERS)
        for place, (count, most, words) in enumerate(bounds):
            found[place] += count(window, marks)
            if found[place] > most:
                return words
        yield
    return ""
