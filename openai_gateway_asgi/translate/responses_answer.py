"""A whole chat completion as a response."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..errors import UpstreamError
from .response_objects import (
    Frame,
    call_item,
    ending,
    logprobs_of,
    message_item,
    new_id,
    reasoning_item,
    refusal_part,
    text_part,
    thought_of,
    url_citation,
)
from .shapes import arguments_of, object_of, objects_of, said_in, seconds_of, text_of
from .usage import responses_usage

Spaces = Mapping[str, tuple[str, str]]
"""Of tools in a namespace, by the name that they have in the chat: the namespace, and their own name."""


def response_of(
    completion: Mapping[str, Any], frame: Frame, *, custom_tools: Collection[str] = (), spaces: Spaces = {}
) -> dict[str, Any]:
    """The response of a chat completion. ``custom_tools`` are the custom tools that went to the upstream as functions.

    Raises ``UpstreamError`` where there is no choice.
    """
    choices = completion.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise UpstreamError("The upstream answered without a choice.")
    choice = choices[0]
    message = choice.get("message")
    status, incomplete = ending(choice.get("finish_reason"))
    output = list(_items(message if isinstance(message, dict) else {}, choice, status, custom_tools, spaces))
    usage = completion.get("usage")
    frame.created = seconds_of(completion.get("created"))
    tier = completion.get("service_tier")
    frame.service_tier = tier if isinstance(tier, str) else None
    told = responses_usage(usage) if isinstance(usage, dict) else None
    return frame.response(status, output, usage=told, incomplete=incomplete)


def _items(
    message: Mapping[str, Any], choice: Mapping[str, Any], status: str, custom_tools: Collection[str], spaces: Spaces
) -> Iterator[dict[str, Any]]:
    thought = thought_of(message)
    if thought is not None:
        yield reasoning_item(new_id("rs"), thought)
    calls = objects_of(message.get("tool_calls"))
    if isinstance(old := message.get("function_call"), dict):
        calls.append({"type": "function", "function": old})
    content = list(_content(message, choice))
    if content or not calls:  # what was said before a call is whole
        yield message_item(new_id("msg"), content or [text_part("")], "completed" if calls else status)
    for call in calls:
        yield _called(call, custom_tools, spaces, status)


def _called(call: Mapping[str, Any], custom_tools: Collection[str], spaces: Spaces, status: str) -> dict[str, Any]:
    id = text_of(call.get("id")) or new_id("call")
    inner = object_of(call.get("custom") or call.get("function"))
    name = text_of(inner.get("name"))
    space, own = spaces.get(name, ("", name))
    more: dict[str, Any] = {"space": space, "extra": call.get("extra_content")}
    if call.get("custom"):
        return call_item(new_id("ctc"), id, own, text_of(inner.get("input")), status, custom=True, **more)
    said = arguments_of(inner.get("arguments"))
    if name in custom_tools:
        return call_item(new_id("ctc"), id, own, input_of(said), status, custom=True, **more)
    return call_item(new_id("fc"), id, own, said, status, **more)


def input_of(arguments: str) -> str:
    """The one text of a custom tool that was called as a function."""
    try:
        said = json.loads(arguments)
    except ValueError:
        return arguments
    text = said.get("input") if isinstance(said, dict) else None
    return text if isinstance(text, str) else arguments


def _content(message: Mapping[str, Any], choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if text := said_in(message.get("content")):
        found = [each for given in objects_of(message.get("annotations")) if (each := url_citation(given))]
        yield text_part(text, found, logprobs_of(choice))
    refusal = text_of(message.get("refusal"))
    if refusal:
        yield refusal_part(refusal)
