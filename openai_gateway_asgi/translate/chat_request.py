"""The body of a chat call as that of a Responses call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from ..bodies.outline import Fields
from ..bodies.parts import LARGE
from .chat_messages import items_of
from .fields import FALSE, MOST, NULL, TRUE, Raw, encode, given, invalid, is_text, raw, read, read_list, unsupported
from .plain_input import plain_items

# What Responses has no word for. A value beside these would change the answer.
NO_WORD: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "stop": ([], ""),
    "seed": (),
    "logit_bias": ({},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "prediction": (),
    "audio": (),
}
"""Field, and the values that say nothing (null says nothing anywhere)."""


_FUNCTION = raw("function")


class ResponsesCall(msgspec.Struct, gc=False):
    body: Fields
    places: Sequence[str]
    """Where in the client's body stands what each input item says."""


def responses_call(fields: Fields, *, dropped: Collection[str] = ()) -> ResponsesCall:
    """The Responses body of a chat body. ``dropped`` are fields that the upstream's setting drops.

    Raises ``InvalidRequest`` naming the client's field.
    """
    if dropped:
        fields = {name: value for name, value in fields.items() if name not in dropped}
    concerned = READ.intersection(fields)
    said = () if _OF_CHAT_ALONE.isdisjoint(concerned) else list(_said(fields))
    plain = plain_items(fields)
    if plain is not None:
        given_input, places = plain
    else:
        items = items_of(fields)
        given_input, places = raw(items.said), items.places
    body = fields.copy()
    for name in concerned:
        del body[name]
    body["input"] = given_input
    body.update(said)
    body["store"] = TRUE if "store" in concerned and read(fields, "store", bool) else FALSE
    return ResponsesCall(body, places)


def _said(fields: Fields) -> Iterator[tuple[str, Raw]]:
    """What Responses calls otherwise."""
    rules: dict[Rule, None] = {}
    for name in fields:
        if name in SAID_BY:
            rules[SAID_BY[name]] = None
        elif name in NO_WORD and (value := read(fields, name, Any)) is not None and value not in NO_WORD[name]:
            raise unsupported(name, "Responses has no such parameter")
    for rule in rules:
        yield from rule(fields)


def _limits(fields: Fields) -> Iterator[tuple[str, Raw]]:
    given_limits = [read(fields, name, int) for name in ("max_tokens", "max_completion_tokens")]
    limits = [limit for limit in given_limits if limit is not None]
    if limits:
        yield "max_output_tokens", raw(max(limits))


def _effort(fields: Fields) -> Iterator[tuple[str, Raw]]:
    effort = given(fields, "reasoning_effort")
    if effort is not None:
        yield "reasoning", raw({"effort": effort})


def _text(fields: Fields) -> Iterator[tuple[str, Raw]]:
    text: dict[str, Any] = {}
    form: Fields | None = read(fields, "response_format", Fields)
    if form is not None:
        schema: Fields | None = read(form, "json_schema", Fields, "response_format.")
        text["format"] = form if schema is None else {"type": form.get("type", raw("json_schema")), **schema}
    verbosity = given(fields, "verbosity")
    if verbosity is not None:
        text["verbosity"] = verbosity
    if text:
        yield "text", raw(text)


def _tools(fields: Fields) -> Iterator[tuple[str, Raw]]:
    tools = list(_flat_tools(fields))
    if tools:
        yield "tools", raw(tools)


def _flat_tools(fields: Fields) -> Iterator[Fields]:
    functions = _functions_alone(fields)
    if functions is not None:
        yield from map(_function, functions)
    for index, tool in enumerate(read_list(fields, "tools") if functions is None else ()):
        at = f"tools[{index}]"
        kind = read(tool, "type", str, f"{at}.")
        if kind == "function":
            yield _function(read(tool, "function", Fields, f"{at}.") or {})
        elif kind == "custom":
            yield _custom(read(tool, "custom", Fields, f"{at}.") or {}, at)
        else:
            raise unsupported(f"{at}.type", "it is no tool of the chat API")
    for function in read_list(fields, "functions"):
        yield _function(function)
    search: Fields | None = read(fields, "web_search_options", Fields)
    if search is not None:
        location: Fields | None = read(search, "user_location", Fields, "web_search_options.")
        found = {
            "type": raw("web_search"),
            **{name: value for name, value in search.items() if name != "user_location"},
        }
        if location is not None:
            inner: Fields = read(location, "approximate", Fields, "web_search_options.user_location.") or {}
            found["user_location"] = raw({"type": "approximate", **inner})
        yield found


