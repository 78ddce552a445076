"""One walk over the bytes of a JSON value, which stops at the names that count and builds nothing for all others.

A pattern of the grammar is matched once for each key, and for each beginning and end of an object or a list; long texts
are crossed by searching their next quote. What is walked to its end is JSON.

It is a generator: ``yield`` is a turn for others, after some milliseconds of work.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import msgspec

from ..errors import InvalidRequest
from ..http.request_body import Bytes
from .findings import Findings, Place
from .grammar import (
    AFTER_COMMA,
    COLON,
    EMPTY,
    END,
    FIRST_ELEMENT,
    FIRST_KEY,
    FIRST_OF_EACH,
    KEY,
    LAST,
    LIST,
    MORE,
    NEXT_ELEMENT,
    NEXT_KEY,
    NEXT_OF_EACH,
    OBJECT,
    ODD_KEY,
    PLAIN_KEY,
    REACH,
    START,
    TEXT,
    VALUE,
    in_text,
)
from .long_texts import LongTexts
from .spelling import ANYTHING, spelt
from .walk import Frame
from .zones import Action, Zone, is_quiet

MOST_NODES = 1_000_000
"""Keys, objects and lists of one body, and what stands in lists of names; other texts and numbers are none."""
DEPTH = 200
"""Objects and lists in each other, the body itself counted."""

_SLICE = 2048
"""Steps between two turns for others: a millisecond or two."""
_NEAR = 64
"""Bytes between two escaped quotes up to which a text is read, not searched."""
_FAR = 128 * 1024
"""Bytes of a text between two turns for others."""
_MOST_OF_KEY = 8192
"""Bytes of a key that are taken out to be read."""
_MOST_KNOWN = 100
"""Different texts of lists that are known to have been looked at."""
_LONGEST = 2048
"""Bytes of a text that is read."""


class Scanner:
    """Looks through ``data``, the value of the top-level ``field`` or a whole body; ``found`` gets what it names.

    ``texts`` are those that were cut out of it.
    """

    __slots__ = ("_known", "_nodes", "data", "field", "found", "frame", "key", "texts", "top")

    def __init__(self, data: Bytes, found: Findings, field: str = "", texts: LongTexts | None = None) -> None:
        self.data = data
        self.field = field
        self.found = found
        self.top = ""
        """The top-level field at which a walk through the whole body is."""
        self.texts = texts
        self.frame: Frame | None = None
        """The object in which the walk is, where what else stands in it matters."""
        self.key = b""
        """The key at whose value an action looks."""
        self._nodes = 0
        self._known: set[bytes] = set()

    def place(self, at: int) -> Place:
        return Place(self.data, at, self.field, self.texts, self.top)

    def look_at(self, key: bytes, zone: Zone, at: int) -> Zone | None:
        """What a key of ``zone``, as it is written, means for its value at ``at``: the zone of what is in that, None
        where the key means nothing."""
        self.key = key
        action = zone.action(key)
        if action is None and not PLAIN_KEY(key):
            action = self._meaning(zone, key, at)
        return None if action is None else action(self, at) or zone.below

    def walk(self, at: int, zone: Zone) -> Generator[None, None, int]:
        """Reads what begins at ``at``, an object or a list, to its end, which is returned.

        Raises ``InvalidRequest`` for what is no JSON, for more than the bounds allow, and for a name in another
        spelling.
        """
        data, find, reach = self.data, self.data.find, REACH
        stack: list[tuple[Any, Zone, Frame | None, Findings]] = []
        frame: Frame | None = None
        match: Any = START
        after: Any = None
        special: Zone | None = zone
        below, action_for, default = zone, zone.names.get, zone.default
        nodes, steps, turn = self._nodes, 0, _SLICE
        while True:
            met = match(data, at, at + reach)
            if met is None:
                raise self.no_json(at)
            kind = met.lastindex
            if kind == KEY:
                at = met.end()
                nodes += 1
                action = action_for(met[KEY], default)
                if action is None and (zone.tails or not met[KEY].islower()):
                    action = self._other(zone, met[KEY], at)
                if action is None:
                    special = None
                else:
                    self.key = met[KEY]
                    special = action(self, at)
                match = VALUE
            elif kind == END or kind == LAST:  # noqa: SIM109 - this is the fastest, and it is done a million times
                steps += 1 + (met.end() - at >> 6)
                at = met.end()
                if frame is not None and zone.judge is not None:
                    zone.judge(self, frame)
                after, zone, frame, self.found = stack.pop()
                self.frame = frame
                if not stack:
                    self._nodes = _counted(nodes)
                    return at
                match, below, action_for, default = after, zone.below, zone.names.get, zone.default
                special = None
            elif kind == OBJECT or kind == LIST:  # noqa: SIM109
                steps += met.end() - at >> 6
                at = met.end()
                nodes += 1
                if len(stack) >= DEPTH - 1:
                    raise InvalidRequest(f"The request body is nested deeper than {DEPTH} levels.", code="invalid_json")
                if kind == LIST and zone.each is not None and match is not VALUE and stack:
                    zone.each(self, at - 1, at)
                stack.append((after, zone, frame, self.found))
                zone = special or below
                special = None
                if zone.withheld and frame is not None:
                    self.found = frame.withhold()
                below, action_for, default = zone.below, zone.names.get, zone.default
                if kind == OBJECT:
                    frame = None if zone.judge is None else Frame(at - 1)
                    match, after = FIRST_KEY, NEXT_KEY
                else:
                    frame = None
                    match, after = (FIRST_ELEMENT, NEXT_ELEMENT) if zone.each is None else (FIRST_OF_EACH, NEXT_OF_EACH)
                self.frame = frame
            elif kind == TEXT:
                start = met.end() - 1
                steps += 1 + (start - at >> 6)
                at = find(b'"', start + 1) + 1
                if at <= 0 or data[at - 2] == 92:
                    at = yield from self.end_of_text(start)
                if zone.each is not None and match is not VALUE:
                    nodes += 1
                    zone.each(self, start, at)
                match = after
            elif kind == ODD_KEY:
                start = met.end() - 1
                end = find(b'"', start + 1) + 1
                if end <= 0 or data[end - 2] == 92:
                    end = yield from self.end_of_text(start)
                colon = COLON(data, end, end + reach)
                if colon is None:
                    raise self.no_json(end)
                at = colon.end()
                nodes += 1
                steps += 8
                action = self._odd(zone, start, end, at) or default
                special = None if action is None else action(self, at)
                match = VALUE
            elif zone.each is not None:
                at = met.end()
                nodes += 1
                zone.each(self, met.start(MORE), at)
                match = after
            elif met.end() > at:
                at = met.end()
                match = AFTER_COMMA
                steps += 32
            else:
                raise self.no_json(at)
            if nodes + steps > turn:
                turn = _counted(nodes) + steps + _SLICE
                yield

    def end_of_text(self, start: int) -> Generator[None, None, int]:
        """The end of a text that has escaped quotes.

        Where they are far apart the next one is searched, where they are close the text is read.
        """
        data, at, turn = self.data, start + 1, start + _FAR
        while True:
            end = data.find(b'"', at)
            if end < 0:
                raise self.no_json(start)
            before = data[max(at, end - _NEAR) : end]
            backslashes = len(before) - len(before.rstrip(b"\\"))
            if backslashes < _NEAR and not backslashes % 2:
                return end + 1
            far = backslashes < _NEAR and end - at > _NEAR
            at = end + 1 if backslashes < _NEAR else at
            if not far:
                end = in_text(data, at, at + REACH)
                if end == at and data[at : at + 1] != b'"':
                    raise self.no_json(start)
                at = end
            turn -= 1
            if at > turn:
                turn = at + _FAR
                yield

    def _other(self, zone: Zone, key: bytes, at: int) -> Action | None:
        """What a key of plain letters means that is not in the table as it is written."""
        small = key.lower()
        action = zone.action(small)
        if action is None or small == key:
            return action
        return self._misspelt(action, at, small.decode())

    def _misspelt(self, action: Action | None, at: int, name: str) -> Action | None:
        if action is not None and is_quiet(action):
            return None
        self.found.misspelt(self.place(at), name)
        return action

    def _odd(self, zone: Zone, start: int, end: int, at: int) -> Action | None:
        """What a key means that is not written in plain letters."""
        if not (zone.names or zone.tails or zone.default):
            return None
        key = bytes(self.data[start + 1 : min(end - 1, start + _MOST_OF_KEY)])
        if self.texts is not None:
            key = self.texts.beginning(key, _MOST_OF_KEY)
        return self._meaning(zone, key, at)

    def _meaning(self, zone: Zone, key: bytes, at: int) -> Action | None:
        found = spelt(key)
        if found is None:
            return None
        self.key = name = found.name.encode("utf-8", "surrogatepass")
        action = zone.action(name)
        if found is ANYTHING or (action is not None and not found.exact):
            return self._misspelt(action, at, found.name)
        return action

    # What ``Walk`` says

    def kind_at(self, at: int) -> int:
        met = START(self.data, at, at + REACH)
        if met is None:
            raise self.no_json(at)
        return met.lastindex or 0

    def kind_of_first(self, at: int) -> int | None:
        met = START(self.data, self.data.index(b"[", at) + 1)
        return None if met is None else met.lastindex or 0

    def is_known(self, at: int, end: int) -> bool:
        written = bytes(self.data[at : min(end, at + _LONGEST)])
        if written in self._known:
            return True
        if len(self._known) < _MOST_KNOWN:
            self._known.add(written)
        return False

    def text_at(self, at: int) -> str | None:
        start = self.data.index(b'"', at) + 1
        end = in_text(self.data, start, start + _LONGEST)
        if self.data[end : end + 1] != b'"':
            return None
        text = bytes(self.data[start - 1 : end + 1])
        if self.texts is not None and self.texts.has_token(text):
            return None
        try:
            return msgspec.json.decode(text, type=str)
        except msgspec.DecodeError:
            self.found.unreadable(self.place(at), text)
            return None

    def is_empty(self, at: int) -> bool:
        return EMPTY(self.data, at, at + REACH) is not None

    def no_json(self, at: int) -> InvalidRequest:
        said = f"The request body is not valid JSON: it cannot be read behind byte {at}."
        return InvalidRequest(said, code="invalid_json")


def _counted(nodes: int) -> int:
    if nodes > MOST_NODES:
        said = f"The request body has more than {MOST_NODES} keys, objects and lists."
        raise InvalidRequest(said, code="invalid_json")
    return nodes
