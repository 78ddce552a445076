"""Parts written anew: our boundary, and of their headers only what was understood."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..spelling import pieces
from .headers import Part
from .parser import Event, PartEnd


def new_boundary() -> bytes:
    """Content cannot hold what nobody could guess, so it need not be searched for it."""
    return secrets.token_hex(16).encode()


@dataclass(frozen=True, slots=True)
class Addition:
    """A field that a form gets at its end, unless it has one that is called ``unless``."""

    name: str
    value: bytes
    unless: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Edits:
    """What is to be another way in a form."""

    replace: Mapping[str, bytes] = field(default_factory=dict)
    """Values of fields by name; files are left alone."""
    drop: frozenset[str] = frozenset()
    """Names of fields and files that are left out, as any reader may take them."""
    add: tuple[Addition, ...] = ()


NO_EDITS = Edits()


class Emitter:
    """Writes the events of a form, with ``edits``."""

    def __init__(self, boundary: bytes, edits: Edits = NO_EDITS) -> None:
        self._boundary = boundary
        self._edits = edits
        self._replacement: bytes | None = None
        self._dropping = False
        self._seen: set[str] = set()

    @property
    def closing(self) -> bytes:
        """What makes the body complete, and so must not go out before the form has been found so."""
        added = [
            b"--%b\r\n%b\r\n%b\r\n" % (self._boundary, _head(Part(each.name)), each.value)
            for each in self._edits.add
            if each.unless.isdisjoint(self._seen)
        ]
        return b"".join((*added, b"--%b--\r\n" % self._boundary))

    def encode(self, events: Iterable[Event]) -> bytes:
        """Content that came alone leaves as it is, uncopied."""
        written: list[bytes] = []
        for event in events:
            match event:
                case bytes():
                    if self._replacement is None and not self._dropping:
                        written.append(event)
                case Part():
                    written.append(self._begin(event))
                case PartEnd():
                    written.append(b"" if self._dropping else b"\r\n")
        return written[0] if len(written) == 1 else b"".join(written)

    def _begin(self, part: Part) -> bytes:
        edits = self._edits
        if edits.drop or edits.add:
            names = set(pieces(part.name))
            self._seen |= names
            self._dropping = not edits.drop.isdisjoint(names)
            if self._dropping:
                return b""
        self._replacement = None if part.is_file else edits.replace.get(part.name)
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
