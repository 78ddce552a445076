"""How many tokens a stream has told, where nobody counted: by its last events, and by how much of it there was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..http.sse import events_in
from .endings import CHAT, RESPONSES, decoded

BYTES_PER_TOKEN = 4
"""Of text, where nothing but its bytes is known."""
TEXTS = ("content", "reasoning_content", "reasoning", "refusal", "text", "arguments", "input")
"""Where a choice holds what a model wrote."""


def told_tokens(operation: str, last: bytes, delivered: int) -> int | None:
    """``last`` are the last events of so many ``delivered`` bytes. Most upstreams tell a token per event.

    None for operations that do not stream text.
    """
    if operation not in CHAT | RESPONSES:
        return None
    size = tokens = 0
    for event in events_in(last):
        size = event.end
        tokens += _tokens(operation, decoded(event.data))
    return delivered * tokens // size if size else 0


def _tokens(operation: str, value: Any) -> int:
    if not isinstance(value, dict):
        return 0
    texts = list(_chat_texts(value)) if operation in CHAT else _response_texts(value)
    written = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return max(1, -(-written // BYTES_PER_TOKEN)) if written else 0


def _chat_texts(value: Mapping[str, Any]) -> Iterator[str]:
    choices = value.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield from _texts(choice.get("delta") or choice)


def _texts(held: Any) -> Iterator[str]:
    if isinstance(held, dict):
        yield from (text for name in TEXTS if isinstance(text := held.get(name), str))
        for name in ("tool_calls", "function", "custom", "function_call"):
            yield from _texts(held.get(name))
    elif isinstance(held, list):
        for each in held:
            yield from _texts(each)


def _response_texts(value: Mapping[str, Any]) -> list[str]:
    delta = value.get("delta")
    return [delta] if isinstance(delta, str) else []
