"""A call as its presets want it: parameters and system prompts, in a copy of its body."""

from __future__ import annotations

from ..api.parameters import CHAT
from ..bodies.payload import Payload
from ..config.templates import Values
from ..errors import InvalidRequest
from .parameters import filled, locked
from .plan import INSTRUCTIONS, WORDLESS, Plan
from .prompts import in_instructions, in_messages


def applied(payload: Payload, plan: Plan, operation: str, values: Values) -> Payload:
    """The payload as the plan has it; the one given is not changed.

    Raises ``InvalidRequest`` for a field that has to be read and cannot.
    """
    if plan.locks:
        payload = locked(payload, plan.locks, plan.lock_names)
    if plan.fills:
        payload = filled(payload, plan.fills, plan.fill_names)
    for prompt in plan.prompts:
        if operation == CHAT:
            payload = in_messages(payload, prompt.render(values))
        elif operation in INSTRUCTIONS:
            payload = in_instructions(payload, prompt.render(values))
    return payload


def refuse_going_around(plan: Plan, operation: str, model: str, *, nested: bool) -> None:
    """Raises ``InvalidRequest`` for a kind of call in which a preset's prompt, or what it locks, would not hold;
    ``nested``: its model, and so its parameters, stand further down than at the top of its body."""
    knows_prompts = operation == CHAT or operation in INSTRUCTIONS or operation in WORDLESS
    if (plan.prompts and not knows_prompts) or (plan.guarded and nested):
        raise InvalidRequest(
            f"The model `{model}` cannot be used for this kind of call.", param="model", code="unsupported_operation"
        )
