"""The body of a Responses call as that of a chat call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ..bodies.outline import Fields
from .dialect import Dialect
from .fields import SAME, Raw, encode, given, raw, read, unsupported
from .responses_items import messages_of
from .responses_tools import ChatTools

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


class ChatCall(NamedTuple):
    body: Fields
    tools: ChatTools
    places: tuple[str, ...]
    """Where in the client's body stands what each message begins with."""


def chat_body(fields: Fields, dialect: Dialect) -> Fields:
    """The chat body of a Responses body. Raises ``InvalidRequest`` naming the client's field."""
    return chat_call(fields, dialect).body


def chat_call(fields: Fields, dialect: Dialect) -> ChatCall:
    """The same, and what its answer will have to be told by."""
    for name, nothing in NO_WORD.items():
        if given(fields, name) is not None and read(fields, name, Any) not in nothing:
            raise unsupported(name, "a chat has no such parameter, and keeps nothing between calls")
    body = {name: value for name, value in fields.items() if name in SAME}
    assembly = messages_of(fields, dialect.developer, dialect.custom_tools, dialect.images_in_tools)
    body["messages"] = raw(assembly.messages)
    limit = given(fields, "max_output_tokens")
    if limit is not None:
        body["max_completion_tokens"] = limit
    body.update(_reasoning(fields))
    body.update(_text(fields))
    tools = ChatTools.of(fields, dialect)
    if tools.tools:
        body["tools"] = raw(tools.tools)
        if tools.choice is not None:
            body["tool_choice"] = raw(tools.choice)
    else:
        body.pop("parallel_tool_calls", None)
    if "message.output_text.logprobs" in (read(fields, "include", list[str]) or ()):
        body["logprobs"] = Raw(b"true")
        top = given(fields, "top_logprobs")
        if top is not None:
            body["top_logprobs"] = top
    options = {**_obfuscation(fields, dialect), **({"include_usage": True} if dialect.usage else {})}
    if options and read(fields, "stream", bool):
        body["stream_options"] = raw(options)
    body.update({name: value for name, value in fields.items() if name not in SAME and name not in READ})
    return ChatCall(body, tools, tuple(assembly.places))


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


def _obfuscation(fields: Fields, dialect: Dialect) -> Fields:
    options: Fields = read(fields, "stream_options", Fields) or {}
    return options if dialect.obfuscation else {}
