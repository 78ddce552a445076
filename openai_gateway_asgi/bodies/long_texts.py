"""Long texts in a JSON body, such as images: cut out before it is read, and put back when it is sent.

A body that is large without such texts has its long values kept in the same way, so that nothing of it is copied.

A reader of JSON looks at every character. In a text of megabytes it finds nothing, and the end of the text is its next
quote, which a search finds thirty times faster. So a token takes the place of the text. The token is valid JSON only
inside a string: where the rest can be read, what was cut out was inside a string, and the whole means the same as the
rest. The pieces in which a body came need not be joined for this: copying a megabyte costs more than all of it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator, Iterable, Iterator, Sequence

import msgspec

from ..errors import PayloadTooLarge
from ..http.request_body import Bytes

LONG = 16 * 1024
"""Bytes of a text worth cutting out, and the distance in which they are looked for; of twice that none is missed."""

DECODE_LIMIT = 8 * 1024 * 1024
"""Bytes of a value that was held which may be read, where nothing else is said."""

_DIGITS = 5
_FAR = 4 * 1024 * 1024
"""Bytes of a body that are searched in one go."""

_TELLING = (b"\\", b"\0", b"\n", b"\r", b"\t")
"""A text with one of these is not cut out: an escape, or a control character that people forget to escape and that
readers differ on. The other control characters in a long text are left for the upstream to refuse."""


class LongTexts:
    """What was cut out of one body. ``limit`` is how many bytes of a value that was held may be read."""

    __slots__ = ("_limit", "_stem", "_texts")

    def __init__(self, limit: int = DECODE_LIMIT) -> None:
        self._limit = limit
        self._stem = b"~" + secrets.token_hex(8).encode()
        self._texts: list[memoryview] = []

    def cut(self, body: Sequence[Bytes]) -> Generator[None, None, list[Bytes]]:
        """What remains of a body, in the pieces in which it came, with tokens in place of what is long and without a
        quote.

        Only where all of a piece is ASCII: of one that is not a character may stand in two.
        """
        kept: list[Bytes] = []
        for piece in body:
            if len(body) == 1 or piece.isascii():
                yield from self._cut_piece(piece, kept)
            else:
                kept.append(piece)
        return kept

    def _cut_piece(self, piece: Bytes, kept: list[Bytes]) -> Generator[None, None, None]:
        at, probe, turn = 0, LONG, _FAR
        while probe < len(piece):
            end = piece.find(b'"', probe)
            end = len(piece) if end < 0 else end
            start = piece.rfind(b'"', at, probe) + 1
            if end - start >= LONG and all(piece.find(mark, start, end) < 0 for mark in _TELLING):
                kept += (piece[at:start], self._token(memoryview(piece)[start:end]))
                at = end
            probe = max(probe, end) + LONG
            if probe > turn:
                turn = probe + _FAR
                yield
        kept.append(piece[at:] if at else piece)

    def hold(self, value: memoryview) -> msgspec.Raw:
        """What stands for a value as long as nobody reads it."""
        return msgspec.Raw(self._token(value))

    def _token(self, text: memoryview) -> bytes:
        self._texts.append(text)
        return b"%b%0*d" % (self._stem, _DIGITS, len(self._texts) - 1)

    def __bool__(self) -> bool:
        return bool(self._texts)

    def __iter__(self) -> Iterator[memoryview]:
        """What was cut out."""
        return iter(self._texts)

    def has_token(self, data: bytes) -> bool:
        return self._stem in data

    def in_keys(self, data: bytes) -> bool:
        """Whether a key inside was cut out."""
        return re.search(rb'%b[^"]*+"[ \t\n\r]*:' % self._stem, data) is not None

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

    def beginning(self, data: bytes, most: int) -> bytes:
        """What ``data`` begins with, as it was sent; ``most`` bytes of it at least."""
        if self._stem not in data:
            return data
        found = b""
        for piece in self.pieces(data):
            found += piece[:most]
            if len(found) >= most:
                break
        return found

    def shown(self, raw: msgspec.Raw) -> msgspec.Raw:
        """A value that was held, or as it is."""
        held = self._held(raw)
        return raw if held is None else msgspec.Raw(held)

    def unheld(self, raw: msgspec.Raw) -> msgspec.Raw:
        """A value that was held, or as it is. Raises ``PayloadTooLarge`` for one that is too large to be decoded."""
        held = self._held(raw)
        if held is None:
            return raw
        self._check(len(held))
        return msgspec.Raw(held)

    def size(self, raw: msgspec.Raw, *, whole: bool) -> int:
        """Bytes of a value as it was sent, or without those that were cut out."""
        held = self._held(raw)
        if held is not None:
            return len(held)
        return sum(map(len, self.pieces(bytes(raw)))) if whole else len(memoryview(raw))

    def restored(self, raw: msgspec.Raw) -> msgspec.Raw:
        """The value as it was sent. Raises ``PayloadTooLarge`` for one that is too large to be decoded."""
        data = bytes(raw)
        if self._stem not in data:
            return raw
        if self._held(raw) is not None:
            return self.unheld(raw)
        pieces = self.pieces(data)
        self._check(sum(map(len, pieces)))
        return msgspec.Raw(b"".join(pieces))

    def _held(self, raw: msgspec.Raw) -> memoryview | None:
        data = memoryview(raw)
        is_token = len(data) == len(self._stem) + _DIGITS and data[: len(self._stem)] == self._stem
        return self._texts[int(data[-_DIGITS:])] if is_token else None

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise PayloadTooLarge(
                f"This call needs more of the request body decoded than the {self._limit} bytes that the gateway takes "
                "for it (the setting `decode_limit`)."
            )
