"""Server-sent events as bytes: where whole events end, and nothing more.

An event ends at a blank line; lines end with LF, CRLF or CR (WHATWG HTML, 9.2.6).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

BOUNDARIES = (b"\n\n", b"\n\r\n", b"\r\r")
_SHORT = 1024
"""Bytes at the beginning of a read that are looked at first."""
_LONGEST = 4  # CR LF CR LF, which a boundary may span from one read into the next
_BEGINNING = 64 * 1024
"""Bytes of the beginning of a long event that are kept, to tell what it is."""
MOST_LINES = 10_000
"""Lines of one event that are read; of what has more only the end is looked for."""
LONGEST_ERROR = 1024 * 1024
"""Bytes of an event that tells of an error and is held whole."""
_BEGINS_AS_ERROR = re.compile(
    rb'^(?:event: ?error\r?$|error:)|"error"\s*:\s*[^n\s]|"(?:type|object)"\s*:\s*"(?:error|response\.failed)"',
    re.MULTILINE,
)
_BARE_ERROR = b'{"error"'
"""How a line begins that is no field, but JSON that tells of an error: from servers that forget what they write."""
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\n|\r|\Z)")
_BLANK = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_COMMENTS = re.compile(rb"(?>(?::[^\r\n]*+|[\r\n]++)*)")  # from the beginning of a line: these, and blank lines
_COMMENT_EVENTS = re.compile(rb"(?>(?:(?>(?::[^\r\n]*+(?:\r\n|\n|\r))*)(?:\r\n|\n|\r))*)")
_SEQUENCE_NUMBER = re.compile(rb'"sequence_number":\s*(\d+)')
_IN_LINE = bytes.maketrans(b"\r\n", b"  ")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventSplitter:
    """Holds back what follows the last whole event, so that an error event can always be put behind it.

    An event longer than ``limit`` bytes streams through, unless it begins as an error does; until it ends,
    ``at_boundary`` is False. However small its reads, what an event costs grows with its length alone.
    """

    __slots__ = ("_edge", "_error", "_held", "_size", "at_boundary", "limit", "long")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._held: list[bytes] = []
        self._size = 0
        self._edge = b""
        self._error: bool | None = None
        self.at_boundary = True
        self.long = b""
        """How the last event longer than ``limit`` begins: of what kind it is may stand nowhere else."""

    def feed(self, data: bytes) -> bytes:
        """What may go out now: everything up to the last boundary, or all of it once an event is too long."""
        if not self._held and data.endswith((b"\n\n", b"\n\r\n")):
            self.at_boundary = True
            self._edge = b""
            return data
        end = last_boundary(self._edge + data) - len(self._edge)  # a boundary may span two reads
        if end > 0:
            return self._cut(data, end)
        if not self.at_boundary:
            self._edge = (self._edge + data)[-_LONGEST:]
            return data
        self._hold(data)
        return self._let_through() if self._is_too_long() else b""

    def rest(self) -> bytes:
        """What was held when the stream ended."""
        held = b"".join(self._held)
        self._hold_nothing()
        return held

    def _cut(self, data: bytes, end: int) -> bytes:
        whole = b"".join((*self._held, data[:end]))
        self._hold_nothing()
        self.at_boundary = True
        if end < len(data):
            self._hold(data[end:])
            if self._is_too_long():
                return whole + self._let_through()
        return whole

    def _is_too_long(self) -> bool:
        """An error is not, up to ``LONGEST_ERROR``: it may repeat what nobody is to read, and so is wanted whole."""
        if self._size <= self.limit:
            return False
        if self._error is None:
            self._error = _BEGINS_AS_ERROR.search(b"".join(self._held)[:_SHORT]) is not None
        return not self._error or self._size > LONGEST_ERROR

    def _let_through(self) -> bytes:
        edge = self._edge
        begun = self.rest()
        self.at_boundary = False
        self._edge = edge
        self.long = begun[:_BEGINNING]
        return begun

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        self._edge = (self._edge + data)[-_LONGEST:]

    def _hold_nothing(self) -> None:
        self._held.clear()
        self._size = 0
        self._edge = b""
        self._error = None


def last_boundary(data: bytes) -> int:
    """The offset behind the last blank line, 0 where there is none."""
    end = 0
    for mark in BOUNDARIES:
        found = data.rfind(mark, max(0, end - len(mark) + 1))  # only one that ends further on counts
        if found >= 0:
            end = found + len(mark)
    return end


class Event(NamedTuple):
    """One event. Its lines of data are joined by LF; ``error`` is a field of llama.cpp's, or a line of JSON."""

    name: bytes
    data: bytes
    error: bytes
    end: int
    """The offset behind it, its blank line included."""


def next_event(data: bytes, start: int = 0) -> Event | None:
    """The first event behind ``start``, without the comments before it; it may lack its blank line. None: no more."""
    if start >= len(data):
        return None
    name, at = b"", start
    if data.startswith(b"event: ", start):
        at = data.find(b"\n", start) + 1 or len(data)
        name = data[start + 7 : at - 1]
    if data.startswith(b"data: ", at):
        end = data.find(b"\n", at)
        if data.startswith(b"\n\n", end) and data.find(b"\r", start, end) < 0:  # one line, as nearly all are
            return Event(name, data[at + 6 : end], b"", end + 2)
    return _any_event(data, start)


