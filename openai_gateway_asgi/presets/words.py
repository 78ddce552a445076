"""Values of parameters that Chat Completions and Responses write otherwise: under their kind, or flat beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.parameters import CHAT, RESPONSES

KINDS = frozenset({"allowed_tools", "custom", "function", "grammar", "json_schema"})


def in_words_of(operation: str, name: str, value: Any) -> Any:
    """The value of the parameter ``name`` as the operation takes it, whichever way it is written."""
    if operation not in (CHAT, RESPONSES):
        return value
    if name == "tools" and isinstance(value, list | tuple):
        return [_flat_tool(each) if operation == RESPONSES else _nested(each) for each in value]
    if name in ("response_format", "tool_choice"):
        return _flat(value) if operation == RESPONSES else _nested(value)
    return value


def _flat_tool(value: Any) -> Any:
    """An absent ``strict`` means true in Responses, and false in a chat."""
    said = _flat(value)
    return said if said is value or said["type"] != "function" else {"strict": False, **said}


def _flat(value: Any) -> Any:
    kind = _kind_of(value)
    inner = value.get(kind) if kind else None
    if not isinstance(inner, Mapping):
        return value
    said = {"type": kind, **{name: value[name] for name in value if name not in ("type", kind)}, **inner}
    return _with_inner(said, _flat)


def _nested(value: Any) -> Any:
    kind = _kind_of(value)
    if not kind or kind in value:
        return value
    return {"type": kind, kind: _with_inner({name: value[name] for name in value if name != "type"}, _nested)}


def _with_inner(said: dict[str, Any], say: Any) -> dict[str, Any]:
    """With what stands inside: the grammar of a custom tool, the tools that are allowed."""
    if "format" in said:
        said["format"] = say(said["format"])
    if isinstance(said.get("tools"), list | tuple):
        said["tools"] = [say(each) for each in said["tools"]]
    return said


def _kind_of(value: Any) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else None
    return kind if isinstance(kind, str) and kind in KINDS else ""
