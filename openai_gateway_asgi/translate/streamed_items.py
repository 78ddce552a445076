"""The output items of a Responses stream: what each tells, piece by piece, and what it is when it is whole.

What is told is an event's type with its members; the stream numbers it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .response_objects import (
    call_item,
    message_item,
    new_id,
    reasoning_item,
    refusal_part,
    text_part,
)
from .responses_answer import Spaces, input_of
from .shapes import arguments_of, object_of, text_of

Telling = Iterator[tuple[str, dict[str, Any]]]

MOST_LOOKS = 64
"""At the arguments of one call, whether they are whole: a stream may take turns without end."""


class Item:
    """One output item: what it tells, and what it is when it is whole."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.index = 0
        self.opened = False
        self.closed = False
        self.whole: dict[str, Any] = {}

    def beginning(self) -> dict[str, Any]:
        raise NotImplementedError

    def close(self, status: str) -> Telling:
        raise NotImplementedError

    def _place(self, **more: int) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, **more}


class Message(Item):
    """Its parts: a text, a refusal, or both in the order in which they began."""

    def __init__(self) -> None:
        super().__init__(new_id("msg"))
        self._parts: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.place_of_text = b""
        """Of the text that is being told, as events have it; empty where none is."""

    def beginning(self) -> dict[str, Any]:
        return message_item(self.id, [], "in_progress")

    def text(self, text: str, logprobs: list[Any] | None = None) -> Telling:
        yield from self._part("output_text")
        self.said.append(text)
        self._parts[-1]["logprobs"] += logprobs or []
        yield "response.output_text.delta", {**self._at(), "delta": text, "logprobs": logprobs or []}

    def refuse(self, text: str) -> Telling:
        yield from self._part("refusal")
        self.said.append(text)
        yield "response.refusal.delta", {**self._at(), "delta": text}

    def annotate(self, annotation: dict[str, Any]) -> Telling:
        if self._parts and self._parts[-1]["type"] == "output_text":
            found = self._parts[-1]["annotations"]
            found.append(annotation)
            place = {**self._at(), "annotation_index": len(found) - 1}
            yield "response.output_text.annotation.added", {**place, "annotation": annotation}

    def close(self, status: str) -> Telling:
        self.closed = True
        yield from self._end_part()
        self.whole = message_item(self.id, self._parts, status)

    def _part(self, kind: str) -> Telling:
        if self._parts and self._parts[-1]["type"] == kind:
            return
        yield from self._end_part()
        self._parts.append(text_part("") if kind == "output_text" else refusal_part(""))
        if kind == "output_text":
            self.place_of_text = _PLACE % (self.id.encode(), self.index, len(self._parts) - 1)
        yield "response.content_part.added", {**self._at(), "part": dict(self._parts[-1])}

    def _end_part(self) -> Telling:
        if not self._parts:
            return
        part, said = self._parts[-1], "".join(self.said)
        self.said, self.place_of_text = [], b""
        if part["type"] == "output_text":
            part["text"] = said
            yield "response.output_text.done", {**self._at(), "text": said, "logprobs": part["logprobs"]}
        else:
            part["refusal"] = said
            yield "response.refusal.done", {**self._at(), "refusal": said}
        yield "response.content_part.done", {**self._at(), "part": part}

    def _at(self) -> dict[str, Any]:
        return self._place(content_index=len(self._parts) - 1)


_PLACE = b'"item_id":"%b","output_index":%d,"content_index":%d'


class Reasoning(Item):
    def __init__(self) -> None:
        super().__init__(new_id("rs"))
        self._said: list[str] = []

    def beginning(self) -> dict[str, Any]:
        return reasoning_item(self.id, None, "in_progress")

    def text(self, text: str, logprobs: list[Any] | None = None) -> Telling:
        place = self._place(summary_index=0)
        if not self._said:
            part = {"type": "summary_text", "text": ""}
            yield "response.reasoning_summary_part.added", {**place, "part": part}
        self._said.append(text)
        yield "response.reasoning_summary_text.delta", {**place, "delta": text}

    def close(self, status: str) -> Telling:
        self.closed = True
        place, said = self._place(summary_index=0), "".join(self._said)
        yield "response.reasoning_summary_text.done", {**place, "text": said}
        yield "response.reasoning_summary_part.done", {**place, "part": {"type": "summary_text", "text": said}}
        self.whole = reasoning_item(self.id, said, status)