def events_in(data: bytes) -> Iterator[Event]:
    """The events of ``data``, without comments."""
    start = 0
    while (event := next_event(data, start)) is not None:
        yield event
        start = event.end


def _any_event(data: bytes, start: int) -> Event | None:
    fields: dict[bytes, bytes] = {}
    lines: list[bytes] = []
    if not start and data.startswith(_BYTE_ORDER_MARK):
        start = len(_BYTE_ORDER_MARK)
    start = _end_of(_COMMENTS, data, start)
    for number, line in enumerate(_LINE.finditer(data, start)):
        if line[1]:
            name, _, value = line[1].partition(b":")
            value = value[1:] if value[:1] == b" " else value
            if name == b"data":
                lines.append(value)
            elif name == _BARE_ERROR:
                name, value = b"error", line[1]
            if name:  # else it is a comment
                fields[name] = value
            if number < MOST_LINES:
                continue
            blank = _BLANK.search(data, line.end())
            return _event(fields, lines, len(data) if blank is None else blank.end())
        if fields:
            return _event(fields, lines, line.end())
    return None


def _event(fields: Mapping[bytes, bytes], lines: Sequence[bytes], end: int) -> Event:
    return Event(fields.get(b"event", b""), b"\n".join(lines), fields.get(b"error", b""), end)


def raw_events(data: bytes) -> Iterator[bytes]:
    """All of ``data``, an event in each piece, with the comments before it; what is no event comes last."""
    start = 0
    while (event := next_event(data, start)) is not None:
        yield data[start : event.end]
        start = event.end
    if start < len(data):
        yield data[start:]


def data_replaced(event: bytes, change: Callable[[bytes], bytes | None]) -> bytes:
    """One event with other JSON for its data, all else as it was; ``change`` gives None to leave it so."""
    lines = [(line[1], line[2]) for line in _LINE.finditer(event)]
    data = [line for line, _ in lines if line.startswith(b"data:")]
    changed = change(b"\n".join([line[5:].removeprefix(b" ") for line in data])) if data else None
    if changed is None:
        return event
    first = True
    pieces: list[bytes] = []
    for line, ending in lines:
        if not line.startswith(b"data:"):
            pieces += (line, ending)
        elif first:
            first = False
            pieces += (b"data: ", changed.translate(_IN_LINE), ending)  # line breaks in JSON are blanks
    return b"".join(pieces)


def without_comments(data: bytes) -> tuple[bytes, bytes]:
    """Whole events parted into those that hold comments alone, blank lines between them included, and the others."""
    comments: list[bytes] = []
    others: list[bytes] = []
    start = 0
    while start < len(data):
        end = _end_of(_COMMENT_EVENTS, data, start)
        blank = _BLANK.search(data, end)
        comments.append(data[start:end])
        start = len(data) if blank is None else blank.end()
        others.append(data[end:start])
    return b"".join(comments), b"".join(others)


def next_sequence_number(pieces: Iterable[bytes]) -> int:
    """Responses streams number their events; 0 where ``pieces``, the last of a stream, have no numbers."""
    numbers = _SEQUENCE_NUMBER.findall(b"".join(pieces))
    return int(numbers[-1]) + 1 if numbers else 0


def only_comments(data: bytes) -> bool:
    """Whether whole events hold nothing but comments and blank lines, which tell a client nothing yet."""
    return data[:1] in (b":", b"\n", b"\r", b"") and _end_of(_COMMENTS, data) == len(data)


def _end_of(pattern: re.Pattern[bytes], data: bytes, start: int = 0) -> int:
    """Of one that matches anywhere, if only nothing."""
    found = pattern.match(data, start)
    return start if found is None else found.end()


def first_data(data: bytes) -> bytes:
    """The data of the first event that has any, its lines joined by LF."""
    lines: list[bytes] = []
    for part in (data[:_SHORT], data):  # a read may hold hundreds of events; all of it is looked at only if it must be
        lines = []
        for line in part.splitlines():
            if line.startswith(b"data:"):
                lines.append(line[5:].removeprefix(b" "))
            elif not line and lines:
                return b"\n".join(lines)
    return b"\n".join(lines)


def last_events(pieces: Sequence[bytes], most: int = 16) -> bytes:
    """The last whole events of a stream that came in ``pieces``, ``most`` of them or more, and what follows them.

    Comments do not count: any number of them may follow the last event.
    """
    last = pieces[-1] if pieces else b""
    start = _start_of_last(last, most)
    if start < 0:
        last = b"".join(pieces)
        start = max(0, _start_of_last(last, most))
    return last[start:]


def _start_of_last(data: bytes, most: int) -> int:
    mark = b"\r\n\r\n" if b"\r\n" in data[:_SHORT] else b"\n\n"
    start, size, left = len(data), len(mark), most + 1
    while left:
        if (start := data.rfind(mark, 0, start)) < 0:
            return -1
        if not data.startswith(b":", start + size):
            left -= 1
    return start + size


def error_event(detail: Mapping[str, str | None], sequence_number: int = 0) -> bytes:
    """One event that the SDKs raise on, for Chat Completions and Responses streams alike.

    Chat clients look for ``error`` in the data; Responses clients for ``type: error`` and its flat fields.
    """
    flat = {key: detail[key] for key in ("code", "message", "param")}
    data = {"type": "error", "sequence_number": sequence_number, **flat, "error": detail}
    return b"event: error\ndata: " + msgspec.json.encode(data) + b"\n\n"
