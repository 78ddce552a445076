"""A body cut into parts as it arrives, however it was cut on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .headers import Part, malformed, parse_part

MAX_HEAD = 8 * 1024
"""Bytes of one part's header lines."""
MAX_PARTS = 1000
"""Parts of one form."""


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part that began last is complete."""


Event: TypeAlias = Part | bytes | PartEnd
PART_END = PartEnd()


class Parser:
    """Incremental and strict: every boundary exact, no preamble or epilogue but one line break each, no folded lines.

    ``feed`` gives what the next bytes of the body complete: a ``Part`` where one begins, ``bytes`` of its content, a
    ``PartEnd``. ``close`` is for the end of the body; before it has returned the body is not known to be whole. Both
    raise ``InvalidRequest``. Time is linear in the length of the body, and at most one head is held back.
    """

    __slots__ = ("_at", "_buffer", "_delimiter", "_last", "_parts", "_scanned", "_step")

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b""
        self._at = 0
        self._last = -1
        self._scanned = 0
        self._parts = 0
        self._step = self._opening

    def feed(self, data: bytes) -> list[Event]:
        self._buffer = self._buffer + data if self._buffer else data
        self._last = self._buffer.rfind(self._delimiter)  # several times as fast as find, and most often enough
        events: list[Event] = []
        while self._step(events):
            pass
        self._buffer = self._buffer[self._at :]
        self._at = 0
        return events

    def close(self) -> None:
        if self._step != self._epilogue or self._buffer == b"\r":
            raise malformed("it ends before its closing boundary")

    # Each step reads from ``_at`` on and tells whether the next can go on, or must wait for more bytes.

    def _opening(self, events: list[Event]) -> bool:
        """Some clients (Unity's) write the line break that belongs to a boundary before the first one as well."""
        if len(self._buffer) < len(self._delimiter):
            return False
        start = 2 if self._buffer.startswith(b"\r\n") else 0
        if not self._buffer.startswith(self._delimiter[2:], start):
            raise malformed("it does not begin with its boundary")
        self._at = start + len(self._delimiter) - 2
        self._step = self._after_boundary
        return True

    def _after_boundary(self, events: list[Event]) -> bool:
        follows = self._buffer[self._at : self._at + 2]
        if len(follows) < 2:
            return False
        if follows == b"\r\n":
            self._step = self._head
        elif follows == b"--" and self._parts:
            self._step = self._epilogue
        else:
            raise malformed("it has no parts" if follows == b"--" else "a boundary is not followed by a line break")
        self._at += 2
        return True

    def _head(self, events: list[Event]) -> bool:
        end = self._buffer.find(b"\r\n\r\n", self._at + self._scanned)
        size = (len(self._buffer) if end < 0 else end) - self._at
        if size > MAX_HEAD:
            raise malformed(f"a part's headers are longer than {MAX_HEAD} bytes")
        if end < 0:
            self._scanned = max(0, size - 3)
            return False
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise malformed(f"it has more than {MAX_PARTS} parts")
        events.append(parse_part(self._buffer[self._at : end]))
        self._at, self._scanned = end + 4, 0
        self._step = self._content
        return True

    def _content(self, events: list[Event]) -> bool:
        whole = self._at <= self._last
        end = self._buffer.find(self._delimiter, self._at) if whole else self._partial_delimiter()
        if end > self._at:
            events.append(self._buffer[self._at : end])
        self._at = end
        if whole:
            events.append(PART_END)
            self._at += len(self._delimiter)
            self._step = self._after_boundary
        return whole

    def _partial_delimiter(self) -> int:
        """Where a delimiter may have begun, which only the next bytes can tell; the end of the buffer if nowhere.

        Its first byte occurs in it once, so only the last of these counts, and searching for it whole is linear too.
        """
        buffer = self._buffer
        start = buffer.rfind(b"\r", max(self._at, len(buffer) - len(self._delimiter) + 1))
        return start if start >= 0 and self._delimiter.startswith(buffer[start:]) else len(buffer)

    def _epilogue(self, events: list[Event]) -> bool:
        if not b"\r\n".startswith(self._buffer[self._at :]):
            raise malformed("something follows its closing boundary")
        return False
