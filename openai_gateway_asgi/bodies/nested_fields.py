"""What stands inside a JSON body below its top level: one text read and replaced, or all of it looked through."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..errors import InvalidRequest
from .payload import Fields, Payload, decode_field

Path = tuple[str, ...]


def text_at(payload: Payload, path: Path) -> str | None:
    """The text at ``path``, None where it or anything above it is missing or null.

    Raises ``InvalidRequest`` for another type on the way, and for a key that differs from the path by case alone.
    """
    holder: Payload | None = payload
    for depth in range(1, len(path)):
        if holder is None:
            return None
        refuse_other_case(holder.outline, path[depth - 1])
        holder = _below(holder, path[:depth])
    if holder is None:
        return None
    refuse_other_case(holder.outline, path[-1])
    raw = holder.raw(path[-1])
    return None if raw is None else decode_field(".".join(path), raw, str)


def with_text_at(payload: Payload, path: Path, text: str) -> Payload:
    """A copy with ``text`` there. Each object on the way is written anew, so that no key stands in it twice."""
    name, rest = path[0], path[1:]
    if not rest:
        return payload if payload.says(name, text) else payload.edited({name: text})
    inner = _below(payload, path[:1])
    assert inner is not None, "only what text_at has found is replaced"
    return payload.edited({name: msgspec.Raw(with_text_at(inner, rest, text).encode())})


def refuse_other_case(names: Iterable[str], wanted: str) -> None:
    """Some decoders take a key for the wanted one whatever its case (Go's encoding/json), or up to a NUL (C's)."""
    for name in names:
        if name != wanted and wanted in name.casefold() and _plain(name) == wanted:
            raise InvalidRequest(f"The field `{name}` must be written `{wanted}`.", param=name, code="invalid_field")


def _plain(name: str) -> str:
    return name.partition("\0")[0].strip().casefold()


def _below(holder: Payload, path: Path) -> Payload | None:
    raw = holder.raw(path[-1])
    fields: Fields | None = None if raw is None else decode_field(".".join(path), raw, Fields)
    return None if fields is None else Payload(fields)


class Pairs(tuple[tuple[str, Any], ...]):
    """An object with every key that was written: upstreams differ on which of two equal ones counts."""


def pairs_of(payload: Payload, name: str) -> Any:
    """The value of the top-level field ``name``, as it was sent, with ``Pairs`` for its objects."""
    try:
        return json.loads(bytes(payload.raw(name) or b""), object_pairs_hook=Pairs)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"The value at `$.{name}` cannot be read.", param=name, code="invalid_json") from error


def keys_within(value: Any, at: str) -> Iterator[tuple[str, str, Any]]:
    """Every key at any depth of a value from ``pairs_of``: where it stands, its name, its value."""
    waiting = [(at, value)]
    while waiting:
        at, value = waiting.pop()
        if isinstance(value, Pairs):
            for name, inner in value:
                if name not in UNREAD:
                    yield f"{at}.{name}", name, inner
                    waiting.append((f"{at}.{name}", inner))
        elif isinstance(value, list):
            waiting += [(f"{at}[{index}]", inner) for index, inner in enumerate(value)]


UNREAD = frozenset({"annotations", "metadata"})
"""Where a text came from, and notes of the caller's own: upstreams keep both and act on neither."""
