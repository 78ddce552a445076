"""The body of a Responses call as that of a chat call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..bodies.outline import Fields
from .dialect import Dialect
from .fields import TRUE, Raw, encode, given, raw, read, unsupported
from .plain_input import plain_messages
from .responses_items import messages_of
from .responses_tools import NO_TOOLS, ChatTools

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


class ChatCall(msgspec.Struct, gc=False):
    body: Fields
    tools: ChatTools
    places: Sequence[str]
    """Where in the client's body stands what each message begins with."""
    calls: Mapping[int, list[str]]
    """By the index of a message, where its calls stand."""


def chat_call(fields: Fields, dialect: Dialect) -> ChatCall:
    """The chat body of a Responses body, and what its answer is translated by. Raises ``InvalidRequest`` naming the
    client's field."""
    concerned = READ.intersection(fields)
    said = () if _OF_RESPONSES_ALONE.isdisjoint(concerned) else list(_said(fields, dialect))
    plain = plain_messages(fields)
    if plain is not None:
        (messages, places), calls = plain, _NO_CALLS
    else:
        assembly = messages_of(fields, dialect)
        messages, places, calls = raw(assembly.messages), assembly.places, assembly.calls
    body = fields.copy()
    for name in concerned:
        del body[name]
    body["messages"] = messages
    body.update(said)
    if fields.get("stream") == TRUE:
        body.update(_stream_options(fields, dialect))
    tools = ChatTools.of(fields, dialect) if "tools" in concerned else NO_TOOLS
    if tools.tools:
        body["tools"] = raw(tools.tools)
        if tools.choice is not None:
            body["tool_choice"] = raw(tools.choice)
    else:
        body.pop("parallel_tool_calls", None)
    return ChatCall(body, tools, places, calls)


_NO_CALLS: Mapping[int, list[str]] = {}


def _said(fields: Fields, dialect: Dialect) -> Iterator[tuple[str, Raw]]:
    """What a chat calls otherwise."""
    rules: dict[Rule, None] = {}
    for name in fields:
        if name in SAID_BY:
            rules[SAID_BY[name]] = None
        elif name in NO_WORD and (value := read(fields, name, Any)) is not None and value not in NO_WORD[name]:
            raise unsupported(name, "a chat has no such parameter, and keeps nothing between calls")
    for rule in rules:
        yield from rule(fields, dialect)


def _limit(fields: Fields, _dialect: Dialect) -> Iterator[tuple[str, Raw]]:
    limit = given(fields, "max_output_tokens")
    if limit is not None:
        yield "max_completion_tokens", limit


def _logprobs(fields: Fields, _dialect: Dialect) -> Iterator[tuple[str, Raw]]:
    if "message.output_text.logprobs" in (read(fields, "include", list[str]) or ()):
        yield "logprobs", TRUE
        top = given(fields, "top_logprobs")
        if top is not None:
            yield "top_logprobs", top


def _reasoning(fields: Fields, _dialect: Dialect) -> Iterator[tuple[str, Raw]]:
    reasoning: Fields = read(fields, "reasoning", Fields) or {}
    for name in ("mode", "context"):
        if given(reasoning, name) is not None:
            raise unsupported(f"reasoning.{name}", "a chat has no such parameter")
    effort = given(reasoning, "effort")
    if effort is not None:
        yield "reasoning_effort", effort


def _text(fields: Fields, _dialect: Dialect) -> Iterator[tuple[str, Raw]]:
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


def _stream_options(fields: Fields, dialect: Dialect) -> Iterator[tuple[str, Raw]]:
    """The usage comes with a stream only where it is asked for, and the final event has it."""
    given_options: Fields = read(fields, "stream_options", Fields) or {}
    options: dict[str, Any] = {**given_options} if dialect.obfuscation else {}
    if dialect.usage:
        options["include_usage"] = True
    if options:
        yield "stream_options", raw(options)


Rule = Callable[[Fields, Dialect], Iterator[tuple[str, Raw]]]

SAID_BY: Mapping[str, Rule] = {
    "max_output_tokens": _limit,
    "reasoning": _reasoning,
    "text": _text,
    **dict.fromkeys(("include", "top_logprobs"), _logprobs),
}
"""What says in a chat what a field of Responses says."""
_OF_RESPONSES_ALONE = NO_WORD.keys() | SAID_BY.keys()
READ = _OF_RESPONSES_ALONE | set("input instructions tools tool_choice store max_tool_calls stream_options".split())
