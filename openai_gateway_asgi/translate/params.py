"""Which field of the client's own body an upstream means that complains about one of the translated body's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from .fields import SAME

_PLACED = re.compile(r"(?:input|messages)\[(\d+)\](.*)", re.DOTALL)
_TOOL = re.compile(r"tools\[(\d+)\](.*)", re.DOTALL)

_CALL = re.compile(r"messages\[(\d+)\]\.tool_calls\[(\d+)\](.*)", re.DOTALL)

_OF_CHAT = {
    "input": ("messages",),
    "max_output_tokens": ("max_completion_tokens", "max_tokens"),
    "reasoning": ("reasoning_effort",),
    "text.format": ("response_format",),
    "text.verbosity": ("verbosity",),
    "include": ("logprobs",),
    "tool_choice": ("tool_choice", "function_call"),
}
"""By the name in Responses what a chat may have said."""
_OF_RESPONSES = {
    "messages": "input",
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
    "logprobs": "include",
    "tool_choice": "tool_choice",
}
"""By the name in a chat."""
_OF_CALLS = {
    ".call_id": ".id",
    ".name": ".function.name",
    ".arguments": ".function.arguments",
    ".input": ".custom.input",
}
_OF_CHAT_CALLS = {said: name for name, said in _OF_CALLS.items()}
_OF_OUTPUTS = {".call_id": ".tool_call_id", ".output": ".content"}


def chat_param(param: str, fields: Collection[str], places: Sequence[str]) -> str | None:
    """Of a body that was translated to Responses; ``places`` is where its input items come from, ``fields`` what the
    client's body has. None: nothing that the client wrote."""
    if (placed := _PLACED.fullmatch(param)) is not None:
        place = _at(places, placed[1])
        renamed = _OF_CALLS if place is not None and "_call" in place else _OF_OUTPUTS
        return None if place is None else place + _renamed(placed[2], renamed)
    if (tool := _TOOL.fullmatch(param)) is not None and "tools" in fields:
        rest = tool[2] if tool[2] in ("", ".type") else f".function{tool[2]}"
        return f"tools[{tool[1]}]{rest}"
    for name, said in _OF_CHAT.items():
        if param == name or param.startswith(f"{name}."):
            return next((each for each in said if each in fields), None)
    return _own(param, fields)


def responses_param(
    param: str,
    fields: Collection[str],
    places: Sequence[str],
    calls: Mapping[int, Sequence[str]],
    tools: Sequence[str],
) -> str | None:
    """The same of a body that was translated to chat; ``places`` is where its messages come from, ``calls`` where the
    calls in them do, ``tools`` where its tools do."""
    if (called := _CALL.fullmatch(param)) is not None:
        place = _at(calls.get(int(called[1]), ()) if len(called[1]) < 9 else (), called[2])
        return None if place is None else place + _renamed(called[3], _OF_CHAT_CALLS)
    if (placed := _PLACED.fullmatch(param)) is not None:
        place = _at(places, placed[1])
        return (
            place if place is None or "[" not in place else place + _renamed(placed[2], {".tool_call_id": ".call_id"})
        )
    if (tool := _TOOL.fullmatch(param)) is not None:
        place = _at(tools, tool[1])
        return None if place is None else place + tool[2].removeprefix(".function").removeprefix(".custom")
    for name, said in _OF_RESPONSES.items():
        if param == name or param.startswith(f"{name}."):
            return said if said.partition(".")[0] in fields else None
    return _own(param, fields)


def _at(places: Sequence[str], index: str) -> str | None:
    number = int(index) if len(index) < 9 else len(places)
    return places[number] if number < len(places) else None


def _renamed(rest: str, names: dict[str, str]) -> str:
    for name, said in names.items():
        if rest == name or rest.startswith((f"{name}.", f"{name}[")):
            return said + rest[len(name) :]
    return rest


def _own(param: str, fields: Collection[str]) -> str | None:
    """What has one name in both."""
    top = re.split(r"[.\[]", param, maxsplit=1)[0]
    return param if top in fields and (top in SAME or top not in ("messages", "input")) else None
