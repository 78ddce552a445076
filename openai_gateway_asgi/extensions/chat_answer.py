"""A chat completion made of what a handler gives: as a stream of events, or whole."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec

from ..errors import GatewayError
from ..host.usage import Usage
from ..http.stages import EventsOnly
from .pieces import Chunk, NotAPiece, Reasoning, ToolCall, arguments_of, chat_usage, chunk_of, plain

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class TooLong(GatewayError):
    """An answer that is gathered whole has a bound."""


class Answer(Protocol):
    """What is made of the pieces."""

    def add(self, piece: object) -> bytes:
        """What is to be sent now. Raises ``NotAPiece``."""

    def end(self) -> bytes:
        """What is to be sent at the end."""


class Frame:
    """What all chunks of one answer have in common, and how far its choices have come."""

    def __init__(self, id: str, model: str) -> None:
        self.head = {"id": f"chatcmpl-{id}", "created": int(time.time()), "model": model}
        self.usage: Mapping[str, Any] | None = None
        self._calls: Counter[int] = Counter()
        self._numbers: dict[tuple[int, int], tuple[str, int]] = {}
        """Of calls of tools in chunks, by their choice and their number there: the id, and the number here."""
        self._called: set[int] = set()
        self._finishes: dict[int, str] = {}
        """Why choices of chunks that were passed on have finished: it is said at the end, for more may come."""
        self.introduced: set[int] = set()
        """The choices whose role has been told: clients put the texts of deltas together, this one too."""
        self.seen: set[int] = set()
        """The choices that something came of."""

    def chunks(self, piece: object) -> Iterator[Chunk]:
        """The chunks that a piece becomes. Usage becomes none: it is kept for the end."""
        if isinstance(piece, str):
            yield self._delta({"content": piece})
        elif isinstance(piece, Reasoning):
            yield self._delta({"reasoning_content": piece.text})
        elif isinstance(piece, ToolCall):
            yield self._delta({"tool_calls": [self._call(piece)]})
        elif isinstance(piece, Usage):
            self.usage = chat_usage(piece)
        else:
            yield from self._given(plain(piece))

    def ending(self) -> list[Chunk]:
        """The chunk that finishes all choices."""
        return [
            {
                "choices": [
                    {"index": index, "delta": {}, "finish_reason": self._finish(index)}
                    for index in sorted(self.seen or {0})
                ]
            }
        ]

    def _finish(self, index: int) -> str:
        told = self._finishes.get(index, "stop")
        return "tool_calls" if told == "stop" and index in self._called else told

    def _given(self, value: Mapping[str, Any]) -> Iterator[Chunk]:
        if "choices" not in value and (value.get("type") or value.get("role")):
            yield self._said(value)
            return
        if "choices" not in value and ("prompt_tokens" in value or "completion_tokens" in value):
            self.usage = value
            return
        chunk = chunk_of(value)
        if isinstance(usage := chunk.get("usage"), Mapping):
            self.usage = usage
        for choice in chunk["choices"]:
            index, delta = choice["index"], choice["delta"]
            self.seen.add(index)
            if reason := choice.get("finish_reason"):
                self._finishes[index] = reason
                choice["finish_reason"] = None
            if isinstance(calls := delta.get("tool_calls"), list) and calls:
                self._called.add(index)
                delta = {**delta, "tool_calls": [self._renumbered(index, call) for call in calls]}
            choice["delta"] = self._introduced(index, delta)
        if said := [choice for choice in chunk["choices"] if _says_something(choice)]:
            yield {"choices": said}

    def _said(self, value: Mapping[str, Any]) -> Chunk:
        """A message of the SDK's, or a call of a tool in one, that a handler passes on."""
        delta = value if value.get("role") == "assistant" else {"tool_calls": [value]}
        if calls := delta.get("tool_calls"):
            delta = {**delta, "tool_calls": [self._numbered(call) for call in calls]}
            self._called.add(0)
        return self._delta(self._introduced(0, delta))

    def _introduced(self, index: int, delta: Mapping[str, Any]) -> Mapping[str, Any]:
        """Without a role that has been told already."""
        if "role" not in delta:
            return delta
        if index in self.introduced:
            return {name: value for name, value in delta.items() if name != "role"}
        self.introduced.add(index)
        return delta

    def _numbered(self, call: Any) -> Mapping[str, Any]:
        """A call in a message, or one that stands alone."""
        if not isinstance(call, Mapping) or not isinstance(call.get(call.get("type") or "function"), Mapping):
            raise NotAPiece("a mapping that is no chunk, no message and no call of a tool")
        return self._renumbered(0, call)

    def _renumbered(self, choice: int, call: Any) -> Mapping[str, Any]:
        """A call, or a piece of one. Several streams that are passed on number theirs from 0 each, so that one of
        another id is another call; what has no number is whole."""
        if not isinstance(call, Mapping):
            raise NotAPiece("a chunk with a call of a tool that is no object")
        number, id = call.get("index"), call.get("id") or ""
        if not isinstance(number, int):
            return {**call, "index": self._next_call(choice)}
        known = self._numbers.get((choice, number))
        if known is None or (id and known[0] and id != known[0]):
            known = id, self._next_call(choice)
        self._numbers[choice, number] = known[0] or id, known[1]
        return {**call, "index": known[1]}

    def _next_call(self, choice: int) -> int:
        number = self._calls[choice]
        self._calls[choice] += 1
        return number

    def _call(self, call: ToolCall) -> dict[str, Any]:
        self._called.add(0)
        function = {"name": call.name, "arguments": arguments_of(call)}
        return {
            "index": self._next_call(0),
            "id": call.id or f"call_{secrets.token_hex(12)}",
            "type": "function",
            "function": function,
        }

    def _delta(self, delta: Mapping[str, Any]) -> Chunk:
        self.seen.add(0)
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def _says_something(choice: Chunk) -> bool:
    """Whether there is more in it than that it has finished."""
    return any(value for name, value in choice.items() if name != "index")


