"""A JSON body, decoded once into its top-level fields and never changed: edits give a new payload.

Values keep the very bytes the client sent (big integers, number spelling, key order inside them); only the top level
is written anew, so duplicate keys have collapsed and what was checked is what is sent.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence, Sized
from typing import Any, TypeVar

import msgspec

from ..errors import InvalidRequest
from ..http.pacing import at_once
from ..http.request_body import Bytes
from .findings import Findings, unreadable
from .long_texts import DECODE_LIMIT, LongTexts
from .outline import Fields, read_fields
from .parts import refuse_many_escapes, refuse_many_parts
from .zones import NO_NAMES, Zone

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def _new_decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind | None)


_decoder: Callable[[Any], Any] = functools.cache(_new_decoder)


_bytes_of: Callable[[msgspec.Raw], Sized] = memoryview
_PLAIN: frozenset[Any] = frozenset((bool, float, int, str))
"""Kinds of values of which there is one."""

PLAIN_FIELDS = frozenset(
    """annotations frequency_penalty max_completion_tokens max_output_tokens max_tokens model n presence_penalty seed
    stop store stream temperature top_p user""".split()
)
"""What stands at the top of nearly every body and says nothing but itself: no other model, no route, no object."""

_QUOTE = re.compile(b'"')


class Payload(msgspec.Struct, eq=False):  # which is made in half the time of a class's own
    """The top-level fields of a JSON object. Immutable.

    ``outline`` is its fields with something short in the place of each long text (most bodies have none): for whoever
    looks for names and short values. It must not be written to.
    """

    outline: Fields
    texts: LongTexts | None = None
    """What was cut out of it, None where nothing was."""
    came: int = 0
    """Bytes of the body that it is, where that came small and in one piece; else 0."""
    _length: int = -1

    def __repr__(self) -> str:
        return f"<Payload of {len(self.outline)} fields>"  # what they say is the client's

    @property
    def fields(self) -> Fields:
        """All fields as they were sent."""
        return {name: self._whole(raw) for name, raw in self.outline.items()}

    @classmethod
    def parse(cls, *body: bytes) -> Payload:
        """``body`` is in the pieces in which it came; in one go, so for what is known to be small.

        Raises ``InvalidRequest`` for anything that is not one strict UTF-8 JSON object.
        """
        return at_once(cls.reading(body, NO_NAMES, Findings()))[0]

    @classmethod
    def reading(
        cls, body: Sequence[Bytes], zone: Zone, found: Findings, limit: int = DECODE_LIMIT
    ) -> Generator[None, None, tuple[Payload, bool]]:
        """The same with turns for others, for bodies of any size.

        A large body is walked through in ``zone``: then ``found`` has what it names, and the second value is true.
        ``limit``: bytes of a large one's field that may be decoded when somebody reads it.
        """
        fields, texts, is_walked = yield from read_fields(body, zone, found, limit)
        return cls(fields, texts), is_walked

    def __contains__(self, name: str) -> bool:
        return name in self.outline

    def raw(self, name: str) -> msgspec.Raw | None:
        """The field as it was sent."""
        raw = self.outline.get(name)
        return None if raw is None else self._whole(raw)

    def searchable(self, name: str) -> msgspec.Raw | None:
        """The field with something short in the place of each long text that has no escapes, however large it is: not
        to be decoded."""
        raw = self.outline.get(name)
        return raw if raw is None or self.texts is None else self.texts.shown(raw)

    def readable(self, name: str) -> msgspec.Raw | None:
        """The field with something short in the place of each long text in it: for whoever rewrites what is around."""
        raw = self.outline.get(name)
        return raw if raw is None or self.texts is None else self.texts.unheld(raw)

    def may_have_text(self, name: str) -> bool:
        """Whether a text can be in the field: vectors and token arrays are not worth decoding to see."""
        raw = self.searchable(name)
        return raw is not None and _QUOTE.search(raw) is not None

    def size(self, name: str, *, whole: bool = True) -> int:
        """Bytes of the field as it was sent, or beside its long texts; 0 where it is missing."""
        raw = self.outline.get(name)
        if raw is None:
            return 0
        return len(memoryview(raw)) if self.texts is None else self.texts.size(raw, whole=whole)

    @property
    def length(self) -> int:
        """Bytes of all fields beside their names, and beside its long texts."""
        if self._length < 0:
            self._length = sum(map(len, map(_bytes_of, self.outline.values())))
        return self._length

    def read(self, name: str, kind: type[T]) -> T | None:
        """The field as ``kind``, or None where it is missing or null. A wrong type is a 400 that names ``$.name``, and
        what is too large to be decoded a 413."""
        raw = self.outline.get(name)
        if raw is None:
            return None
        if self.texts is not None:
            raw = self.texts.restored(raw)
        if kind not in _PLAIN:
            refuse_many_parts(name, raw)
            refuse_many_escapes(name, raw)
        return decode_field(name, raw, kind)

    def says(self, name: str, text: str) -> bool:
        """Whether the field is this text, however it is spelt."""
        return self.outline.get(name) == msgspec.Raw(_encode(text)) or self.read(name, str) == text

    def edited(self, changes: Mapping[str, Any] = {}, *, without: Iterable[str] = ()) -> Payload:
        """A copy with fields set (in place where they exist, else at the end) and others left out."""
        fields = self.outline.copy()
        for name in without:
            fields.pop(name, None)
        for name, value in changes.items():
            fields[name] = msgspec.Raw(_encode(value))
        return Payload(fields, self.texts)

    def as_value(self) -> msgspec.Raw:
        """All of it as one field of a payload with the same long texts."""
        return msgspec.Raw(_encode(self.outline))

    def encode(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> list[bytes | memoryview]:
        """What ``encode`` gives, long texts by themselves and not copied."""
        encoded = _encode(self.outline)
        return [encoded] if self.texts is None else self.texts.pieces(encoded)

    def _whole(self, raw: msgspec.Raw) -> msgspec.Raw:
        return raw if self.texts is None else self.texts.restored(raw)


NOTHING = Payload({})
"""What a body says that is no JSON, or not there."""


def decode_field(name: str, raw: msgspec.Raw, kind: type[T]) -> T | None:
    """One field's value, None for null; errors carry its path as ``$.name...``."""
    try:
        value: T | None = _decoder(kind).decode(raw)
        return value
    except msgspec.ValidationError as error:
        problem, _, path = str(error).replace(" | null", "").partition(" - at `$")
        where = f"$.{name}{path.rstrip('`')}"
        raise InvalidRequest(
            f"{problem} - at `{where}`", param=where.removeprefix("$."), code="invalid_type"
        ) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise unreadable(name, bytes(raw)) from error
