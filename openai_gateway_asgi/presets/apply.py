"""A call as its presets want it: parameters and system prompts, in a copy of its body."""

from __future__ import annotations

from typing import Any

from ..api.parameters import CHAT
from ..bodies.payload import Payload
from ..config.templates import Values
from ..errors import InvalidRequest
from .parameters import missing, removals, with_value
from .plan import INSTRUCTIONS, WORDLESS, Plan, Setting
from .prompts import BETWEEN, instructions_behind, messages_behind


def applied(payload: Payload, plan: Plan, operation: str, values: Values) -> Payload:
    """The payload as the plan has it; the one given is not changed, and written anew once.

    Locked parameters are there alone, whatever it says of them: at its top, inside ``extra_body``, in other spellings.
    Raises ``InvalidRequest`` for a field that has to be read and cannot.
    """
    gone: list[str] = []
    changes: dict[str, Any] = {}
    inside: list[Setting] = []
    if plan.locks:
        gone, changes = removals(payload, plan.lock_names)
        _sort(plan.locks, changes, inside)
    if plan.fills:
        _sort(missing(payload, plan.fills, plan.fill_names), changes, inside)
    if plan.prompts and (operation == CHAT or operation in INSTRUCTIONS):
        prompt = BETWEEN.join([each.render(values) for each in plan.prompts])
        if operation == CHAT:
            changes["messages"] = messages_behind(payload, prompt)
        else:
            changes["instructions"] = instructions_behind(payload, prompt)
    if gone or changes:
        payload = payload.edited(changes, without=gone)
    for setting in inside:
        payload = with_value(payload, setting.at, setting.value)
    return payload


def _sort(settings: tuple[Setting, ...] | list[Setting], top: dict[str, Any], inside: list[Setting]) -> None:
    """Those of the body's top, and those that stand in an object."""
    for setting in settings:
        if setting.is_inside:
            inside.append(setting)
        elif setting.at:
            top[setting.at] = setting.value


def refuse_going_around(plan: Plan, operation: str, model: str, *, nested: bool) -> None:
    """Raises ``InvalidRequest`` for a kind of call in which a preset's prompt, or what it locks, would not hold;
    ``nested``: its model, and so its parameters, stand further down than at the top of its body."""
    knows_prompts = operation == CHAT or operation in INSTRUCTIONS or operation in WORDLESS
    if (plan.prompts and not knows_prompts) or (plan.guarded and nested):
        raise InvalidRequest(
            f"The model `{model}` cannot be used for this kind of call.", param="model", code="unsupported_operation"
        )
