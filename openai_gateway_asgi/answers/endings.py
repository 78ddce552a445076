"""Whether an event stream is over, judged by what it said. A stream that merely stops has been cut.

Over is a chat whose choices have all finished, or ``[DONE]``; elsewhere the API's own final event. What the connection
does behind that is no matter of the answer's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any

import msgspec

from ..bodies.payload import Payload
from ..http.sse import Event, events_in, last_boundary, last_events
from .error_names import GAVE_UP
from .upstream_errors import Said, error_in_data, error_in_events

CHAT = frozenset({"createChatCompletion", "createCompletion"})
RESPONSES = frozenset({"createResponse", "getResponse"})
STREAMED = CHAT | {"createResponse"}
"""Whoever asks these for a stream gets one, or has not been answered; elsewhere some models only ever answer whole."""
RUNS = frozenset({"createThreadAndRun", "createRun", "submitToolOuputsToRun"})
"""Streams of the Assistants API, which end with ``[DONE]`` alone."""

_RESPONSE = ("response.completed", "response.incomplete", "response.cancelled")
FINAL_EVENTS: dict[str, tuple[str, ...]] = {
    "createResponse": _RESPONSE,
    "getResponse": _RESPONSE,
    "createImage": ("image_generation.completed",),
    "createImageEdit": ("image_edit.completed",),
    "createTranscription": ("transcript.text.done",),
    "createSpeech": ("speech.audio.done",),
}
SAY_THE_END = RESPONSES | {"createImage", "createImageEdit"}
"""Without their final event they are cut, though a proxy has put ``[DONE]`` behind what it got."""
FAILED = "response.failed"
"""The final event by which the Responses API says that it gave up."""

DONE = b"[DONE]"
NO_REASONS = frozenset({"", "null", "None"})
"""What some upstreams write where the API has null."""

MOST_PARTS = 60_000
"""Brackets and braces of an event that is taken to pieces: twice those of a mebibyte of probabilities."""

_LAST = 256
"""Bytes at the end of a read among which ``[DONE]`` is looked for; comments may follow it."""
_ENDS = 64 * 1024
"""Bytes at either end of an event that is not taken to pieces."""
_REASON_KEY = b'"finish_reason"'
_SPELT = re.compile(rb'("finish_reason"\s*:\s*)null[^\r\n]{0,256}[\r\n]+\Z')
_REASON = re.compile(rb'"finish_reason"\s*:\s*"(?!"|null"|None")')
_SEVERAL = re.compile(rb'\[\s*["\[]')  # prompts; a list of numbers is one
_NEVER = b"\0"


class State(Enum):
    OPEN = "goes on"
    FINISHED = "all choices are finished: only the usage and [DONE] may follow"
    WHOLE = "over"
    FAILED = "an error, or a finish that is one"


class Course:
    """How far one stream has come, by the events that were shown to it. Pure: it is fed, and asked.

    After ``State.FAILED`` ``said`` is the error where one was told, and ``shown`` whether official clients raise on
    what told it.
    """

    __slots__ = (
        "_finals",
        "_finished",
        "_mark",
        "_open",
        "_operation",
        "_sign",
        "choices",
        "said",
        "shown",
        "state",
        "usual",
    )

    def __init__(self, operation: str, choices: int = 1) -> None:
        """``operation`` is what the upstream was asked for; ``choices`` how many of them."""
        self.choices = choices
        self.state = State.OPEN
        self.said: Said | None = None
        self.shown = False
        self.usual = _NEVER
        """How most of its events end; one that ends so finishes nothing."""
        self._operation = operation
        self._mark = "choices" if operation in CHAT else "type"
        self._finals = FINAL_EVENTS.get(operation, ())
        self._finished: set[Any] | None = None
        self._open: set[Any] = set()
        self._sign = _SIGNS.get(operation, _NEVER)
        if operation in CHAT:
            self._sign = _REASON_KEY if choices == 1 else b""

    def learn(self, event: bytes) -> None:
        """How this upstream spells that a choice is not finished: most of its events are told by that."""
        start = event.rfind(_REASON_KEY)
        if self._operation in CHAT and self.choices == 1 and (found := _SPELT.match(event, start)) is not None:
            self._sign = found[1] + b'"'
            self.usual = found[0]

    def notable(self, events: bytes) -> bool:
        """Whether whole events may hold anything that ``take`` must see. Cheap, for it is asked of nearly all."""
        rfind = events.rfind  # which is twice as fast as ``find`` on events
        return rfind(self._sign) >= 0 or rfind(b"error") >= 0 or rfind(DONE, -_LAST) >= 0

    def next_notable(self, events: bytes, start: int, ahead: dict[bytes, int]) -> int:
        """Where the first event behind ``start`` begins of which that is so; -1 where there is none.

        ``ahead`` is the caller's, empty at first and kept for the same ``events``: where each sign stands next, so that
        however many events there are none is looked through twice.
        """
        if not self._sign:
            return start
        first = len(events)
        for sign in (self._sign, b"error", DONE):
            at = ahead.get(sign)
            if at is None:  # from behind, which is twice as fast: most are not there, or once, near the end
                at = events.rfind(sign, start)
                if at < 0:
                    at = len(events)
                elif events.rfind(sign, start, at) >= 0:
                    at = events.find(sign, start)
            elif at < start:
                at = events.find(sign, start)
                at = len(events) if at < 0 else at
            ahead[sign] = at
            first = min(first, at)
        return start + last_boundary(events[start:first]) if first < len(events) else -1

    def take(self, event: Event, value: Any) -> State:
        """One event further; ``value`` is its data, decoded (None: no JSON, or a heavy one: its ends count)."""
        if value is None and is_heavy(event.data):
            return self.take_long(event.data[:_ENDS], event.data[-_ENDS:])
        if not isinstance(value, dict):
            if is_done(event):
                self.state = State.WHOLE if self._finished or self._operation not in SAY_THE_END else State.FAILED
            else:
                self._take_error(event, value)
        elif value.get(self._mark) and event.data.rfind(b"error") < 0 and event.name != b"error":
            self._take_answer(event, value)  # as nearly always, and told in next to no time
        elif not self._take_error(event, value):
            self._take_answer(event, value)
        return self.state

    def take_all(self, events: bytes) -> State:
        """The same for whatever events there are."""
        for event in events_in(events):
            if self.take(event, decoded(event.data)) is State.FAILED:
                break
        return self.state

    def take_long(self, beginning: bytes, ending: bytes) -> State:
        """The same for an event that was too long to be held, of which only the ends are known."""
        if any(pattern.search(beginning) or pattern.search(ending) for pattern in _patterns(self._finals)):
            self._end_one()
        elif self._operation in CHAT and _REASON.search(ending):
            self._finish(0)
        return self.state

    @property
    def is_doubtful(self) -> bool:
        """Whether a chat is over by ``[DONE]`` alone: no choice had finished."""
        return self.state is State.WHOLE and not self._finished and self._operation in CHAT

    def doubt(self, pieces: Sequence[bytes]) -> None:
        """A look at the last events before ``[DONE]``, where that is so: servers write it behind failures too, in words
        by which nobody looks for any while a stream goes on. A chunk of the answer right before it, or before its
        usage, leaves no doubt."""
        last = [_choices_of(event) for event in events_in(last_events(pieces, 2))][-2:]
        if None not in last and any(last):
            return
        self.said = error_in_events(last_events(pieces))
        if self.said is not None:
            self.state = State.FAILED

    def look_back(self, events: bytes) -> State:
        """A look at the last events again: one may have said that it is the end in another way than those before it."""
        return self.take_all(events) if self.choices == 1 else self.state

    @property
    def may_end(self) -> bool:
        """Whether the stream is whole if nothing more comes of it."""
        if self.state is State.OPEN:
            return self._operation not in CHAT | RUNS and (not self._finals or bool(self._finished))
        return self.state is not State.FAILED

    def _take_error(self, event: Event, value: Any) -> bool:
        self.said = _error_in(event, value)
        if self.said is None:
            return False
        self.shown = isinstance(value, dict) and (bool(value.get("error")) or value.get("type") == FAILED)
        self.state = State.FAILED
        return True

    def _take_answer(self, event: Event, value: dict[str, Any]) -> None:
        if self._mark == "choices":
            choices = value.get("choices")
            for choice in choices if isinstance(choices, list) else ():
                if isinstance(choice, dict):
                    self._take_choice(choice)
        elif (value.get("type") or event.name.decode("latin-1")) in self._finals:
            self._end_one()

    def _take_choice(self, choice: dict[str, Any]) -> None:
        index, reason = choice.get("index") or 0, choice.get("finish_reason")
        if not reason or finish_reason(choice) is None:
            if self._finished is None or index not in self._finished:
                self._open.add(index)
                self.state = State.OPEN if self.state is State.FINISHED else self.state
        elif reason in GAVE_UP:
            self.state = State.FAILED
        else:
            self._finish(index)

    def _finish(self, index: Any) -> None:
        self._open.discard(index)
        if self._number_finished(index) >= self.choices and self.state is State.OPEN and not self._open:
            self.state = State.FINISHED

    def _end_one(self) -> None:
        """Of images each has its own final event; anything else has one."""
        if self._number_finished(len(self._finished or ())) >= self.choices:
            self.state = State.WHOLE

    def _number_finished(self, index: Any) -> int:
        """With that one."""
        if self._finished is None:
            self._finished = set()
        self._finished.add(index)
        return len(self._finished)


def _choices_of(event: Event) -> list[Any] | None:
    """Of a chunk that says nothing of an error; None of anything else."""
    value = decoded(event.data) if event.data.rfind(b"error") < 0 else None
    choices = value.get("choices") if isinstance(value, dict) else None
    return choices if isinstance(choices, list) else None


def _error_in(event: Event, value: Any) -> Said | None:
    if event.error or (event.name == b"error" and value is None):
        return error_in_events(b"event: error\ndata: " + (event.error or event.data).replace(b"\n", b" ") + b"\n\n")
    return error_in_data(value, named_error=event.name == b"error")


def is_done(event: Event) -> bool:
    return event.data.startswith(DONE)


def finish_reason(choice: dict[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return reason if isinstance(reason, str) and reason not in NO_REASONS else None


def choices_asked(operation: str, payload: Payload) -> int:
    """How many choices, or images, a body asks for; 1 where it does not say, or not in a way that can be read."""
    asked = _read(payload.outline.get("n"), int)
    number = asked if asked is not None and asked > 0 else 1
    prompt = payload.outline.get("prompt") if operation == "createCompletion" else None
    if prompt is None or not _SEVERAL.match(prompt):
        return number
    return number * len(_read(prompt, list[msgspec.Raw]) or (prompt,))


def decoded(data: bytes) -> Any:
    """JSON as plain values; None where it is none, or has more parts than are taken to pieces."""
    if data == DONE or is_heavy(data):
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_heavy(data: bytes) -> bool:
    """Whether it would keep all other calls waiting to take it to pieces."""
    return len(data) > MOST_PARTS and data.count(b"{") + data.count(b"[") > MOST_PARTS


def _read(raw: msgspec.Raw | None, kind: Any) -> Any:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _patterns(names: tuple[str, ...]) -> list[re.Pattern[bytes]]:
    return [_type_of(name) for name in names]


def _type_of(name: str) -> re.Pattern[bytes]:
    return re.compile(rf'"type"\s*:\s*"{re.escape(name)}"'.encode())


_SIGNS = {
    "createResponse": b'"response"',  # the member of no other events than those that begin and end an answer
    "getResponse": b'"response"',
    "createImage": b".completed",
    "createImageEdit": b".completed",
    "createTranscription": b".done",
    "createSpeech": b".done",
}
