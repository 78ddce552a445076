"""The tools of a Responses call as those of a chat call, and which of them the model may choose."""

from __future__ import annotations

from typing import Any

import msgspec

from ..bodies.outline import Fields
from .dialect import Dialect
from .fields import EMPTY, NULL, given, invalid, is_text, raw, read, read_list, unsupported
from .shapes import text_of

HOSTED = "it is run by OpenAI's Responses API alone"
NAMED = ("function", "custom")
_FUNCTION = raw("function")
LONGEST_SPACE = 256
"""Characters of a namespace: each of its tools has it in its name, so that a long one would make a small body huge."""


class ChatTools(msgspec.Struct):
    """What becomes of the tools of one call."""

    dialect: Dialect
    tools: list[dict[str, Any]] = []
    places: list[str] = []
    """Where in the client's body each stands."""
    choice: Any = None
    customs: set[str] = set()
    """Custom tools that went as functions."""
    spaces: dict[str, tuple[str, str]] = {}
    """Of tools in a namespace, by the name that they have in the chat: the namespace, and their own name."""
    dropped: list[str] = []
    """What was left out, as ``tools[0] (web_search)``."""

    @classmethod
    def of(cls, fields: Fields, dialect: Dialect) -> ChatTools:
        """Raises ``InvalidRequest`` for what a chat cannot have, naming the client's field."""
        found = cls(dialect)
        for index, tool in enumerate(read_list(fields, "tools")):
            found._take(tool, f"tools[{index}]")
        if found.tools:
            found._choose(read(fields, "tool_choice", Any))
        return found

    def _take(self, tool: Fields, at: str, space: str | None = None) -> None:
        """``space``: the namespace that it stands in; there is none in another one."""
        if space is None and tool.get("type") == _FUNCTION and is_text(tool.get("name", EMPTY)):
            self._take_function(tool, at)
            return
        kind = read(tool, "type", str, f"{at}.")
        if kind == "namespace" and space is None:
            name = read(tool, "name", str, f"{at}.") or ""
            if len(name) > LONGEST_SPACE:
                raise invalid(f"{at}.name", f"is longer than {LONGEST_SPACE} characters")
            for number, inner in enumerate(read_list(tool, "tools", f"{at}.")):
                self._take(inner, f"{at}.tools[{number}]", name)
        elif kind in NAMED:
            self._take_named(kind, tool, at, space)
        elif self.dialect.drop_hosted_tools:
            self.dropped.append(f"{at} ({kind})")
        else:
            raise unsupported(f"{at}.type", HOSTED)

    def _take_function(self, tool: Fields, at: str) -> None:
        """One that has no namespace, as nearly all: nothing of it has to be decoded."""
        del tool["type"]
        said = {field: value for field, value in tool.items() if value != NULL} if NULL in tool.values() else tool
        self.places.append(at)
        self.tools.append({"type": "function", "function": said})

    def _take_named(self, kind: str, tool: Fields, at: str, space: str | None) -> None:
        self.places.append(at)
        rest = {name: value for name, value in tool.items() if name != "type"}
        name = read(tool, "name", str, f"{at}.") or ""
        if space:
            self.spaces[f"{space}__{name}"] = (space, name)
            name = f"{space}__{name}"
            rest["name"] = raw(name)
        if kind == "function":
            said = {field: value for field, value in rest.items() if value != NULL}
            self.tools.append({"type": "function", "function": said})
        elif self.dialect.custom_tools:
            self.tools.append({"type": "custom", "custom": _custom(rest, at)})
        else:
            self.customs.add(name)
            self.tools.append({"type": "function", "function": _as_function(rest)})

    def _choose(self, choice: Any) -> None:
        if isinstance(choice, str) or choice is None:
            self.choice = choice
        elif not isinstance(choice, dict):
            raise invalid("tool_choice", "must be a text or an object")
        elif choice.get("type") == "allowed_tools":
            self._allow(choice.get("mode") or "auto", choice.get("tools"))
        elif choice.get("type") in NAMED:
            self.choice = self._nested(choice)
        elif self.dialect.drop_hosted_tools:
            self.dropped.append(f"tool_choice ({choice.get('type')})")
        else:
            raise unsupported("tool_choice", HOSTED)

    def _allow(self, mode: str, given_tools: Any) -> None:
        """Where nobody knows ``allowed_tools``, the others are not shown to the model."""
        tools = given_tools if isinstance(given_tools, list) else []
        named = [tool for tool in tools if isinstance(tool, dict) and tool.get("type") in NAMED]
        if len(named) < len(tools) and not self.dialect.drop_hosted_tools:
            raise unsupported("tool_choice", HOSTED)
        if self.dialect.allowed_tools:
            allowed = {"mode": mode, "tools": [self._nested(tool) for tool in named]}
            self.choice = {"type": "allowed_tools", "allowed_tools": allowed}
            return
        names = {text_of(tool.get("name")) for tool in named}
        kept = [index for index, tool in enumerate(self.tools) if _name_of(tool) in names]
        self.tools, self.places = [self.tools[index] for index in kept], [self.places[index] for index in kept]
        self.choice = mode

    def _nested(self, choice: dict[str, Any]) -> dict[str, Any]:
        kind = choice["type"] if self.dialect.custom_tools else "function"
        return {"type": kind, kind: {"name": choice.get("name")}}


NO_TOOLS = ChatTools(Dialect())


def _name_of(tool: dict[str, Any]) -> str:
    inner: Fields = tool[tool["type"]]
    return read(inner, "name", str) or ""


def _custom(tool: Fields, at: str) -> Fields:
    form: Fields | None = read(tool, "format", Fields, f"{at}.")
    if form is None or read(form, "type", str, f"{at}.format.") != "grammar":
        return tool
    grammar = {name: value for name, value in form.items() if name != "type"}
    return {**tool, "format": raw({"type": "grammar", "grammar": grammar})}


def _as_function(tool: Fields) -> dict[str, Any]:
    kept = {name: tool[name] for name in ("name", "description") if given(tool, name) is not None}
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    return {**kept, "parameters": raw(schema)}
