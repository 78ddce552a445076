"""How much there is to take to pieces in an answer: what it costs to decode grows with that, not with its bytes."""

from __future__ import annotations

from collections.abc import Generator

LIGHT = 32 * 1024
"""Bytes of an answer up to which nothing in it is counted."""
_WINDOW = 256 * 1024
"""Bytes of an answer that are counted between two turns for others."""
MOST_PARTS = 40_000
"""Objects and lists of an answer that is decoded: those of the probabilities of 3,000 tokens, with five others each."""
MOST_TEXTS = 200_000
"""Keys and texts of one."""
MOST_VALUES = 500_000
"""Values of one: some hundred vectors."""
MOST_ESCAPES = 1_000_000
"""Escaped letters in its texts."""

_COUNTED = (
    ((b"{", b"["), MOST_PARTS, f"more than {MOST_PARTS} objects and lists"),
    ((b'"',), 2 * MOST_TEXTS, f"more than {MOST_TEXTS} texts"),
    ((b",",), MOST_VALUES, f"more than {MOST_VALUES} values"),
    ((b"\\",), MOST_ESCAPES, f"more than {MOST_ESCAPES} escapes"),
)
_OTHERS = bytes(set(range(256)) - set(b'{[",\\'))


def too_much_in(answer: bytes) -> Generator[None, None, str]:
    """The steps to what there is more of in an answer than may be decoded; empty where that is nothing."""
    if len(answer) <= LIGHT:
        return ""
    found = [0] * len(_COUNTED)
    for begin in range(0, len(answer), _WINDOW):
        marks = answer[begin : begin + _WINDOW].translate(None, _OTHERS)
        for place, (counted, most, words) in enumerate(_COUNTED):
            found[place] += sum(map(marks.count, counted))
            if found[place] > most:
                return words
        yield
    return ""
