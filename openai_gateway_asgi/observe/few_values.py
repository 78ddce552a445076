"""A label's values, which metrics keep for good, and which therefore must be few."""

from __future__ import annotations

MOST_VALUES = 1_000
"""Of each label; what comes later counts as ``other``."""
OTHER = "other"


class FewValues:
    """The values of one label."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, value: str | None) -> str:
        """The value itself, ``other`` beyond the bound, nothing for None."""
        if value is None:
            return ""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value
