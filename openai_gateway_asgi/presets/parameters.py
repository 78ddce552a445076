"""Parameters of presets in a JSON body: filled in where they are missing, or locked under every name they have.

Nothing else in the body changes its bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ..api.parameters import NOT_PARAMETERS, PARAMETERS
from ..bodies.json_body import USUAL_FIELDS
from ..bodies.nested_fields import MERGED, object_in
from ..bodies.payload import PLAIN_FIELDS, Payload
from ..bodies.spelling import plainly
from ..errors import InvalidRequest
from .plan import Names, Setting

FAMILIAR = frozenset({*PARAMETERS, *PLAIN_FIELDS, *USUAL_FIELDS, *NOT_PARAMETERS}) - MERGED
"""Names of fields that every reader takes for just that."""
NULL = msgspec.Raw(b"null")
_decode = msgspec.json.Decoder().decode


def missing(payload: Payload, settings: Iterable[Setting], names: Names) -> list[Setting]:
    """Those that it does not set; a null sets nothing. ``names`` are all names of all of them."""
    said = {name for _, name, raw in found(payload, names) if raw != NULL}
    return [setting for setting in settings if said.isdisjoint(setting.names)]


def refuse_locked(payload: Payload, settings: Iterable[Setting], names: Names, model: str) -> None:
    """Raises ``InvalidRequest`` for a locked parameter that is set to something else than it is locked to; a null sets
    nothing."""
    values = {name: setting.value for setting in settings for name in setting.names}
    for where, name, raw in found(payload, names):
        wanted = values[name]
        if raw != NULL and (wanted is None or _value(raw) != _value(wanted)):
            raise InvalidRequest(
                f"`{where}` is set by the model `{model}` and cannot be chosen; leave it out.",
                param=where,
                code="locked_parameter",
            )


def found(payload: Payload, names: Names, above: str = "", inside: str = "") -> Iterator[tuple[str, str, msgspec.Raw]]:
    """Where one of the names stands, in any spelling, which it is, and what is said there."""
    for key, name in _meant(payload, names):
        if name in names.top:
            yield above + key, inside + name, payload.outline[key]
            continue
        below = object_in(payload, key)
        if below is not None and name in MERGED:
            yield from found(below, names, f"{above}{key}.", inside)
        elif below is not None:
            yield from found(below, names.inside[name], f"{above}{key}.", f"{inside}{name}.")


def without(payload: Payload, names: Names) -> Payload:
    """Without what stands under any of the names, in any spelling."""
    gone, changed = removals(payload, names)
    return payload.edited(changed, without=gone) if gone or changed else payload


def removals(payload: Payload, names: Names) -> tuple[list[str], dict[str, Any]]:
    """The fields that would be gone, and what would become of the objects that hold others."""
    gone: list[str] = []
    changed: dict[str, Any] = {}
    for key, name in _meant(payload, names):
        if name in names.top:
            gone.append(key)
        elif (below := object_in(payload, key)) is not None:
            left = without(below, names if name in MERGED else names.inside[name])
            if left is not below:
                changed[key] = left.as_value()
    return gone, changed


def with_value(payload: Payload, at: str, value: msgspec.Raw | None) -> Payload:
    """With the value there; an object on the way keeps its other fields."""
    holder, dot, name = at.rpartition(".")
    if not dot:
        return payload.edited({name: value})
    below = object_in(payload, holder)
    held = (Payload({}, payload.texts) if below is None else below).edited({name: value})
    return payload.edited({holder: held.as_value()})


def _meant(payload: Payload, names: Names) -> list[tuple[str, str]]:
    """The fields that some reader may take for one of the names, or for an object that may have one; as what."""
    outline = payload.outline
    concerned = [(key, key) for key in names.all.intersection(outline)]
    if not FAMILIAR.issuperset(outline):
        for key in outline.keys() - FAMILIAR - names.all:
            spelt = None if key.islower() and key.isidentifier() and key.isascii() else plainly(key)
            name = key if spelt is None else spelt.name
            if name in names.all or name in MERGED:
                concerned.append((key, name))
    return concerned


def _value(raw: msgspec.Raw) -> Any:
    try:
        return _decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return raw
