"""Parts written anew: our boundary, and of their headers only what was understood."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

from .headers import Part
from .parser import Event, PartEnd


def new_boundary() -> bytes:
    """Content cannot hold what nobody could guess, so it need not be searched for it."""
    return secrets.token_hex(16).encode()


class Emitter:
    """Writes the events of a form; every field named in ``replace`` gets that value, and files are left alone."""

    def __init__(self, boundary: bytes, replace: Mapping[str, bytes] = {}) -> None:
        self._boundary = boundary
        self._replace = replace
        self._replacement: bytes | None = None

    @property
    def closing(self) -> bytes:
        """What makes the body complete, and so must not go out before the form has been found so."""
        return b"--%b--\r\n" % self._boundary

    def encode(self, events: Iterable[Event]) -> bytes:
        """Content that came alone leaves as it is, uncopied."""
        pieces: list[bytes] = []
        for event in events:
            match event:
                case bytes():
                    if self._replacement is None:
                        pieces.append(event)
                case Part():
                    pieces.append(self._begin(event))
                case PartEnd():
                    pieces.append(b"\r\n")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _begin(self, part: Part) -> bytes:
        self._replacement = None if part.is_file else self._replace.get(part.name)
        return b"--%b\r\n%b\r\n%b" % (self._boundary, _head(part), self._replacement or b"")


def _head(part: Part) -> bytes:
    head = f'Content-Disposition: form-data; name="{part.name}"'
    if part.filename is not None:
        head += f'; filename="{_quoted(part.filename)}"'
    head += "\r\n"
    if part.content_type:
        head += f"Content-Type: {part.content_type}\r\n"
    return head.encode()


_QUOTED = str.maketrans({'"': "%22", "\\": "%5C", ";": "%3B"})


def _quoted(filename: str) -> str:
    """As browsers quote (WHATWG HTML, 4.10.21.8), and more: to some readers a backslash escapes, and some cut a header
    at every semicolon, so that the name of a file could name its field."""
    return filename.translate(_QUOTED)
