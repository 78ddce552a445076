"""A call as its presets want it: parameters and system prompts, in a copy of its body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from ..bodies.nested_fields import refuse_stand_ins
from ..bodies.outline import Fields
from ..bodies.payload import Payload
from ..config.templates import Values, Who
from .parameters import FAMILIAR, NULL, missing, removals, with_value
from .plan import MESSAGES, Plan, Setting
from .prompts import instructions_behind, messages_behind

MOST_SHAPES = 32
"""Of bodies, for which it is kept what one plan does to them."""

_SOMETHING = msgspec.Raw(b"0")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a plan does to all bodies that have certain fields, and in none of these anything that it has a say in."""

    gone: tuple[str, ...]
    set: dict[str, msgspec.Raw]
    told: tuple[str, ...]
    """Fields that are left to the client, where they are not null."""


def applied(payload: Payload, plan: Plan, values: Values | Who, model: msgspec.Raw | None = None) -> Payload:
    """The payload as the plan has it; the one given is not changed, and written anew once. ``model`` is what it is then
    to name, where that is another one.

    Locked parameters are there alone, whatever it says of them: at its top, inside ``extra_body``, in other spellings.
    Raises ``InvalidRequest`` for a field that has to be read and cannot.
    """
    outline, texts, prompt = payload.outline, payload.texts, plan.prompt
    shape = plan.shapes.get(tuple(outline)) or _shape(plan, outline)
    if shape is None or (shape.told and NULL in map(outline.get, shape.told)):
        if prompt is not None and not FAMILIAR.issuperset(outline):
            refuse_stand_ins(payload, (plan.prompted,))
        fields = (with_parameters(payload, plan) if plan.locks or plan.fills else payload).outline.copy()
    else:
        fields = outline | shape.set
        for name in shape.gone:
            del fields[name]
    if prompt is not None:
        at = plan.prompted
        raw = outline.get(at) if texts is None else payload.readable(at)
        behind = messages_behind if at == MESSAGES else instructions_behind
        fields[at] = behind(raw, prompt.render_json(values))
    if model is not None:
        fields["model"] = model
    return Payload(fields, texts)


def with_parameters(payload: Payload, plan: Plan) -> Payload:
    """With what the plan sets, and without what it locks. Raises as ``applied``."""
    gone: list[str] = []
    changes: dict[str, Any] = {}
    inside: list[Setting] = []
    if plan.locks:
        gone, changes = removals(payload, plan.lock_names)
        _sort(plan.locks, changes, inside)
    if plan.fills:
        _sort(missing(payload, plan.fills, plan.fill_names), changes, inside)
    if gone or changes:
        payload = payload.edited(changes, without=gone)
    for setting in inside:
        payload = with_value(payload, setting.at, setting.value)
    return payload


def _shape(plan: Plan, fields: Fields) -> Shape | None:
    """None where the plan depends on what is inside some of the fields, and where not all of these are ``FAMILIAR``."""
    if not (FAMILIAR.issuperset(fields) and plan.looks_inside.isdisjoint(fields)):
        return None
    before = dict.fromkeys(fields, _SOMETHING)
    after = with_parameters(Payload(before), plan).outline
    shape = Shape(
        tuple([name for name in fields if name not in after]),
        {name: raw for name, raw in after.items() if raw is not _SOMETHING},
        tuple([name for name in fields if name in plan.fill_names.top]),
    )
    if len(plan.shapes) >= MOST_SHAPES:
        plan.shapes.clear()
    plan.shapes[tuple(fields)] = shape
    return shape


def _sort(settings: tuple[Setting, ...] | list[Setting], top: dict[str, Any], inside: list[Setting]) -> None:
    """Those of the body's top, and those that stand in an object."""
    for setting in settings:
        if setting.is_inside:
            inside.append(setting)
        elif setting.at:
            top[setting.at] = setting.value
