"""How a fake model behaves: a good answer, a bad day, or a fault in the middle, said in a few words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from .answers import Answer, Ending, HeaderPairs, Says, error_answer, json_answer

_COUNTS = ("cut_after", "reset_after", "stall_after", "malformed_after", "error_after")
MALFORMED = b'data: {"choices": [{"delta": {"content": "\n\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What a model does with its calls. Nothing set: a good answer. Times are in seconds, counts in events.

    Events are counted from the first that says something: a role, and the events that only begin a response, come
    before it. A JSON answer that is ``cut``, ``reset`` or ``stalled`` stops in its middle.
    """

    text: str | None = None
    """What it says; streamed word by word."""
    tool_calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    """Tools that it calls instead, by name with their arguments."""
    reasoning: str | None = None
    finish_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    status: int = 200
    """From 400 on: an error in OpenAI's shape, of this ``message`` and ``code``."""
    message: str = "No."
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    body: Any = None
    """Instead of all that: this JSON."""
    silence: bool = False
    """It never answers."""
    refuse: bool = False
    """It ends the connection before it answers."""
    first_event_after: float = 0.0
    """It sends its head at once, and its first event so much later."""
    event_every: float = 0.0
    cut_after: int | None = None
    """It closes the connection behind so many events."""
    reset_after: int | None = None
    stall_after: int | None = None
    """It sends nothing more, and keeps the connection."""
    malformed_after: int | None = None
    """One event that is no JSON, and then the rest."""
    error_after: int | None = None
    """An error event of this ``message`` and ``code``, and then the end."""
    done: bool = True
    """Whether a chat stream ends with ``[DONE]``."""

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for what no model could do: a test that means something else should fail here."""
        if not 100 <= self.status <= 599:
            raise ValueError(f"Script(status={self.status}): must be a status of HTTP, from 100 to 599")
        for name in ("first_event_after", "event_every", *_COUNTS):
            if (value := getattr(self, name)) is not None and value < 0:
                raise ValueError(f"Script({name}={value}): must be 0 or more")
        calls: Sequence[Any] = self.tool_calls
        for call in calls:
            if isinstance(call, str) or len(call) != 2:
                raise ValueError("Script(tool_calls=...): must be pairs of a name and arguments, as ('weather', {})")


def scripted_answer(script: Script, usual: Callable[[Says], Answer]) -> Answer:
    """The ``usual`` answer, as the script has it. Waiting is the answer's own."""
    headers: HeaderPairs = list(script.headers.items())
    if script.retry_after is not None:
        headers.append(("retry-after", f"{script.retry_after:g}"))
    if script.silence:
        return Answer((), 0, [], "open")
    if script.refuse:
        return Answer((), 0, [], "cut")
    if script.body is not None:
        return json_answer(script.body, script.status, headers)
    if script.status >= 400:
        return error_answer(script.status, script.message, code=script.code, headers=headers)
    good = usual(_says(script))
    stop, ending = _stop(script)
    chunks = list(good.chunks)  # type: ignore[arg-type]
    good_headers = [*good.headers, *headers]
    if dict(good.headers).get("content-type", "").startswith("text/event-stream"):
        return Answer(_paced(script, _events(script, chunks, stop)), good.status, good_headers, ending)
    if stop is not None:
        whole = b"".join(chunks)
        return Answer([whole[: len(whole) // 2]], good.status, good_headers, ending)
    return Answer(_paced(script, chunks), good.status, good_headers)


def _says(script: Script) -> Says:
    usual = Says(tool_calls=tuple(script.tool_calls), reasoning=script.reasoning, usage=script.usage)
    words = usual.words if script.text is None else tuple(_words(script.text))
    return Says(words, usual.tool_calls, usual.reasoning, script.finish_reason, usual.usage)


def _words(text: str) -> list[str]:
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def _stop(script: Script) -> tuple[int | None, Ending]:
    endings: dict[Ending, int | None] = {
        "cut": script.cut_after,
        "reset": script.reset_after,
        "open": script.stall_after,
    }
    return next(((after, how) for how, after in endings.items() if after is not None), (None, "whole"))


def _events(script: Script, events: list[bytes], stop: int | None) -> list[bytes]:
    before = sum(1 for _ in takewhile(_only_begins, events))
    if script.malformed_after is not None:
        events.insert(before + script.malformed_after, MALFORMED)
    if script.error_after is not None:
        error = error_answer(500, script.message, code=script.code)
        events[before + script.error_after :] = [b"data: " + b"".join(error.chunks) + b"\n\n"]  # type: ignore[arg-type]
    if not script.done:
        events = [event for event in events if event != b"data: [DONE]\n\n"]
    return events if stop is None else events[: before + stop]


def _only_begins(event: bytes) -> bool:
    starts = (
        b"response.created",
        b"response.output_item.added",
        b"response.content_part.added",
        b"response.reasoning_summary_part.added",
    )
    return b'"role": "assistant", "content": ""' in event or any(b"event: " + start in event for start in starts)


async def _paced(script: Script, chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    if script.first_event_after:
        await asyncio.sleep(script.first_event_after)
    for number, chunk in enumerate(chunks):
        await asyncio.sleep(script.event_every if number else 0.0)  # a real upstream lets other tasks run in between
        yield chunk
