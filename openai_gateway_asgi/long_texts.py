"""Long texts in a JSON body, such as images: cut out before it is read, and put back when it is sent.

A reader of JSON looks at every character. In a text of megabytes nothing is to be found, and its end is its next quote,
which is found thirty times faster. So a token takes the text's place, one that is good JSON inside a string only: where
the rest can be read, what was cut out was inside a string, and the whole means the same as the rest.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import msgspec

LONG = 32 * 1024
"""Bytes of a text worth cutting out, and the distance in which they are looked for; of twice that none is missed."""

_DIGITS = 5

_TELLING = (b"\\", b"\0", b"\n", b"\r", b"\t")
"""A text with one of these is not cut out: an escape, or a control character that people forget to escape and that
readers differ on. The other control characters in a long text are left for the upstream to refuse."""


class LongTexts:
    """What was cut out of one body."""

    __slots__ = ("_stem", "_texts")

    def __init__(self) -> None:
        self._stem = b"~" + secrets.token_hex(8).encode()
        self._texts: list[memoryview] = []

    def cut(self, body: bytes) -> bytes:
        """The body with tokens in place of its long texts; to be called once."""
        kept: list[bytes] = []
        at, probe = 0, LONG
        while (end := body.find(b'"', probe)) >= 0:
            start = body.rfind(b'"', at, probe) + 1
            if start and end - start >= LONG and all(body.find(mark, start, end) < 0 for mark in _TELLING):
                kept += (body[at:start], self._stem, b"%0*d" % (_DIGITS, len(self._texts)))
                self._texts.append(memoryview(body)[start:end])
                at = end
            probe = max(probe, end) + LONG
        return b"".join((*kept, body[at:])) if kept else body

    def __bool__(self) -> bool:
        return bool(self._texts)

    def in_names(self, names: Iterable[str]) -> bool:
        """Whether what was cut out is part of a name."""
        stem = self._stem.decode()
        return any(stem in name for name in names)

    def pieces(self, data: bytes) -> list[bytes | memoryview]:
        """``data``, which may hold tokens, with the texts in their places and nothing copied."""
        first, *rest = data.split(self._stem)
        pieces: list[bytes | memoryview] = [first]
        for part in rest:
            pieces += (self._texts[int(part[:_DIGITS])], part[_DIGITS:])
        return pieces

    def restored(self, raw: msgspec.Raw) -> msgspec.Raw:
        data = bytes(raw)
        return msgspec.Raw(b"".join(self.pieces(data))) if self._stem in data else raw
