"""The events of a Responses stream as the chunks of a chat stream.

What accumulators of the official SDKs insist on: role, id, name and type come once, because some join what they get
again; calls are numbered 0, 1, 2 in the order in which they began; all annotations come in one chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .chat_answer import CALLS, chat_logprobs, citation, failure_in, finish_reason
from .response_objects import AN_ITEM, new_id
from .shapes import arguments_of, object_of, objects_of, seconds_of, text_of
from .usage import chat_usage
from .wire import encode

TERMINAL = ("response.completed", "response.incomplete")
Chunk = dict[str, Any]
Event = Mapping[str, Any]


class StreamFailed(Exception):
    """The upstream says that its stream failed; ``error`` is in OpenAI's shape.

    ``shown``: whether official clients raise on what said so; where they do not, it is said once more in their shape.
    """

    def __init__(self, error: Mapping[str, Any], *, shown: bool) -> None:
        super().__init__(error.get("message"))
        self.error = error
        self.shown = shown


class ChatStream:
    """One stream's translation: ``feed`` it whole events in their order, as decoded data.

    ``over`` once the final event came: then ``[DONE]`` is due. It keeps one entry per call and what the citations say.
    """

    def __init__(self, *, include_usage: bool, structured: bool = False, model: str = "", old: bool = False) -> None:
        """``model`` is named where the upstream names none. ``structured``: JSON was asked for, so that comments of the
        model's on what it does are no part of it. ``old``: it was asked with ``functions``.
        """
        self.over = False
        self._model = model
        self._old = old
        self._structured = structured
        self._asides: set[Any] = set()
        self._include_usage = include_usage
        self._frame: Chunk = {}
        self._around: tuple[bytes, ...] = ()
        self._calls: dict[Any, _Call] = {}
        self._citations: list[dict[str, Any]] = []
        self.kept = 0
        """Bytes of the citations, and some for each call and comment."""
        self.text_in_deltas = False
        """Whether texts come in pieces: then what tells one whole repeats it. Some servers tell texts whole."""
        self._whole: set[tuple[str, Any]] = set()
        """Kind and place of items that were told whole."""
        self._thoughts_in_deltas = False
        self._thought_at: tuple[Any, ...] = ()
        """Where what was thought last stands; empty where nothing was."""
        self._thinks_anew = False

    def feed(self, event: Event) -> Iterator[Chunk]:
        """The chunks that an event becomes. Raises ``StreamFailed``."""
        kind = event.get("type")
        error = event.get("error")
        if error or kind in ("error", "response.failed"):
            raise StreamFailed(failure_in(event), shown=bool(error) or kind != "error")
        handle = _HANDLERS.get(str(kind))
        if handle is not None:
            if not self._frame:
                yield from self._begin(event)
            yield from handle(self, event)
        elif kind in TERMINAL and not self.over:
            yield from self._end({"status": kind.removeprefix("response."), **object_of(event.get("response"))})

    def around_text(self) -> tuple[bytes, ...]:
        """What a chunk has before and behind a text, encoded, for texts that are told without being looked into; empty
        where they must be."""
        if self.over or not self._frame or self._asides:
            return ()
        if not self._around:
            chunk = encode(self._chunk({"content": ""}))
            before, _, behind = chunk.rpartition(b'""')
            self._around = (b"data: " + before, behind + b"\n\n")
        return self._around

    def _begin(self, event: Event) -> Iterator[Chunk]:
        response = object_of(event.get("response"))
        if not self._frame:
            self._frame = {
                "id": text_of(response.get("id")) or new_id("chatcmpl"),
                "object": "chat.completion.chunk",
                "created": seconds_of(response.get("created_at")),
                "model": response.get("model") or self._model,
            }
            yield self._chunk({"role": "assistant", "content": ""})

    def _text_delta(self, event: Event) -> Iterator[Chunk]:
        self.text_in_deltas = True
        return self._text(event)

    def _text_done(self, event: Event) -> Iterator[Chunk]:
        if not self.text_in_deltas and text_of(event.get("text")):
            self._tells_whole("message", _place(event))
            yield from self._text({**event, "delta": event["text"]})

    def _text(self, event: Event) -> Iterator[Chunk]:
        if self._is_aside(event):
            return
        chunk = self._chunk({"content": text_of(event.get("delta"))})
        if (logprobs := chat_logprobs(event.get("logprobs"))) is not None:
            chunk["choices"][0]["logprobs"] = logprobs
        yield chunk

    def _refusal_delta(self, event: Event) -> Iterator[Chunk]:
        self.text_in_deltas = True
        return self._refusal(event)

    def _refusal_done(self, event: Event) -> Iterator[Chunk]:
        if not self.text_in_deltas and text_of(event.get("refusal")):
            self._tells_whole("message", _place(event))
            yield from self._refusal({**event, "delta": event["refusal"]})

    def _refusal(self, event: Event) -> Iterator[Chunk]:
        if self._is_aside(event):
            return
        yield self._chunk({"refusal": text_of(event.get("delta"))})

    def _tells_whole(self, kind: str, place: Any) -> None:
        self._whole.add((kind, place))
        self.kept += AN_ITEM

    def _is_aside(self, event: Event) -> bool:
        """Whether it belongs to what the model says of what it does, where JSON was asked for."""
        return bool(self._asides) and _place(event) in self._asides

    def _thought_begins(self, event: Event) -> Iterator[Chunk]:
        self._thinks_anew = True
        yield from ()

    def _thought_delta(self, event: Event) -> Iterator[Chunk]:
        self._thoughts_in_deltas = True
        return self._thought(event)

    def _thought_done(self, event: Event) -> Iterator[Chunk]:
        if not self._thoughts_in_deltas and text_of(event.get("text")):
            self._tells_whole("reasoning", _place(event))
            yield from self._thought({**event, "delta": event["text"]})

    def _thought(self, event: Event) -> Iterator[Chunk]:
        """Thoughts of several parts or items have a blank line between them."""
        at = (_place(event), event.get("summary_index"), event.get("content_index"))
        if self._thought_at and (self._thinks_anew or at != self._thought_at):
            yield self._chunk({"reasoning_content": "\n\n"})
        self._thought_at, self._thinks_anew = at, False
        yield self._chunk({"reasoning_content": text_of(event.get("delta"))})

    def _item_begins(self, event: Event) -> Iterator[Chunk]:
        item = object_of(event.get("item"))
        if self._structured and item.get("phase") == "commentary":
            self._asides.add(_place(event))
            self.kept += AN_ITEM
        if item.get("type") in CALLS:
            call = self._calls[_place(event)] = _Call(len(self._calls), item)
            self.kept += AN_ITEM + len(call.given)
            yield from self._called(call, "", first=True)

    def _arguments(self, event: Event) -> Iterator[Chunk]:
        call = self._calls.get(_place(event))
        if call is not None and (text := text_of(event.get("delta"))):
            call.told = True
            yield from self._called(call, text)

    def _arguments_done(self, event: Event) -> Iterator[Chunk]:
        call = self._calls.get(_place(event))
        if call is not None:
            yield from self._called_whole(call, _said_in(event) or call.given)

    def _called_whole(self, call: _Call, whole: str) -> Iterator[Chunk]:
        if whole and not call.told:
            call.told = True
            yield from self._called(call, whole)

    def _item_ends(self, event: Event) -> Iterator[Chunk]:
        item, place = object_of(event.get("item")), _place(event)
        kind = item.get("type")
        if kind in CALLS:
            if place not in self._calls:
                yield from self._item_begins(event)
            yield from self._called_whole(self._calls[place], _said_in(item))
        elif kind == "message" and not self.text_in_deltas and (kind, place) not in self._whole:
            self._tells_whole(kind, place)
            yield from self._item_begins(event)
            yield from self._message(item, place)
        elif kind == "reasoning" and not self._thoughts_in_deltas and (kind, place) not in self._whole:
            self._tells_whole(kind, place)
            yield from self._thoughts(item, place)

    def _annotation(self, event: Event) -> Iterator[Chunk]:
        found = citation(object_of(event.get("annotation")))
        if found is not None and not self._is_aside(event):
            self._citations.append(found)
            self.kept += len(encode(found))
        yield from ()

    def _end(self, response: Mapping[str, Any]) -> Iterator[Chunk]:
        yield from self._begin({"response": response})
        yield from self._rest(objects_of(response.get("output")))
        if self._citations:
            yield self._chunk({"annotations": self._citations})
        self.over = True
        if isinstance(tier := response.get("service_tier"), str):
            self._frame = {**self._frame, "service_tier": tier}
        yield self._chunk({}, finish_reason(response, called=bool(self._calls), old=self._old))
        usage = response.get("usage")
        if self._include_usage and isinstance(usage, dict):
            yield {**self._frame, "choices": [], "usage": chat_usage(usage)}

    def _rest(self, output: list[dict[str, Any]]) -> Iterator[Chunk]:
        """What was not told before: some upstreams say in their final event alone what the model thought, or called."""
        told = {"message": self.text_in_deltas, "reasoning": bool(self._thought_at)}
        told |= dict.fromkeys(CALLS, bool(self._calls)) | {kind: True for kind, _ in self._whole}
        for call in self._calls.values():
            yield from self._called_whole(call, call.given)
        for place, item in enumerate(output):
            if not told.get(str(item.get("type")), True):
                yield from self._item_ends({"output_index": place, "item": item})

    def _thoughts(self, item: Mapping[str, Any], place: Any) -> Iterator[Chunk]:
        for number, part in enumerate(objects_of(item.get("summary")) or objects_of(item.get("content"))):
            yield from self._thought({"output_index": place, "summary_index": number, "delta": part.get("text")})

    def _message(self, item: Mapping[str, Any], place: Any) -> Iterator[Chunk]:
        for part in objects_of(item.get("content")):
            tell = self._refusal if part.get("type") == "refusal" else self._text
            said = {"output_index": place, "delta": part.get("refusal") or part.get("text")}
            yield from tell({**said, "logprobs": part.get("logprobs")})
            for annotation in objects_of(part.get("annotations")):
                yield from self._annotation({"output_index": place, "annotation": annotation})

    def _called(self, call: _Call, text: str, *, first: bool = False) -> Iterator[Chunk]:
        inner: dict[str, Any] = {call.holds: text}
        if self._old:
            if not call.index:
                yield self._chunk({"function_call": inner | ({"name": call.name} if first else {})})
            return
        delta: dict[str, Any] = {"index": call.index, call.kind: inner}
        if first:
            inner["name"] = call.name
            delta |= {"id": call.id, "type": call.kind}
        yield self._chunk({"tool_calls": [delta]})

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> Chunk:
        return {**self._frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


class _Call:
    __slots__ = ("given", "holds", "id", "index", "kind", "name", "told")

    def __init__(self, index: int, item: Mapping[str, Any]) -> None:
        self.index = index
        self.id = text_of(item.get("call_id")) or new_id("call")
        self.name = text_of(item.get("name"))
        custom = item.get("type") == "custom_tool_call"
        self.kind, self.holds = ("custom", "input") if custom else ("function", "arguments")
        self.given = _said_in(item)
        """Its arguments, where the item begins with them: they count where nothing else tells any."""
        self.told = False
        """Whether its arguments have been told."""


_HANDLERS: dict[str, Callable[[ChatStream, Event], Iterator[Chunk]]] = {
    "response.created": ChatStream._begin,
    "response.queued": ChatStream._begin,
    "response.in_progress": ChatStream._begin,
    "response.output_text.delta": ChatStream._text_delta,
    "response.output_text.done": ChatStream._text_done,
    "response.refusal.delta": ChatStream._refusal_delta,
    "response.refusal.done": ChatStream._refusal_done,
    "response.reasoning_summary_part.added": ChatStream._thought_begins,
    "response.reasoning_summary_text.delta": ChatStream._thought_delta,
    "response.reasoning_summary_text.done": ChatStream._thought_done,
    "response.reasoning_text.delta": ChatStream._thought_delta,
    "response.reasoning_text.done": ChatStream._thought_done,
    "response.output_item.added": ChatStream._item_begins,
    "response.function_call_arguments.delta": ChatStream._arguments,
    "response.custom_tool_call_input.delta": ChatStream._arguments,
    "response.function_call_arguments.done": ChatStream._arguments_done,
    "response.custom_tool_call_input.done": ChatStream._arguments_done,
    "response.output_item.done": ChatStream._item_ends,
    "response.output_text.annotation.added": ChatStream._annotation,
}
"""Everything else says nothing that a chat could: hosted tools at work, what was said already, said once more."""


def _place(event: Event) -> Any:
    """Where an event belongs: llama.cpp names items by their ids alone."""
    place = event.get("output_index")
    if place is None:
        place = event.get("item_id") or object_of(event.get("item")).get("id")
    return place if isinstance(place, int | str) else None


def _said_in(call: Mapping[str, Any]) -> str:
    """Arguments, or what a custom tool gets."""
    return arguments_of(call.get("arguments")) or text_of(call.get("input"))