class Streamed:
    """As events."""

    def __init__(self, id: str, model: str) -> None:
        self.usage_event = b""
        """The event that tells the usage, once it has been said."""
        self._frame = Frame(id, model)
        self._begun = False
        head = {**self._frame.head, "object": "chat.completion.chunk"}
        self._prefix = b"data: " + _encode(head)[:-1] + b","
        self._text = self._prefix + b'"choices":[{"index":0,"delta":{"content":'

    def add(self, piece: object) -> bytes:
        if self._begun and type(piece) is str:  # as nearly always
            self._frame.seen.add(0)
            return self._text + _encode(piece) + b'},"finish_reason":null}]}\n\n'
        return self._first() + b"".join([self._event(each) for each in self._frame.chunks(piece)])

    def end(self) -> bytes:
        events = [self._first(), *map(self._event, self._frame.ending())]
        if self._frame.usage is not None:
            self.usage_event = self._event({"choices": [], "usage": self._frame.usage})
            events.append(self.usage_event)
        return b"".join((*events, DONE))

    def _first(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        self._frame.introduced.add(0)
        delta = {"role": "assistant", "content": ""}
        return self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})

    def _event(self, chunk: Chunk) -> bytes:
        return self._prefix + _encode(chunk)[1:] + b"\n\n"


class Whole:
    """As one JSON object, of up to ``most`` bytes."""

    def __init__(self, id: str, model: str, *, most: int) -> None:
        self._frame = Frame(id, model)
        self._choices: dict[int, Gathered] = {}
        self._room = most

    def add(self, piece: object) -> bytes:
        for chunk in self._frame.chunks(piece):
            self._room -= len(_encode(chunk))
            if self._room < 0:
                raise TooLong("The model's answer is too long to be given whole; ask for a stream.")
            for choice in chunk["choices"]:
                self._choices.setdefault(choice["index"], Gathered()).add(choice)
        return b""

    def end(self) -> bytes:
        for chunk in self._frame.ending():
            for choice in chunk["choices"]:
                self._choices.setdefault(choice["index"], Gathered()).add(choice)
        answer: dict[str, Any] = {**self._frame.head, "object": "chat.completion"}
        answer["choices"] = [{"index": index, **self._choices[index].choice()} for index in sorted(self._choices)]
        if self._frame.usage is not None:
            answer["usage"] = self._frame.usage
        return _encode(answer)


class Gathered:
    """One choice, put together from its deltas."""

    def __init__(self) -> None:
        self.finish_reason: Any = None
        self._texts: dict[str, list[str]] = {}
        self._parts: dict[str, list[Any]] = {}
        self._rest: dict[str, Any] = {}
        self._calls: dict[Any, dict[str, Any]] = {}
        self._called: dict[str, list[str]] = {}
        self._logprobs: list[Any] | None = None

    def add(self, choice: Mapping[str, Any]) -> None:
        for name, value in choice["delta"].items():
            if name == "tool_calls":
                self._add_calls(value)
            elif name == "function_call" and isinstance(value, Mapping):
                self._add_call(self._called, value)
            elif isinstance(value, str) and name != "role":
                self._texts.setdefault(name, []).append(value)
            elif isinstance(value, list):
                self._parts.setdefault(name, []).extend(value)
            elif value is not None and name != "role":
                self._rest[name] = value
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, Mapping) and isinstance(logprobs.get("content"), list):
            if self._logprobs is None:
                self._logprobs = []
            self._logprobs += logprobs["content"]

    def choice(self) -> dict[str, Any]:
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None,
            "refusal": None,
            **texts,
            **self._rest,
            **self._parts,
        }
        if self._called:
            message["function_call"] = _joined(self._called)
        if self._calls:
            message["tool_calls"] = self.tool_calls()
            message["content"] = message["content"] or None
        logprobs = None if self._logprobs is None else {"content": self._logprobs, "refusal": None}
        return {"message": message, "logprobs": logprobs, "finish_reason": self.finish_reason}

    def tool_calls(self) -> list[dict[str, Any]]:
        return [{**call, call["type"]: _joined(call[call["type"]])} for call in self._calls.values()]

    def _add_calls(self, calls: Any) -> None:
        for delta in calls if isinstance(calls, list) else ():
            if not isinstance(delta, Mapping):
                continue
            call = self._calls.setdefault(delta.get("index", len(self._calls)), {"id": None, "type": "function"})
            if delta.get("id"):
                call["id"] = delta["id"]
            kind = call["type"] = delta.get("type") or call["type"]
            self._add_call(call.setdefault(kind, {}), delta.get(kind) or {})

    def _add_call(self, told: dict[str, list[str]], delta: Mapping[str, Any]) -> None:
        for name, text in delta.items():
            if isinstance(text, str):
                told.setdefault(name, []).append(text)


def _joined(texts: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: "".join(pieces) for name, pieces in texts.items()}


class UsageUntold(EventsOnly):
    """A stage that takes out the usage's event, for a client that did not ask for it. The gateway reads the usage
    before the stages."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Streamed) -> None:
        self._answer = answer

    def events(self, events: bytes) -> bytes:
        told = self._answer.usage_event
        return events.replace(told, b"") if told else events
