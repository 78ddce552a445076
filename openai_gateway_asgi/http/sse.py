"""Server-sent events as bytes: where whole events end, and nothing more.

An event ends at a blank line; lines end with LF, CRLF or CR (WHATWG HTML, 9.2.6).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..errors import GatewayError

BOUNDARIES = (b"\n\n", b"\n\r\n", b"\r\r")
_SHORT = 1024
"""Bytes at the beginning of a read that are looked at first."""
_LONGEST = 4  # CR LF CR LF, which a boundary may span from one read into the next


class EventSplitter:
    """Holds back what follows the last whole event, so that an error event can always be put behind it.

    An event longer than ``limit`` bytes streams through; until it ends, ``at_boundary`` is False.
    """

    __slots__ = ("_edge", "_held", "_limit", "at_boundary", "long")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = b""
        self._edge = b""
        self.at_boundary = True
        self.long = b""
        """How the last event longer than ``limit`` begins: of what kind it is may stand nowhere else."""

    def feed(self, data: bytes) -> bytes:
        """What may go out now: everything up to the last boundary, or all of it once an event is too long."""
        if self._held:
            data = self._held + data
            self._held = b""
        if data.endswith((b"\n\n", b"\n\r\n")):
            self.at_boundary = True
            self._edge = b""
            return data
        end = last_boundary(data)
        if end == 0 and not self.at_boundary:
            return self._inside_long_event(data)
        if len(data) - end > self._limit:
            self.at_boundary = False
            self._edge = data[-_LONGEST:]
            self.long = data[end:]
            return data
        self.at_boundary = True
        self._edge = b""
        self._held = data[end:]
        return data[:end]

    def _inside_long_event(self, data: bytes) -> bytes:
        """The long event may end across two reads: look at the seam."""
        seam = self._edge + data[:_LONGEST]
        end = last_boundary(seam) - len(self._edge)
        if end > 0:
            self.at_boundary = True
            self._edge = b""
            self._held = data[end:]
            return data[:end]
        self._edge = (self._edge + data)[-_LONGEST:]
        return data

    def rest(self) -> bytes:
        """What was held when the stream ended."""
        held, self._held = self._held, b""
        return held


def last_boundary(data: bytes) -> int:
    """The offset behind the last blank line, 0 where there is none."""
    return max((found + len(mark) for mark in BOUNDARIES if (found := data.rfind(mark)) >= 0), default=0)


def only_comments(data: bytes) -> bool:
    """Whether whole events hold nothing but comments and blank lines, which tell a client nothing yet."""
    if data[:1] not in (b":", b"\n", b"\r", b""):
        return False
    return all(not line or line.startswith(b":") for line in data.splitlines())


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
    start, events = len(data), 0
    while events <= most:
        if (start := data.rfind(mark, 0, start)) < 0:
            return -1
        after = start + len(mark)
        events += data[after : after + 1] != b":"
    return start + len(mark)


def error_event(error: GatewayError, sequence_number: int = 0) -> bytes:
    """One event that the SDKs raise on, for Chat Completions and Responses streams alike.

    Chat clients look for ``error`` in the data; Responses clients for ``type: error`` and its flat fields.
    """
    detail = error.detail()
    flat = {key: detail[key] for key in ("code", "message", "param")}
    data = {"type": "error", "sequence_number": sequence_number, **flat, "error": detail}
    return b"event: error\ndata: " + msgspec.json.encode(data) + b"\n\n"