class Call(Item):
    def __init__(self) -> None:
        super().__init__("")
        self.name = ""
        self.waiting = ""
        """Arguments that were not told yet."""
        self._call_id = ""
        self._space = ""
        self._extra: Any = None
        self._custom = False
        self._as_function = False
        self._said: list[str] = []
        self._looks = 0
        """How often it was looked whether it is whole."""

    def has_id(self, delta: Mapping[str, Any]) -> bool:
        return bool(self._call_id) and delta.get("id") == self._call_id

    def is_another(self, delta: Mapping[str, Any]) -> bool:
        """Whether a delta at the same index begins another call: some servers give all calls one index, others a new id
        to each piece of the same call, or the name. Without an id it is another where this one was whole."""
        if not self.name or not _name_in(delta):
            return False
        if id := text_of(delta.get("id")):
            return id != self._call_id
        return _arguments_in(delta).startswith("{") and self.is_whole()

    def is_whole(self) -> bool:
        """Whether there is nothing more to come of its arguments, as far as a few looks tell."""
        if self._custom and not self._as_function:
            return True
        self._looks += 1
        if self._looks > MOST_LOOKS:
            return False
        try:
            json.loads("".join(self._said))
        except ValueError:
            return False
        return True

    def learn(self, delta: Mapping[str, Any], custom_tools: Collection[str], spaces: Spaces) -> None:
        """Some servers repeat id and name with every delta; the first ones count."""
        if not self._call_id:
            self._call_id = text_of(delta.get("id"))
        self._extra = self._extra or delta.get("extra_content")
        inner = _inner(delta)
        if not self.name and (name := text_of(inner.get("name"))):
            self._space, self.name = spaces.get(name, ("", name))
            is_custom = isinstance(delta.get("custom"), dict)
            self._as_function = name in custom_tools and not is_custom
            self._custom = self._as_function or is_custom
            self.id = new_id("ctc" if self._custom else "fc")
            self._call_id = self._call_id or new_id("call")
        self.waiting += _arguments_in(delta)

    def beginning(self) -> dict[str, Any]:
        return self._item("", "in_progress")

    def say(self, text: str) -> Telling:
        self._said.append(text)
        if not self._as_function:  # the text of one that was asked as a function stands inside its arguments
            yield f"{self._events()}.delta", {**self._place(), "delta": text}

    def close(self, status: str) -> Telling:
        self.closed = True
        said = "".join(self._said)
        if self._as_function:
            said = input_of(said)
            yield f"{self._events()}.delta", {**self._place(), "delta": said}
        if self._custom:
            yield f"{self._events()}.done", {**self._place(), "input": said}
        else:
            yield f"{self._events()}.done", {**self._place(), "arguments": said, "name": self.name}
        self.whole = self._item(said, status)

    def _events(self) -> str:
        return "response.custom_tool_call_input" if self._custom else "response.function_call_arguments"

    def _item(self, said: str, status: str) -> dict[str, Any]:
        more = {"custom": self._custom, "space": self._space, "extra": self._extra}
        return call_item(self.id, self._call_id, self.name, said, status, **more)


def names_itself(delta: Mapping[str, Any]) -> bool:
    """Whether a delta of a call says which one it is."""
    return bool(text_of(delta.get("id")) or _name_in(delta))


def _name_in(delta: Mapping[str, Any]) -> str:
    return text_of(_inner(delta).get("name"))


def _arguments_in(delta: Mapping[str, Any]) -> str:
    inner = _inner(delta)
    said = inner.get("arguments")
    return arguments_of(inner.get("input") if said is None else said)


def _inner(delta: Mapping[str, Any]) -> dict[str, Any]:
    custom = delta.get("custom")
    return custom if isinstance(custom, dict) else object_of(delta.get("function"))
