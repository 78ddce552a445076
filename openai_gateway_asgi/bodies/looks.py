"""Which fields of a small body are worth a walk: those in whose bytes a name stands that counts there.

Searching is ten times as fast as walking, and nearly all bodies name nothing. What is searched is less than a name, so
that no spelling is missed (``tests/bodies/test_looks.py`` tries them all); a walk for nothing only costs time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import msgspec

from ..api.default_models import IMAGE_TOOL
from .named_fields import BELOW, COUNTING, FIELDS, INSIDE, ITEMS_AT, PANELS, Place, What
from .scanner import DEPTH
from .spelling import BLANK
from .zones import Zone, zone_of

_LETTER = re.compile(
    rb"\\(?=u)u(?:00(?:4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA]|2[dDeE]|3[0-9])|017[fF]|212[aA]|013[01]|[fF][bB]0)"
).search
"""An escape of what stands in names, or folds into it."""
_FOLDS = {
    "i": rb"(?:[iI](?:\xcc\x87)?|\xc4[\xb0\xb1](?:\xcc\x87)?)",
    "s": rb"(?:[sS]|\xc5\xbf)",
    "k": rb"(?:[kK]|\xe2\x84\xaa)",
}
_FOLDED = {"i": b"\xc4", "s": b"\xc5", "k": b"\xe2"}
_AFTER = rb'[\x00-\x20\x7f]*+["\\\x80-\xff]'
"""What a key may end with, blanks and more included, for one reader or another."""
_MOST_PARTS = 64 * 1024
"""Parts between quotes of a body that is judged at a look; with more it is walked."""


class _Anything(msgspec.Struct):
    pass


_objects = msgspec.json.Decoder(list[_Anything]).decode
_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Look:
    """How one top-level field is looked at."""

    named: bool
    """Whether the field's own name counts, or what kind of value it has."""
    always: bool
    """Whether what is inside is walked whatever stands there; such fields are short."""
    items: bool
    underscored: re.Pattern[bytes] | None
    quoted: re.Pattern[bytes] | None
    rare: tuple[bytes, ...]
    """What is in all that ``quoted`` finds, where that is little enough to be searched first; else empty."""

    def worth_a_walk(self, data: bytes) -> bool:
        """``data`` is an object or a list, and good JSON."""
        if self.always or (self.items and not _only_objects(data)):
            return True
        # To search one byte is so much faster than anything else that it comes first.
        if b"_" in data and self.underscored is not None and self.underscored.search(data):
            return True
        if self.quoted is not None and self._may_have_words(data) and self.quoted.search(data):
            return True
        return (b"\\" in data and _LETTER(data) is not None) or _may_be_deep(data)

    def _may_have_words(self, data: bytes) -> bool:
        if not self.rare:
            return True
        low = data.lower()
        return not low.isascii() or any(word in low for word in self.rare)


