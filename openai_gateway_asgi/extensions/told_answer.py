"""What was told of an answer, put together for filters that look at all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..answers.endings import CHAT, RESPONSES
from ..host.usage import Usage
from .chat_answer import Gathered
from .filter_event import FilterEvent
from .pieces import ToolCall

_TEXT = ("response.output_text.delta", "response.refusal.delta")
_REASONING = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
_CALLS = ("function_call", "custom_tool_call")


@dataclass(frozen=True, slots=True)
class ToldAnswer:
    """An answer as its client got it, behind all filters."""

    text: str
    """Of the first choice, where there are several."""
    reasoning: str
    tool_calls: Sequence[ToolCall]
    finish_reason: str | None
    """``stop``, ``length``, ``tool_calls``, ...; of Responses the status, or why it is incomplete."""
    usage: Usage | None
    """None where nobody told."""
    complete: bool
    """False where it broke off in its middle: its client left, or what made it failed."""


class Gathering:
    """Takes what is told, event by event."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._choices: dict[Any, Gathered] = {}
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ToolCall] = []
        self._finish: str | None = None

    def add(self, event: FilterEvent) -> None:
        whole = event.kind == "answer"
        if self._operation in CHAT:
            for choice in _list(event.read(), "choices"):
                self._add_choice(choice, whole=whole)
        elif self._operation in RESPONSES:
            self._add_response(event.read(), whole=whole)
        else:
            self._text += event.texts()

    def told(self, usage: Usage | None, *, complete: bool) -> ToldAnswer:
        first = self._choices.get(min(self._choices, default=0), None)
        text, reasoning, calls, finish = "".join(self._text), "".join(self._reasoning), self._calls, self._finish
        if first is not None:
            choice = first.choice()
            message = choice["message"]
            text += _text_of(message["content"]) or _text_of(message["refusal"])
            reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
            calls = [_call(each) for each in message.get("tool_calls", ())]
            finish = choice["finish_reason"]
        return ToldAnswer(text, reasoning, tuple(calls), finish, usage, complete)

    def _add_choice(self, choice: Any, *, whole: bool) -> None:
        if not isinstance(choice, Mapping):
            return
        index = choice.get("index") or 0
        if whole and index in self._choices:
            return
        said = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        if isinstance(said, Mapping) and isinstance(index, int):
            calls = said.get("tool_calls")
            if "message" in choice and isinstance(calls, list):
                said = {**said, "tool_calls": [{"index": at, **each} for at, each in enumerate(calls)]}
            self._choices.setdefault(index, Gathered()).add({**choice, "delta": said})

    def _add_response(self, data: Any, *, whole: bool) -> None:
        if not isinstance(data, Mapping):
            return
        kind = data.get("type")
        if kind in _TEXT:
            self._text.append(str(data.get("delta") or ""))
        elif kind in _REASONING:
            self._reasoning.append(str(data.get("delta") or ""))
        response = data if whole else data.get("response")
        if isinstance(response, Mapping) and response.get("status") in ("completed", "incomplete", "failed"):
            self._end(response)

    def _end(self, response: Mapping[str, Any]) -> None:
        details = response.get("incomplete_details")
        why = details.get("reason") if isinstance(details, Mapping) else None
        self._finish = why or response.get("status")
        items = [item for item in _list(response, "output") if isinstance(item, Mapping)]
        self._calls = [
            ToolCall(str(item.get("name") or ""), str(item.get("arguments") or item.get("input") or ""), _id(item))
            for item in items
            if item.get("type") in _CALLS
        ]
        if not self._text:
            parts = [part for item in items if item.get("type") == "message" for part in _list(item, "content")]
            self._text += [str(part.get("text") or part.get("refusal") or "") for part in parts]
        if not self._reasoning:
            parts = [part for item in items if item.get("type") == "reasoning" for part in _list(item, "summary")]
            self._reasoning += [str(part.get("text") or "") for part in parts]


def _text_of(content: Any) -> str:
    """Some models give parts: Mistral's those of what they think, and texts."""
    if isinstance(content, list):
        return "".join([_text_of(part.get("text")) for part in content if isinstance(part, Mapping)])
    return content if isinstance(content, str) else ""


def _call(call: Mapping[str, Any]) -> ToolCall:
    told = call.get(call.get("type") or "function") or {}
    return ToolCall(told.get("name") or "", told.get("arguments") or told.get("input") or "", call.get("id") or "")


def _id(item: Mapping[str, Any]) -> str:
    return str(item.get("call_id") or item.get("id") or "")


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []
