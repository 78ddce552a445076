"""What a walk through JSON knows and can be asked while it is at a key, for those who decide what the key means."""

from __future__ import annotations

from typing import Protocol

from .findings import Findings, Place

OBJECT, LIST, TEXT, NULL, OTHER = 1, 2, 3, 4, 0
"""Kinds of values; numbers, true and false are ``OTHER``."""


class Frame:
    """What was seen in one object so far; every occurrence of a key counts, because readers differ on which does."""

    __slots__ = ("at", "empty", "kinds", "said", "silent", "withheld")

    def __init__(self, at: int) -> None:
        self.at = at
        self.kinds: dict[str, int] = {}
        """The types it says it is of, and where."""
        self.said: set[str] = set()
        """Fields that it has."""
        self.silent: set[str] = set()
        """Fields that are null."""
        self.empty: set[str] = set()
        self.withheld: Findings | None = None
        """What was found where names may be only names."""

    def note(self, name: str, *, null: bool, empty: bool) -> None:
        (self.silent if null else self.said).add(name)
        if empty:
            self.empty.add(name)

    def withhold(self) -> Findings:
        self.withheld = self.withheld or Findings()
        return self.withheld


class Walk(Protocol):
    """``at`` is where a value stands, with white space before it or none."""

    found: Findings
    frame: Frame | None
    """The object in which the walk is, where what else stands in it matters."""
    key: bytes
    """The key at whose value it is."""

    def place(self, at: int) -> Place: ...

    def kind_at(self, at: int) -> int: ...

    def kind_of_first(self, at: int) -> int | None:
        """The kind of the first element of a list, None where it is empty."""

    def is_known(self, at: int, end: int) -> bool:
        """Whether what stands there stood in a list before, letter by letter; few are remembered."""

    def text_at(self, at: int) -> str | None:
        """A text, None where it is longer than anything that counts."""

    def is_empty(self, at: int) -> bool:
        """Whether it is a text, a list or an object with nothing in it."""