class FunctionTool(msgspec.Struct, gc=False):
    type: Literal["function"]
    function: Fields


_read_functions = msgspec.json.Decoder(list[FunctionTool]).decode


def _functions_alone(fields: Fields) -> list[Fields] | None:
    """The functions of tools that are nothing else, as nearly all are; None where they are to be looked at one by
    one."""
    tools = fields.get("tools", NULL)
    if len(memoryview(tools)) > LARGE:
        return None
    try:
        read = _read_functions(tools)
    except (msgspec.DecodeError, RecursionError):
        return None
    return [tool.function for tool in read] if len(read) <= MOST else None


def _function(function: Fields) -> Fields:
    """Responses takes an absent ``strict`` as true, chat as false."""
    return {"type": _FUNCTION, **function, "strict": given(function, "strict") or FALSE}


def _custom(custom: Fields, at: str) -> Fields:
    flat = {"type": raw("custom"), **custom}
    form: Fields | None = read(custom, "format", Fields, f"{at}.custom.")
    if form is not None and "grammar" in form:
        grammar: Fields = read(form, "grammar", Fields, f"{at}.custom.format.") or {}
        flat["format"] = raw({"type": "grammar", **grammar})
    return flat


def _tool_choice(fields: Fields) -> Iterator[tuple[str, Raw]]:
    old = given(fields, "function_call")
    if old is not None:
        yield "tool_choice", old if is_text(old) else raw({"type": "function", **read(fields, "function_call", Fields)})
    choice = given(fields, "tool_choice")
    if choice is not None:
        yield "tool_choice", choice if is_text(choice) else raw(_flat_choice(read(fields, "tool_choice", Fields)))


def _flat_choice(choice: Fields) -> dict[str, Any]:
    kind = read(choice, "type", str, "tool_choice.")
    inner: Fields | None = None
    if kind in ("function", "custom", "allowed_tools"):
        inner = read(choice, kind, Fields, "tool_choice.")
    if inner is None:
        raise invalid("tool_choice", "is no choice of the chat API")
    flat = {"type": kind, **inner}
    if kind == "allowed_tools":
        flat["tools"] = [_flat_tool(tool) for tool in read_list(inner, "tools", "tool_choice.allowed_tools.")]
    return flat


def _flat_tool(tool: Fields) -> dict[str, Any]:
    """One that may be chosen."""
    at = "tool_choice.allowed_tools.tools."
    kind = read(tool, "type", str, at)
    inner: Fields | None = read(tool, kind, Fields, at) if kind in ("function", "custom") else None
    return {**tool} if inner is None else {"type": kind, **inner}


def _logprobs(fields: Fields) -> Iterator[tuple[str, Raw]]:
    if read(fields, "logprobs", bool):
        yield "include", raw(["message.output_text.logprobs"])
        top = given(fields, "top_logprobs")
        if top is not None:
            yield "top_logprobs", top


def _stream_options(fields: Fields) -> Iterator[tuple[str, Raw]]:
    """``include_usage`` is what the final event always has; whether the client gets it is the stream's to know."""
    options: Fields = read(fields, "stream_options", Fields) or {}
    rest = {name: value for name, value in options.items() if name != "include_usage"}
    if rest:
        yield "stream_options", Raw(encode(rest))


def _modalities(fields: Fields) -> Iterator[tuple[str, Raw]]:
    if set(read(fields, "modalities", list[str]) or ("text",)) - {"text"}:
        raise unsupported("modalities", "Responses answers in text")
    yield from ()


Rule = Callable[[Fields], Iterator[tuple[str, Raw]]]

SAID_BY: Mapping[str, Rule] = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens"), _limits),
    "reasoning_effort": _effort,
    **dict.fromkeys(("response_format", "verbosity"), _text),
    **dict.fromkeys(("tools", "functions", "web_search_options"), _tools),
    **dict.fromkeys(("tool_choice", "function_call"), _tool_choice),
    **dict.fromkeys(("logprobs", "top_logprobs"), _logprobs),
    "stream_options": _stream_options,
    "modalities": _modalities,
}
"""What says in Responses what a field of a chat says."""
_OF_CHAT_ALONE = NO_WORD.keys() | SAID_BY.keys()
READ = _OF_CHAT_ALONE | {"messages", "store"}
