"""Long texts in a JSON body, such as images: cut out before it is read, and put back when it is sent.

A reader of JSON looks at every character. In a text of megabytes nothing is to be found, and its end is its next quote,
which is found thirty times faster. So a token takes the place of the text, one that is good JSON inside a string only:
where the rest can be read, what was cut out was inside a string, and the whole means the same as the rest. For that the
pieces in which a body came need not be joined: copying a megabyte costs more than all this.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import msgspec

LONG = 16 * 1024
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

    def cut(self, body: Sequence[bytes]) -> bytes:
        """A body, in the pieces in which it came, with tokens in place of what is long and without a quote.

        Raises ``UnicodeDecodeError`` where it is not UTF-8.
        """
        if len(body) == 1:
            return self._cut_piece(checked(body[0]))
        # Of a piece that is not all ASCII a character may stand in two.
        return checked(b"".join([self._cut_piece(piece) if piece.isascii() else piece for piece in body]))

    def _cut_piece(self, piece: bytes) -> bytes:
        kept: list[bytes] = []
        at, probe = 0, LONG
        while probe < len(piece):
            end = piece.find(b'"', probe)
            end = len(piece) if end < 0 else end
            start = piece.rfind(b'"', at, probe) + 1
            if end - start >= LONG and all(piece.find(mark, start, end) < 0 for mark in _TELLING):
                kept += (piece[at:start], self._token(memoryview(piece)[start:end]))
                at = end
            probe = max(probe, end) + LONG
        return b"".join((*kept, piece[at:])) if kept else piece

    def _token(self, text: memoryview) -> bytes:
        self._texts.append(text)
        return b"%b%0*d" % (self._stem, _DIGITS, len(self._texts) - 1)

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


def checked(body: bytes) -> bytes:
    """``body``, if it is UTF-8: msgspec does not look inside what it keeps raw; lenient upstreams would."""
    if not body.isascii():
        body.decode()
    return body
