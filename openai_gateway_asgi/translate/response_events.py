"""The events of a Responses stream as tables: which tell a piece of something, and what they need beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LIFECYCLE = frozenset(f"response.{name}" for name in "created queued in_progress completed incomplete failed".split())
TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})

ID_KINDS = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
HELD = {"message": "content", "reasoning": "summary", "function_call": "arguments", "custom_tool_call": "input"}
"""What an item has of its kind, empty when it begins."""
CALLS = frozenset({"function_call", "custom_tool_call"})
REQUIRED: Mapping[str, Any] = {
    "object": "response",
    "created_at": 0,
    "model": "",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
"""What strict readers want of a response."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an event tells a piece of: the item, the part of it, and where the text stands."""

    item: str
    part: str = ""
    at: str = "content_index"
    opened_by: str = "response.content_part.added"
    holds: str = "text"


TEXT = Told("message", "output_text")
REFUSAL = Told("message", "refusal", holds="refusal")
THOUGHT = Told("reasoning", "reasoning_text")
SUMMARY = Told("reasoning", "summary_text", "summary_index", "response.reasoning_summary_part.added")
ARGUMENTS = Told("function_call", holds="arguments")
INPUT = Told("custom_tool_call", holds="input")
TELLING = {
    f"response.{kind}.{step}": told
    for kind, told in (
        ("output_text", TEXT),
        ("refusal", REFUSAL),
        ("reasoning_text", THOUGHT),
        ("reasoning_summary_text", SUMMARY),
        ("function_call_arguments", ARGUMENTS),
        ("custom_tool_call_input", INPUT),
    )
    for step in ("delta", "done")
}
DELTAS = {
    "function_call": "response.function_call_arguments.delta",
    "custom_tool_call": "response.custom_tool_call_input.delta",
}
OPENING = {"response.content_part.added": "content_index", "response.reasoning_summary_part.added": "summary_index"}
NAMES = {
    "output_text": "output_text",
    "refusal": "refusal",
    "reasoning_text": "reasoning_text",
    "summary_text": "reasoning_summary_text",
}
"""By the type of a part what the events are called that tell it."""
IN_PARTS = {
    "response.content_part.done": "content_index",
    "response.reasoning_summary_part.done": "summary_index",
    "response.output_text.annotation.added": "content_index",
}
