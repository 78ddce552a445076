"""Model ids with wildcards: ``*`` stands for any run of characters, everything else for itself.

Not regular expressions: theirs go back and try again, so that ``a*a*a*a*b`` may take them minutes.
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_ID = 256
"""Characters of the longest id."""


def is_pattern(text: str) -> bool:
    return "*" in text


class Pattern:
    """An id with one wildcard or more."""

    __slots__ = ("_first", "_last", "_middle", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._first, _, rest = text.partition("*")
        middle, _, self._last = rest.rpartition("*")
        self._middle = tuple([piece for piece in middle.split("*") if piece])

    def matches(self, text: str) -> bool:
        """In one walk through ``text``: the first place where a piece fits leaves the most room for those behind it."""
        if not (text.startswith(self._first) and text.endswith(self._last)):
            return False
        at, end = len(self._first), len(text) - len(self._last)
        for piece in self._middle:
            at = text.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return at <= end


class ModelIds:
    """Ids, some of them with wildcards. Whether it has one costs the same however many are plain."""

    __slots__ = ("_patterns", "_plain")

    def __init__(self, texts: Iterable[str]) -> None:
        given = tuple(texts)
        self._plain = frozenset([text for text in given if not is_pattern(text)])
        self._patterns = tuple([Pattern(text) for text in given if is_pattern(text)])

    def __contains__(self, id: str) -> bool:
        return id in self._plain or any(pattern.matches(id) for pattern in self._patterns)

    def pattern_of(self, id: str) -> str | None:
        """The first wildcard pattern that matches ``id``."""
        return next((pattern.text for pattern in self._patterns if pattern.matches(id)), None)

    def __bool__(self) -> bool:
        return bool(self._plain or self._patterns)
