"""What tells a client nothing of the answer itself: a fixed list per operation. Everything else tells.

Comments tell nothing either, nor do events without data. The list decides what is held while another upstream may
still be asked, and what moves the idle clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..http.sse import Event, events_in, last_boundary
from .endings import CHAT, RESPONSES, decoded, finish_reason, is_done

RECENT = 16 * 1024
"""Bytes at the end of a read in which something is looked for that tells."""

STARTS = frozenset({"response.created", "response.queued", "response.in_progress"})
KEEP_ALIVE = frozenset({"keepalive", "ping"})
"""Types of events that only keep a line warm: OpenAI's, and Anthropic's, which proxies pass on."""
_EMPTY_PARTS = frozenset({"response.content_part.added", "response.reasoning_summary_part.added"})
_FRAME = frozenset(
    {"id", "type", "status", "role", "name", "namespace", "call_id", "phase", "container_id", "server_label"}
)
"""What an output item has before anything is in it."""
_TYPE = frozenset({"type"})
_ROLE = frozenset({"role"})
_TEXTS = ("content", "refusal")


def tells(operation: str, event: Event, value: Any) -> bool:
    """``operation`` is what the upstream was asked for, ``value`` the event's data, decoded (None: no JSON)."""
    if not isinstance(value, dict):
        return bool(event.error or event.data.strip()) and not is_done(event)
    kind = value.get("type")
    if isinstance(kind, str) and kind in KEEP_ALIVE:
        return False
    rule = _RULES.get(operation)
    return rule is None or rule(value)


def any_tells(operation: str, events: bytes) -> bool:
    """Whether one of whole events tells, or one of the last of very many."""
    late = events[last_boundary(events[:-RECENT]) :]
    return any(tells(operation, event, decoded(event.data)) for event in reversed(list(events_in(late))))


def goes_on(events: bytes) -> bool:
    """Whether one of a chat's last events says more than that a choice has finished."""
    for event in events_in(events[last_boundary(events[:-RECENT]) :]):
        value = decoded(event.data)
        choices = value.get("choices") if isinstance(value, dict) else None
        if isinstance(choices, list) and any(isinstance(choice, dict) and _says(choice) for choice in choices):
            return True
    return False


def answers(operation: str, value: Any) -> bool:
    """Whether an event that tells has text of the answer or arguments of a tool: behind them nobody thinks for long."""
    if not isinstance(value, dict):
        return True
    if operation in CHAT:
        choices = value.get("choices")
        return isinstance(choices, list) and any(_choice_answers(choice) for choice in choices)
    if operation in RESPONSES:
        return bool(value.get("delta")) and "reasoning" not in str(value.get("type"))
    return True


def _chat(value: Mapping[str, Any]) -> bool:
    choices = value.get("choices", value)
    if not isinstance(choices, list):
        return bool(choices)  # null, as some write an empty list, or nothing at all
    for choice in choices:
        if not isinstance(choice, dict) or _says(choice):
            return True
        if choice.get("finish_reason") and finish_reason(choice) is not None:
            return True
    return False


def _says(choice: Mapping[str, Any]) -> bool:
    held = choice.get("delta") or choice.get("message")
    return bool((held and _holds_more(held, _ROLE)) or choice.get("text"))


def _holds_more(value: Any, frame: frozenset[str]) -> bool:
    if not isinstance(value, dict):
        return bool(value)
    for key, held in value.items():  # noqa: SIM110  # three times as fast as any(), and every stream begins here
        if held and key not in frame:
            return True
    return False


def _response(value: Mapping[str, Any]) -> bool:
    kind = value.get("type")
    if kind in STARTS:
        return False
    if kind == "response.output_item.added":
        return _holds_more(value.get("item"), _FRAME)
    if kind in _EMPTY_PARTS:
        return _holds_more(value.get("part"), _TYPE)
    return _delta(value)


def _delta(value: Mapping[str, Any]) -> bool:
    """A delta of nothing, of whatever it is one."""
    kind = value.get("type")
    if not isinstance(kind, str) or not kind.endswith(".delta"):
        return True
    return bool(value.get("delta") or value.get("audio"))


def _choice_answers(choice: Any) -> bool:
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict):
        return isinstance(choice, dict) and bool(choice.get("text"))
    calls = [delta.get("function_call"), *_calls(delta)]
    return any(delta.get(key) for key in _TEXTS) or any(_arguments(call) for call in calls)


def _calls(delta: Mapping[str, Any]) -> list[Any]:
    calls = delta.get("tool_calls")
    named = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return [called for call in named for called in (call.get("function"), call.get("custom"))]


def _arguments(call: Any) -> bool:
    return isinstance(call, dict) and bool(call.get("arguments") or call.get("input"))


_RULES: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    **dict.fromkeys(CHAT, _chat),
    **dict.fromkeys(RESPONSES, _response),
    "createTranscription": _delta,
    "createSpeech": _delta,
}
