"""The body of a Responses call as that of a chat call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..bodies.outline import Fields
from .fields import SAME, Raw, encode, given, invalid, raw, read, unsupported
from .responses_items import messages_of

# What a chat cannot carry. A value beside these asks for something that would silently not happen.
NO_WORD: dict[str, tuple[Any, ...]] = {
    "previous_response_id": (),
    "conversation": (),
    "prompt": (),
    "background": (False,),
    "truncation": ("disabled",),
    "context_management": ([],),
    "image": (),
    "access_programs": ([],),
    "background_options": ({},),
}
"""Field, and the values that say nothing (null says nothing anywhere)."""

READ = NO_WORD.keys() | frozenset(
    """input instructions max_output_tokens reasoning text tools tool_choice top_logprobs include stream_options store
    max_tool_calls""".split()
)
HOSTED = "it is run by OpenAI's Responses API alone"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the chat API of an upstream takes."""

    developer: bool = False
    """Whether it knows the role ``developer``."""
    custom_tools: bool = False
    """Whether it knows tools of the type ``custom``; elsewhere they become functions with one text, ``input``."""
    obfuscation: bool = False
    drop_hosted_tools: bool = False
    images_in_tools: bool = False


def chat_body(fields: Fields, dialect: Dialect = Dialect()) -> Fields:
    """The chat body of a Responses body. Raises ``InvalidRequest`` naming the client's field."""
    for name, nothing in NO_WORD.items():
        if given(fields, name) is not None and read(fields, name, Any) not in nothing:
            raise unsupported(name, "a chat has no such parameter, and keeps nothing between calls")
    body = {name: value for name, value in fields.items() if name in SAME}
    body["messages"] = raw(messages_of(fields, dialect.developer, dialect.custom_tools, dialect.images_in_tools))
    limit = given(fields, "max_output_tokens")
    if limit is not None:
        body["max_completion_tokens"] = limit
    body.update(_reasoning(fields))
    body.update(_text(fields))
    tools = list(_tools(fields, dialect))
    if tools:
        body["tools"] = raw(tools)
        body.update(_tool_choice(fields, dialect))
    else:
        body.pop("parallel_tool_calls", None)
    if "message.output_text.logprobs" in (read(fields, "include", list[str]) or ()):
        body["logprobs"] = Raw(b"true")
        top = given(fields, "top_logprobs")
        if top is not None:
            body["top_logprobs"] = top
    if read(fields, "stream", bool):
        body["stream_options"] = raw({**_obfuscation(fields, dialect), "include_usage": True})
    body.update({name: value for name, value in fields.items() if name not in SAME and name not in READ})
    return body


def _reasoning(fields: Fields) -> Iterator[tuple[str, Raw]]:
    reasoning: Fields = read(fields, "reasoning", Fields) or {}
    for name in ("mode", "context"):
        if given(reasoning, name) is not None:
            raise unsupported(f"reasoning.{name}", "a chat has no such parameter")
    effort = given(reasoning, "effort")
    if effort is not None:
        yield "reasoning_effort", effort


def _text(fields: Fields) -> Iterator[tuple[str, Raw]]:
    text: Fields = read(fields, "text", Fields) or {}
    form: Fields | None = read(text, "format", Fields, "text.")
    if form is not None:
        kind = read(form, "type", str, "text.format.")
        if kind == "json_schema":
            schema = {name: value for name, value in form.items() if name != "type"}
            yield "response_format", raw({"type": "json_schema", "json_schema": schema})
        elif kind != "text":
            yield "response_format", Raw(encode(form))
    verbosity = given(text, "verbosity")
    if verbosity is not None:
        yield "verbosity", verbosity


def _tools(fields: Fields, dialect: Dialect) -> Iterator[dict[str, Any]]:
    for index, tool in enumerate(read(fields, "tools", list[Fields]) or ()):
        yield from _tool(tool, f"tools[{index}]", dialect, "")


def _tool(tool: Fields, at: str, dialect: Dialect, prefix: str) -> Iterator[dict[str, Any]]:
    kind = read(tool, "type", str, f"{at}.")
    rest = {name: value for name, value in tool.items() if name != "type"}
    if prefix and given(rest, "name") is not None:
        rest["name"] = raw(prefix + str(read(rest, "name", str, f"{at}.")))
    match kind:
        case "function":
            yield {"type": "function", "function": {n: v for n, v in rest.items() if bytes(v) != b"null"}}
        case "custom" if dialect.custom_tools:
            yield {"type": "custom", "custom": _custom(rest, at)}
        case "custom":
            yield {"type": "function", "function": _as_function(rest)}
        case "namespace":
            name = read(tool, "name", str, f"{at}.") or ""
            for number, inner in enumerate(read(tool, "tools", list[Fields], f"{at}.") or ()):
                yield from _tool(inner, f"{at}.tools[{number}]", dialect, f"{name}__")
        case _ if dialect.drop_hosted_tools:
            return
        case _:
            raise unsupported(f"{at}.type", HOSTED)


def _custom(tool: Fields, at: str) -> Fields:
    form: Fields | None = read(tool, "format", Fields, f"{at}.")
    if form is None or read(form, "type", str, f"{at}.format.") != "grammar":
        return tool
    grammar = {name: value for name, value in form.items() if name != "type"}
    return {**tool, "format": raw({"type": "grammar", "grammar": grammar})}


def _as_function(tool: Fields) -> dict[str, Any]:
    kept = {name: value for name, value in tool.items() if name in ("name", "description")}
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    return {**kept, "parameters": schema}


def _tool_choice(fields: Fields, dialect: Dialect) -> Iterator[tuple[str, Raw]]:
    choice: Any = read(fields, "tool_choice", Any)
    if choice is None:
        return
    if isinstance(choice, dict):
        kind = choice.get("type")
        if kind == "allowed_tools":
            tools = [_nested_choice(tool, dialect) for tool in choice.get("tools") or ()]
            mode = choice.get("mode") or "auto"
            choice = {"type": kind, "allowed_tools": {"mode": mode, "tools": tools}}
        elif kind in ("function", "custom"):
            choice = _nested_choice(choice, dialect)
        else:
            raise unsupported("tool_choice", HOSTED)
    elif not isinstance(choice, str):
        raise invalid("tool_choice", "must be a text or an object")
    yield "tool_choice", raw(choice)


def _nested_choice(choice: Any, dialect: Dialect) -> Any:
    if not isinstance(choice, dict) or choice.get("type") not in ("function", "custom"):
        raise unsupported("tool_choice", HOSTED)
    kind = choice["type"] if dialect.custom_tools else "function"
    return {"type": kind, kind: {"name": choice.get("name")}}


def _obfuscation(fields: Fields, dialect: Dialect) -> Fields:
    options: Fields = read(fields, "stream_options", Fields) or {}
    return options if dialect.obfuscation else {}
