"""One text inside a JSON body, below its top level: read, and replaced without touching what stands beside it."""

from __future__ import annotations

import msgspec

from .errors import InvalidRequest
from .payload import Fields, Payload, decode_field

Path = tuple[str, ...]


def text_at(payload: Payload, path: Path) -> str | None:
    """The text at ``path``, None where it or anything above it is missing or null.

    Raises ``InvalidRequest`` for another type on the way, and for a key that differs from the path by case alone.
    """
    holder: Payload | None = payload
    for depth, name in enumerate(path):
        if holder is None:
            return None
        refuse_other_case(holder, name)
        if depth < len(path) - 1:
            holder = _below(holder, name, ".".join(path[: depth + 1]))
    raw = None if holder is None else holder.fields.get(path[-1])
    return None if raw is None else decode_field(".".join(path), raw, str)


def with_text_at(payload: Payload, path: Path, text: str) -> Payload:
    """A copy with ``text`` there. Each object on the way is written anew, so that no key stands in it twice."""
    name, rest = path[0], path[1:]
    if not rest:
        return payload if payload.read(name, str) == text else payload.edited({name: text})
    inner = _below(payload, name, name)
    assert inner is not None, "with_text_at replaces what text_at has found"
    return payload.edited({name: msgspec.Raw(with_text_at(inner, rest, text).encode())})


def refuse_other_case(payload: Payload, wanted: str) -> None:
    """Some decoders take a key for the wanted one whatever its case (Go's encoding/json)."""
    for name in payload.fields:
        if name != wanted and name.lower() == wanted:
            raise InvalidRequest(f"The field `{name}` must be written `{wanted}`.", param=name, code="invalid_field")


def _below(payload: Payload, name: str, at: str) -> Payload | None:
    raw = payload.fields.get(name)
    fields: Fields | None = None if raw is None else decode_field(at, raw, Fields)
    return None if fields is None else Payload(fields)
