"""Parameters of presets in a multipart form, which is on its way: what is locked is left out where it stands, and what
is set is added at the end."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..bodies.multipart import Addition, Edits
from ..bodies.spelling import pieces
from ..errors import InvalidRequest
from .plan import Plan, Setting


def form_edits(plan: Plan) -> Edits:
    locks = [Addition(each.at, _text(each.value)) for each in plan.locks if each.at and each.value is not None]
    fills = [Addition(each.at, _text(each.value), _top(each)) for each in plan.fills if each.value is not None]
    dropped = frozenset(name for each in plan.locks for name in _top(each))
    return Edits(drop=dropped, add=(*locks, *fills))


def refuse_locked_fields(fields: Mapping[str, bytes], plan: Plan, model: str) -> None:
    """Of the fields that are known before a form is sent; those behind its file are left out. Raises
    ``InvalidRequest``."""
    values = {name: each.value for each in plan.locks for name in _top(each)}
    for field, said in fields.items():
        for name in pieces(field):
            if name in values and ((value := values[name]) is None or said != _text(value)):
                raise InvalidRequest(
                    f"`{field}` is set by the model `{model}` and cannot be chosen; leave it out.",
                    param=field,
                    code="locked_parameter",
                )


def _top(setting: Setting) -> frozenset[str]:
    return frozenset(name for name in setting.names if "." not in name)


def _text(value: msgspec.Raw) -> bytes:
    """As forms have it: texts as they are, all else as JSON."""
    raw = bytes(value)
    return msgspec.json.decode(raw, type=str).encode() if raw.startswith(b'"') else raw
