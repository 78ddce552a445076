"""A JSON body, decoded once into its top-level fields and never changed: edits give a new payload.

Values keep the very bytes the client sent (big integers, number spelling, key order inside them); only the top level
is written anew, so duplicate keys have collapsed and what was checked is what is sent.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from ..errors import InvalidRequest
from .long_texts import LONG, LongTexts, checked

T = TypeVar("T")
Fields = dict[str, msgspec.Raw]

_decode_fields = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


@functools.cache
def _decoder(kind: Hashable) -> Any:
    return msgspec.json.Decoder(cast(Any, kind) | None)


PLAIN_FIELDS = frozenset(
    """annotations frequency_penalty max_completion_tokens max_output_tokens max_tokens metadata model n
    presence_penalty seed stop store stream temperature top_p user""".split()
)
"""What stands at the top of nearly every body and says nothing but itself: no other model, no route, no object."""


class Payload:
    """The top-level fields of a JSON object. Immutable.

    ``outline`` is its fields with something short in the place of each long text (most bodies have none): for whoever
    looks for names and short values. It must not be written to.
    """

    __slots__ = ("_texts", "outline")

    def __init__(self, outline: Fields, texts: LongTexts | None = None) -> None:
        self.outline = outline
        self._texts = texts

    @classmethod
    def parse(cls, *body: bytes) -> Payload:
        """``body`` is in the pieces in which it came.

        Raises ``InvalidRequest`` for anything that is not one strict UTF-8 JSON object.
        """
        try:
            return (cls._parse_long(body) if sum(map(len, body)) > 2 * LONG else None) or cls._parse_all(body)
        except UnicodeDecodeError as error:
            raise InvalidRequest("The request body is not valid UTF-8.", code="invalid_json") from error
        except msgspec.ValidationError as error:
            raise InvalidRequest("The request body must be a JSON object.", code="invalid_json") from error
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"The request body is not valid JSON: {error}.", code="invalid_json") from error
        except RecursionError as error:
            raise InvalidRequest("The request body is nested too deeply.", code="invalid_json") from error

    @classmethod
    def _parse_all(cls, body: Iterable[bytes]) -> Payload:
        return cls(_decode_fields(checked(b"".join(body))))

    @classmethod
    def _parse_long(cls, body: Sequence[bytes]) -> Payload | None:
        """None where the body has no long texts in its values, or cannot be read without them."""
        texts = LongTexts()
        rest = texts.cut(body)
        if not texts:
            return None
        try:
            outline = _decode_fields(rest)
        except msgspec.DecodeError:
            return None
        return None if texts.in_names(outline) else cls(outline, texts)

    @property
    def fields(self) -> Fields:
        """All fields as they were sent."""
        return {name: self._whole(raw) for name, raw in self.outline.items()}

    @property
    def telling(self) -> list[str]:
        """The names of the fields that are worth a look, in their order: all but ``PLAIN_FIELDS``."""
        return [name for name in self.outline if name not in PLAIN_FIELDS]

    def __contains__(self, name: str) -> bool:
        return name in self.outline

    def raw(self, name: str) -> msgspec.Raw | None:
        """The field as it was sent."""
        raw = self.outline.get(name)
        return None if raw is None else self._whole(raw)

    def read(self, name: str, kind: type[T]) -> T | None:
        """The field as ``kind``, or None where it is missing or null. A wrong type is a 400 that names ``$.name``."""
        raw = self.raw(name)
        return None if raw is None else decode_field(name, raw, kind)

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
        return Payload(fields, self._texts)

    def encode(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> list[bytes | memoryview]:
        """What ``encode`` gives, long texts by themselves and not copied."""
        encoded = _encode(self.outline)
        return [encoded] if self._texts is None else self._texts.pieces(encoded)

    def _whole(self, raw: msgspec.Raw) -> msgspec.Raw:
        return raw if self._texts is None else self._texts.restored(raw)


NOTHING = Payload({})
"""What a body says that is no JSON, or not there."""


def raw_object(data: bytes) -> msgspec.Raw:
    """A JSON object as a value that keeps its bytes. Raises what ``Payload.parse`` raises."""
    Payload.parse(data)
    return msgspec.Raw(data)


def decode_field(name: str, raw: msgspec.Raw, kind: type[T]) -> T | None:
    """One field's value, None for null; errors carry its path as ``$.name...``."""
    try:
        value: T | None = _decoder(cast(Hashable, kind)).decode(raw)
        return value
    except msgspec.ValidationError as error:
        problem, _, path = str(error).replace(" | null", "").partition(" - at `$")
        where = f"$.{name}{path.rstrip('`')}"
        raise InvalidRequest(
            f"{problem} - at `{where}`", param=where.removeprefix("$."), code="invalid_type"
        ) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"The value at `$.{name}` cannot be read.", param=name, code="invalid_json") from error
