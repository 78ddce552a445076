"""The chunks of a chat stream as the events of a Responses stream.

Items open when there is something to say, so that an empty message stands before no call. A call stays open until the
stream ends or another item begins, because servers interleave calls. Ids are fixed when an item opens; what the final
event repeats are the very items that were told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .response_objects import (
    Frame,
    call_item,
    custom_call_item,
    ending,
    message_item,
    new_id,
    reasoning_item,
    refusal_part,
    text_part,
    thought_of,
    url_citation,
)
from .responses_answer import input_of
from .usage import responses_usage

Event = dict[str, Any]


class ResponsesStream:
    """One stream's translation: ``feed`` it whole chunks in their order, then ``end`` it, or ``fail`` it.

    What it keeps is what was said, for the final event; ``kept`` is its size in characters.
    """

    def __init__(self, frame: Frame, *, custom_tools: Collection[str] = ()) -> None:
        self.finish: str | None = None
        self.kept = 0
        self._frame = frame
        self._custom = custom_tools
        self._sequence = 0
        self._begun = False
        self._items: list[_Item] = []
        self._speaking: _Message | _Reasoning | None = None
        self._calls: dict[int, _Call] = {}
        self._usage: Mapping[str, Any] | None = None

    def feed(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """The events that a chunk becomes."""
        if not self._begun:
            created = chunk.get("created")
            self._frame.created = int(created) if isinstance(created, int | float) else 0
            yield from self.begin()
        tier = chunk.get("service_tier")
        if isinstance(tier, str):
            self._frame.service_tier = tier
        usage = chunk.get("usage")
        if isinstance(usage, Mapping):
            self._usage = usage
        for choice in chunk.get("choices") or ():
            if isinstance(choice, Mapping) and not choice.get("index"):
                yield from self._take(choice)

    def begin(self) -> Iterator[Event]:
        self._begun = True
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=self._frame.response("in_progress", []))

    def end(self) -> Iterator[Event]:
        """The proper end, with all that was said."""
        if not self._begun:
            yield from self.begin()
        status, incomplete = ending(self.finish)
        if not self._items:
            yield from self._open(_Message(status))
            assert isinstance(self._speaking, _Message)
            yield from self._told(self._speaking.text(""))
        for item in self._items:
            if not item.closed:
                yield from self._close(item, status)
        output = [item.whole for item in self._items]
        usage = None if self._usage is None else responses_usage(self._usage)
        yield self._event(
            f"response.{status}", response=self._frame.response(status, output, usage=usage, incomplete=incomplete)
        )

    def error(self, error: Mapping[str, Any]) -> Event:
        """An error in the middle, nested for the SDKs that raise on it, and flat as OpenAI's own API has it. No final
        event may follow."""
        flat = {name: error.get(name) for name in ("code", "message", "param")}
        return self._event("error", **flat, error=dict(error))

    def _take(self, choice: Mapping[str, Any]) -> Iterator[Event]:
        given = choice.get("delta")
        delta: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        thought = thought_of(delta)
        if thought is not None:
            yield from self._speak(_Reasoning)
            yield from self._told(self._speaking.text(thought))  # type: ignore[union-attr]
        content = delta.get("content")
        if isinstance(content, str) and content:
            yield from self._speak(_Message)
            logprobs = choice.get("logprobs")
            entries = logprobs.get("content") if isinstance(logprobs, Mapping) else None
            yield from self._told(self._speaking.text(content, entries or []))  # type: ignore[union-attr]
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            yield from self._speak(_Message)
            assert isinstance(self._speaking, _Message)
            yield from self._told(self._speaking.refuse(refusal))
        for annotation in delta.get("annotations") or ():
            found = url_citation(annotation) if isinstance(annotation, Mapping) else None
            if found is not None and isinstance(self._speaking, _Message):
                yield from self._told(self._speaking.annotate(found))
        for call in delta.get("tool_calls") or ():
            if isinstance(call, Mapping):
                yield from self._call(call)
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish not in ("", "null"):
            self.finish = finish

    def _speak(self, kind: type[_Message] | type[_Reasoning]) -> Iterator[Event]:
        """Makes the item that is spoken in be of this kind."""
        if not isinstance(self._speaking, kind):
            yield from self._stop_speaking()
            for call in self._calls.values():
                if not call.closed and call.opened:
                    yield from self._close(call)
            yield from self._open(kind())

    def _call(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        index = delta.get("index")
        number = index if isinstance(index, int) else max(self._calls, default=-1) + 1
        call = self._calls.get(number)
        if call is None:
            call = self._calls[number] = _Call()
        call.learn(delta, self._custom)
        if not call.opened and call.name:
            yield from self._stop_speaking()
            yield from self._open(call)
        text = call.waiting
        if call.opened and text:
            call.waiting = ""
            yield from self._told(call.say(text))

    def _stop_speaking(self) -> Iterator[Event]:
        if self._speaking is not None:
            yield from self._close(self._speaking)
            self._speaking = None

    def _open(self, item: _Item) -> Iterator[Event]:
        item.index = len(self._items)
        item.opened = True
        self._items.append(item)
        if not isinstance(item, _Call):
            self._speaking = item  # type: ignore[assignment]
        yield self._event("response.output_item.added", output_index=item.index, item=item.beginning())

    def _close(self, item: _Item, status: str = "completed") -> Iterator[Event]:
        yield from self._told(item.close(status))
        yield self._event("response.output_item.done", output_index=item.index, item=item.whole)

    def _told(self, events: Iterator[tuple[str, Event]]) -> Iterator[Event]:
        for kind, members in events:
            self.kept += len(members.get("delta") or "")
            yield self._event(kind, **members)

    def _event(self, kind: str, **members: Any) -> Event:
        event = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return event


Telling = Iterator[tuple[str, Event]]


class _Item:
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


class _Message(_Item):
    """Its parts: a text, a refusal, or both in the order in which they began."""

    def __init__(self, status: str = "in_progress") -> None:
        super().__init__(new_id("msg"))
        self._parts: list[dict[str, Any]] = []
        self._said: list[str] = []

    def beginning(self) -> dict[str, Any]:
        return message_item(self.id, [], "in_progress")

    def text(self, text: str, logprobs: list[Any] | None = None) -> Telling:
        yield from self._part("output_text")
        self._said.append(text)
        self._parts[-1]["logprobs"] += logprobs or []
        yield "response.output_text.delta", {**self._at(), "delta": text, "logprobs": logprobs or []}

    def refuse(self, text: str) -> Telling:
        yield from self._part("refusal")
        self._said.append(text)
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
        yield "response.content_part.added", {**self._at(), "part": dict(self._parts[-1])}

    def _end_part(self) -> Telling:
        if not self._parts:
            return
        part, said = self._parts[-1], "".join(self._said)
        self._said = []
        if part["type"] == "output_text":
            part["text"] = said
            yield "response.output_text.done", {**self._at(), "text": said, "logprobs": part["logprobs"]}
        else:
            part["refusal"] = said
            yield "response.refusal.done", {**self._at(), "refusal": said}
        yield "response.content_part.done", {**self._at(), "part": part}

    def _at(self) -> dict[str, Any]:
        return self._place(content_index=len(self._parts) - 1)


class _Reasoning(_Item):
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


class _Call(_Item):
    def __init__(self) -> None:
        super().__init__("")
        self.name = ""
        self.waiting = ""
        """Arguments that were not told yet."""
        self._call_id = ""
        self._custom = False
        self._as_function = False
        self._said: list[str] = []

    def learn(self, delta: Mapping[str, Any], custom_tools: Collection[str]) -> None:
        """Some servers repeat id and name with every delta; the first ones count."""
        if not self._call_id:
            self._call_id = delta.get("id") or ""
        inner = delta.get("custom") if isinstance(delta.get("custom"), Mapping) else delta.get("function")
        if not isinstance(inner, Mapping):
            return
        if not self.name and inner.get("name"):
            self.name = inner["name"]
            self._as_function = self.name in custom_tools and "custom" not in delta
            self._custom = self._as_function or "custom" in delta
            self.id = new_id("ctc" if self._custom else "fc")
            self._call_id = self._call_id or new_id("call")
        self.waiting += inner.get("arguments") or inner.get("input") or ""

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
        build = custom_call_item if self._custom else call_item
        return build(self.id, self._call_id, self.name, said, status)
