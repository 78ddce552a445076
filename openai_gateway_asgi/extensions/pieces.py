"""What a handler may give of its answer, and what that is as a chunk of a chat stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..host.usage import Usage

Chunk = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What the model thinks aloud; clients get it as ``reasoning_content``."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the client is asked to call. ``arguments`` are JSON, or what becomes JSON."""

    name: str
    arguments: str | Mapping[str, Any] = "{}"
    id: str = ""
    """Made where it is empty."""


class NotAPiece(Exception):
    """What a handler gave is no part of an answer."""


def plain(piece: object) -> Mapping[str, Any]:
    """A chunk, an answer or a usage of the OpenAI SDK's, or a mapping that says the same, as plain values."""
    if isinstance(piece, Mapping):
        return piece
    dump = getattr(piece, "model_dump", None)  # a model of pydantic's, as all of the SDK's are
    if dump is not None:
        dumped = dump(mode="json", exclude_unset=True)
        if isinstance(dumped, Mapping):
            return dumped
    raise NotAPiece(f"an object of type {type(piece).__name__}")


def chunk_of(value: Mapping[str, Any]) -> Chunk:
    """A chunk, or a whole answer as one chunk. Raises ``NotAPiece`` for what is neither."""
    choices = value.get("choices")
    if not isinstance(choices, list) or value.get("error"):
        raise NotAPiece("a mapping that is no chunk: it has no list of `choices`" if choices is None else "no chunk")
    return {**value, "choices": [_choice(each) for each in choices]}


def _choice(choice: Any) -> Chunk:
    if not isinstance(choice, Mapping):
        raise NotAPiece("a chunk with a choice that is no object")
    index = choice.get("index")
    delta = choice.get("delta")
    if delta is None and "message" in choice:
        delta = choice["message"]
        if not isinstance(delta, Mapping):
            raise NotAPiece("an answer with a choice whose `message` is no object")
    if not isinstance(delta, Mapping):
        raise NotAPiece("a chunk with a choice that has no `delta`")
    rest = {name: value for name, value in choice.items() if name != "message"}
    return {**rest, "index": index if isinstance(index, int) else 0, "delta": delta}


def arguments_of(call: ToolCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else msgspec.json.encode(call.arguments).decode()


def chat_usage(usage: Usage) -> dict[str, Any]:
    """In the words of a chat completion."""
    told: dict[str, Any] = {
        "prompt_tokens": usage.input or 0,
        "completion_tokens": usage.output or 0,
        "total_tokens": usage.tokens or 0,
    }
    if usage.cached is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    if usage.reasoning is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return told
