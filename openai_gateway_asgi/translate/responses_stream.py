"""The chunks of a chat stream as the events of a Responses stream.

Items open when there is something to say, so that an empty message stands before no call. A call stays open until the
stream ends or another item begins, because servers interleave calls. Ids are fixed when an item opens; what the final
event repeats are the very items that were told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .response_objects import AN_ITEM, Frame, ending, logprobs_of, thought_of, url_citation
from .responses_answer import Spaces
from .shapes import objects_of, said_in, seconds_of
from .streamed_items import Call, Item, Message, Reasoning, Telling, names_itself
from .usage import responses_usage
from .wire import encode

Event = dict[str, Any]


class ResponsesStream:
    """One stream's translation: ``feed`` it whole chunks in their order, then ``end`` it, or ``fail`` it.

    What it keeps is what was said, for the final event; ``kept`` is its size in characters. ``next_number`` is that of
    the next event.
    """

    def __init__(self, frame: Frame, *, custom_tools: Collection[str] = (), spaces: Spaces = {}) -> None:
        self.finish: str | None = None
        self.kept = 0
        self._frame = frame
        self._custom = custom_tools
        self._spaces = spaces
        self.next_number = 0
        self._begun = False
        self._items: list[Item] = []
        self._speaking: Message | Reasoning | None = None
        self._calls: dict[int, Call] = {}
        """By the index that the upstream gives them."""
        self._usage: Mapping[str, Any] | None = None

    def feed(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        """The events that a chunk becomes."""
        if not self._begun:
            self._frame.created = seconds_of(chunk.get("created"))
            yield from self.begin()
        tier = chunk.get("service_tier")
        if isinstance(tier, str):
            self._frame.service_tier = tier
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        for choice in objects_of(chunk.get("choices")):
            if not choice.get("index"):
                yield from self._take(choice)

    @property
    def place_of_text(self) -> bytes:
        """Where the text stands that is being said, as events have it; empty where none is."""
        return self._speaking.place_of_text if isinstance(self._speaking, Message) else b""

    def say(self, text: str) -> int:
        """Goes on with the text that is being said; gives the number of the event."""
        assert isinstance(self._speaking, Message)
        self._speaking.said.append(text)
        number = self.next_number
        self.next_number += 1
        self.kept += len(text)
        return number

    def begin(self) -> Iterator[Event]:
        self._begun = True
        for kind in ("response.created", "response.in_progress"):
            yield self._event(kind, response=self._frame.response("in_progress", []))

    def end(self) -> Iterator[Event]:
        """The proper end, with all that was said."""
        if not self._begun:
            yield from self.begin()
        status, incomplete = ending(self.finish)
        if not any(isinstance(item, Message | Call) for item in self._items):
            yield from self._speak(Message)
            assert isinstance(self._speaking, Message)
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
        delta: Mapping[str, Any] = given if isinstance(given, dict) else {}
        thought = thought_of(delta)
        if thought is not None:
            yield from self._speak(Reasoning)
            yield from self._told(self._speaking.text(thought))  # type: ignore[union-attr]
        if content := said_in(delta.get("content")):
            yield from self._speak(Message)
            yield from self._told(self._speaking.text(content, logprobs_of(choice)))  # type: ignore[union-attr]
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            yield from self._speak(Message)
            assert isinstance(self._speaking, Message)
            yield from self._told(self._speaking.refuse(refusal))
        for annotation in objects_of(delta.get("annotations")):
            found = url_citation(annotation)
            if found is not None and isinstance(self._speaking, Message):
                yield from self._told(self._speaking.annotate(found))
        for call in objects_of(delta.get("tool_calls")):
            yield from self._call(call)
        if isinstance(old := delta.get("function_call"), dict):
            yield from self._call({"index": -1, "function": old})
        finish = choice.get("finish_reason")
        if isinstance(finish, str) and finish not in ("", "null"):
            self.finish = finish

    def _speak(self, kind: type[Message] | type[Reasoning]) -> Iterator[Event]:
        """Makes the item that is spoken in be of this kind."""
        if not isinstance(self._speaking, kind):
            yield from self._stop_speaking()
            for call in self._calls.values():
                if call.opened and not call.closed and call.is_whole():
                    yield from self._close(call)
            yield from self._open(kind())

    def _call(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        index = self._index_of(delta)
        call = self._calls.get(index)
        if call is not None and call.is_another(delta):
            if not call.closed:
                yield from self._close(call)
            call = None
        if call is None:
            call = self._calls[index] = Call()
        if call.closed:
            return  # it was whole: what comes of it now repeats it
        call.learn(delta, self._custom, self._spaces)
        if extra := delta.get("extra_content"):
            self.kept += len(encode(extra))
        if not call.name:
            self.kept += AN_ITEM + len(call.waiting)
        elif not call.opened:
            yield from self._stop_speaking()
            yield from self._open(call)
        text = call.waiting
        if call.opened and text:
            call.waiting = ""
            yield from self._told(call.say(text))

    def _index_of(self, delta: Mapping[str, Any]) -> int:
        """Where a server gives none, what has an id of its own, or a name without one, is another call."""
        index = delta.get("index")
        if isinstance(index, int):
            return index
        for known, call in self._calls.items():
            if call.has_id(delta):
                return known
        last = max(self._calls, default=-1)
        return last if last in self._calls and not names_itself(delta) else last + 1

    def _stop_speaking(self) -> Iterator[Event]:
        if self._speaking is not None:
            yield from self._close(self._speaking)
            self._speaking = None

    def _open(self, item: Item) -> Iterator[Event]:
        item.index = len(self._items)
        self.kept += AN_ITEM
        item.opened = True
        self._items.append(item)
        if not isinstance(item, Call):
            self._speaking = item  # type: ignore[assignment]
        yield self._event("response.output_item.added", output_index=item.index, item=item.beginning())

    def _close(self, item: Item, status: str = "completed") -> Iterator[Event]:
        yield from self._told(item.close(status))
        yield self._event("response.output_item.done", output_index=item.index, item=item.whole)

    def _told(self, events: Telling) -> Iterator[Event]:
        for kind, members in events:
            self.kept += len(members.get("delta") or "")
            yield self._event(kind, **members)

    def _event(self, kind: str, **members: Any) -> Event:
        event = {"type": kind, "sequence_number": self.next_number, **members}
        self.next_number += 1
        return event
