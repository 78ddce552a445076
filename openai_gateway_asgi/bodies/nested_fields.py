"""One text below the top level of a JSON body, read and replaced."""

from __future__ import annotations

from collections.abc import Collection, Iterable

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
        refuse_other_case(holder.outline, (path[depth - 1],))
        holder = _below(holder, path[:depth])
    if holder is None:
        return None
    refuse_other_case(holder.outline, (path[-1],))
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


def refuse_other_case(names: Iterable[str], wanted: Collection[str]) -> None:
    """A reader may take a name for one of the wanted that is not written so (``spelling``)."""
    for name in names:
        meant = _meant(name)
        if meant != name and meant in wanted:
            raise InvalidRequest(f"The field `{name}` must be written `{meant}`.", param=name, code="invalid_field")


def _meant(name: str) -> str:
    """What the most lenient reader may take it for."""
    if name.isidentifier() and name.islower() and name.isascii():
        return name
    found = plainly(name)
    return name if found is None else found.name


MERGED = frozenset({"extra_body", "__proto__"})
"""Objects whose fields some readers take for the body's own."""


def refuse_stand_ins(payload: Payload, wanted: Collection[str], above: str = "") -> None:
    """A reader may take another field for one of the ``wanted``, which were looked at or written to: one that is
    written in other letters, or that stands in an object which is laid over the body.

    Raises ``InvalidRequest``, and ``PayloadTooLarge`` for such an object that is too large to be looked into.
    """
    for name in payload.outline:
        meant = _meant(name)
        if meant in MERGED:
            inner = object_in(payload, name)
            if inner is not None:
                refuse_stand_ins(inner, wanted, f"{above}{name}.")
        elif meant in wanted and (above or name != meant):
            said = "stand at the top of the body" if above else f"be written `{meant}`"
            raise InvalidRequest(
                f"The field `{above}{name}` must {said}.", param=f"{above}{name}", code="invalid_field"
            )


def object_in(payload: Payload, name: str) -> Payload | None:
    """The object that is the field, None where it is none. Raises ``PayloadTooLarge``."""
    if name not in payload.outline:
        return None
    if payload.size(name, whole=False) > MOST_ON_THE_WAY:
        raise PayloadTooLarge(
            f"`$.{name}` is larger than the {MOST_ON_THE_WAY} bytes this gateway takes there.", param=name
        )
    raw = payload.readable(name)
    if raw is None or bytes(raw).lstrip()[:1] != b"{":
        return None
    return Payload(decode_field(name, raw, Fields) or {}, payload.texts)


def _below(holder: Payload, path: Path) -> Payload | None:
    if holder.size(path[-1], whole=False) > MOST_ON_THE_WAY:
        where = ".".join(path)
        raise PayloadTooLarge(
            f"`$.{where}` is larger than the {MOST_ON_THE_WAY} bytes this gateway takes there.", param=where
        )
    raw = holder.readable(path[-1])
    fields: Fields | None = None if raw is None else decode_field(".".join(path), raw, Fields)
    return None if fields is None else Payload(fields, holder.texts)