def _only_objects(data: bytes) -> bool:
    try:
        _objects(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _may_be_deep(data: bytes) -> bool:
    """Whether there are as many objects and lists as the deepest that is taken has in each other.

    A list with many elements is not deep where none of them is.
    """
    if _openings(data) < DEPTH - 2:
        return False
    try:
        parts = _parts(data)
    except (msgspec.DecodeError, RecursionError):
        return True
    return len(parts) > _MOST_PARTS or any(_openings(bytes(part)) >= DEPTH - 3 for part in parts)


def _openings(data: bytes) -> int:
    """How many brackets there are, if enough to matter; to take them out is faster than to count them."""
    if len(data) <= 2 * DEPTH - 8:
        return 0
    return 2 * len(data) - len(data.replace(b"{", b"")) - len(data.replace(b"[", b""))


@dataclass(frozen=True, slots=True)
class Looks:
    """How the fields of one operation's bodies are looked at."""

    zone: Zone
    """Of the top."""
    known: dict[str, Look]
    other: Look

    def of(self, name: str) -> Look:
        return self.known.get(name, self.other)


@lru_cache(maxsize=1024)
def looks_of(operation: str, more_routes: frozenset[str] = frozenset()) -> Looks:
    begun: dict[str, Place] = {}
    for name, places, place in INSIDE:
        if Place.TOP in places:
            begun.setdefault(name, place)
    if operation in ITEMS_AT:
        begun[ITEMS_AT[operation]] = Place.ITEM
    named = {row.name for row in FIELDS if Place.TOP in row.places}
    takes_items = operation in ITEMS_AT
    known = {name: _look(begun.get(name, Place.BELOW), name in named, takes_items) for name in {*begun, *named}}
    return Looks(zone_of(operation, more_routes), known, _look(Place.BELOW, False, takes_items))


def _look(place: Place, named: bool, responses: bool) -> Look:
    words = _words(place, responses=responses)
    whole = {word for word in words if "_" not in word}
    return Look(
        named=named or place is Place.METADATA,
        always=named or place in (Place.EXTRA, Place.PLUGINS, Place.SOURCE),
        items=place is Place.ITEM,
        underscored=_underscored({word for word in words if "_" in word}),
        quoted=_quoted(whole),
        rare=_rare(whole) if place is Place.TOOLS else (),
    )


def _words(place: Place, *, responses: bool) -> set[str]:
    """The names that count inside, and those behind which others do."""
    words: set[str] = set()
    for here in (place, BELOW.get(place, place)):
        words |= {row.name for row in FIELDS if here in row.places and row.what is not What.TYPE}
        words |= {name for name, places, begun in INSIDE if here in places and begun in COUNTING}
    if place is Place.TOOLS:
        words |= set(PANELS) | ({IMAGE_TOOL} if responses else set())
    if place is Place.ITEM:
        words.add("id")
    return {word.strip("*") for word in words}


def _underscored(words: Iterable[str]) -> re.Pattern[bytes] | None:
    """Finds names by what is around their last underscore, in any case: that is the rarest of their characters."""
    around: set[tuple[str, bytes, str]] = set()
    for word in words:
        left, _, right = word.rstrip("_").rpartition("_")
        before = re.fullmatch(".*?([^isk]{0,4})", left)
        assert before is not None
        after = b"" if word.endswith("_") else _AFTER
        around.add((right[:1], b"".join(map(_any_case, right)) + after, before[1]))
    choices = []
    for (first, rest), group in groupby(sorted(around), key=lambda each: each[:2]):
        behind = b"|".join(b"(?<=%b_)" % b"".join(map(_any_case, before)) for _, _, before in group)
        choices.append(b"(?=%b)(?:%b)%b" % (_first(first), behind, rest))
    return re.compile(b"_(?:%b)" % b"|".join(choices)) if choices else None


def _quoted(words: Iterable[str]) -> re.Pattern[bytes] | None:
    """Finds names behind the quote that they begin with, in any case and among blanks."""
    words = sorted(words)
    if not words:
        return None
    firsts, folded = {word[0] for word in words}, b"".join(_FOLDED.get(word[0], b"") for word in words)
    whole = b"(?:%b)" % b"|".join(b"".join(map(_any_case, word)) for word in words)
    choices = [
        *(
            b"(?<=%b)%b%b" % (_any_case(word[0], one=True), b"".join(map(_any_case, word[1:])), _AFTER)
            for word in words
        ),
        rb"(?<=[\x00-\x20\x7f])(?>%b*)%b%b" % (BLANK, whole, _AFTER),
        rb"(?<=\\)(?:[bfnrt]|u[0-9a-fA-F]{4})(?>%b*)%b%b" % (BLANK, whole, _AFTER),
        rb"(?<=[\xc2\xe1-\xef])[\x80-\xbf]{1,2}(?>%b*)%b%b" % (BLANK, whole, _AFTER),
        *([b"(?<=[%b])" % folded] if folded else ()),
    ]
    letters = "".join(letter + letter.upper() for letter in sorted(firsts)).encode()
    return re.compile(rb'"[%b%b\x00-\x20\x7f\\\xc2\xe1-\xef](?:%b)' % (letters, folded, b"|".join(choices)))


def _rare(words: Iterable[str]) -> tuple[bytes, ...]:
    """Words in which no other one is."""
    return tuple(word.encode() for word in words if not any(other != word and other in word for other in words))


def _first(letter: str) -> bytes:
    return b"[%b%b%b]" % (letter.encode(), letter.upper().encode(), _FOLDED.get(letter, b""))


def _any_case(letter: str, *, one: bool = False) -> bytes:
    """``one``: as one byte, without what folds into it."""
    if letter in _FOLDS and not one:
        return _FOLDS[letter]
    return f"[{letter}{letter.upper()}]".encode() if letter.isalpha() else re.escape(letter).encode()
