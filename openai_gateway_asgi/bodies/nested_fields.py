"""One text below the top level of a JSON body, read and replaced."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InvalidRequest, PayloadTooLarge
from .outline import Fields
from .payload import Payload, decode_field
from .spelling import plainly

Path = tuple[str, ...]

MOST_ON_THE_WAY = 256 * 1024
"""Bytes of an object on the way to a text, beside long texts: its fields become objects of ours."""


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
    return payload.edited({name: with_text_at(inner, rest, text).as_value()})


def refuse_other_case(names: Iterable[str], wanted: str) -> None:
    """A reader may take a name for the wanted one that is not written so (``spelling``)."""
    for name in names:
        if name != wanted and not (name.isidentifier() and name.islower() and name.isascii()):
            found = plainly(name)
            if found is not None and found.name == wanted:
                raise InvalidRequest(
                    f"The field `{name}` must be written `{wanted}`.", param=name, code="invalid_field"
                )


def _below(holder: Payload, path: Path) -> Payload | None:
    if holder.size(path[-1], whole=False) > MOST_ON_THE_WAY:
        where = ".".join(path)
        raise PayloadTooLarge(
            f"`$.{where}` is larger than the {MOST_ON_THE_WAY} bytes this gateway takes there.", param=where
        )
    raw = holder.readable(path[-1])
    fields: Fields | None = None if raw is None else decode_field(".".join(path), raw, Fields)
    return None if fields is None else Payload(fields, holder.texts)
