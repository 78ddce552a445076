"""Responses streams of servers that leave out or mix up what the official clients' accumulators rely on.

What is sent is passed on; what is missing is put in: numbers, ids, the events that open an item or a part, and in the
final event the items that were told. Ollama opens no parts of reasoning; transformers opens no parts at all, tells
calls whole and skips places; llama.cpp gives no places and begins anew with each piece; vLLM has other ids at the end;
some number nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .response_events import (
    ARGUMENTS,
    CALLS,
    DELTAS,
    HELD,
    ID_KINDS,
    IN_PARTS,
    INPUT,
    LIFECYCLE,
    NAMES,
    OPENING,
    REFUSAL,
    REQUIRED,
    SUMMARY,
    TELLING,
    TERMINAL,
    TEXT,
    THOUGHT,
    Told,
)
from .response_objects import AN_ITEM, new_id
from .shapes import text_of

Event = dict[str, Any]


@dataclass(slots=True)
class Item:
    index: int
    whole: dict[str, Any]
    opened: bool = False
    done: bool = False
    parts: set[tuple[str, int]] = field(default_factory=set)
    said: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return str(self.whole.get("type"))

    def text(self, at: tuple[str, int]) -> str:
        return "".join(self.said.get(at, ()))


class Repair:
    """One stream's: ``feed`` it decoded events in their order. ``kept`` is how much it keeps, in characters;
    ``next_number`` that of the next event."""

    def __init__(self) -> None:
        self.kept = 0
        self.next_number = 0
        self._id = ""
        self._begun: set[str] = set()
        self._items: list[Item] = []
        self._by_place: dict[Any, Item] = {}

    def feed(self, event: Mapping[str, Any]) -> Iterator[Event]:
        for told in self._mended(dict(event)):
            yield {**told, "sequence_number": self.next_number}
            self.next_number += 1

    def _mended(self, event: Event) -> Iterator[Event]:
        kind = text_of(event.get("type"))
        if kind in LIFECYCLE:
            yield from self._lifecycle(event)
            return
        if not self.next_number and kind.startswith("response."):
            yield from self._lifecycle({"type": "response.created", "response": {"status": "in_progress"}})
        if kind == "response.output_item.added":
            yield from self._added(event)
        elif kind == "response.output_item.done":
            yield from self._done(event)
        elif kind in OPENING:
            yield from self._part_added(event, OPENING[kind])
        elif (told := TELLING.get(kind)) is not None:
            yield from self._tells(event, told)
        else:
            yield self._placed(event)

    def _lifecycle(self, event: Event) -> Iterator[Event]:
        if event["type"] in self._begun:
            return  # said once more
        self._begun.add(event["type"])
        given = event.get("response")
        response = {**REQUIRED, **(given if isinstance(given, dict) else {})}
        self._id = response["id"] = self._id or text_of(response.get("id")) or new_id("resp")
        if not self.next_number and event["type"] != "response.created":
            begun = {**response, "status": "in_progress", "output": [], "usage": None}
            yield {"type": "response.created", "response": begun}
        if event["type"] in TERMINAL:
            output = response["output"] if isinstance(response["output"], list) else []
            yield from self._rest([item for item in output if isinstance(item, dict)])
            response["output"] = [item.whole for item in self._items]
        yield {**event, "response": response}

    def _rest(self, output: list[dict[str, Any]]) -> Iterator[Event]:
        """Items that were never told, and the ends of those that were told and not ended."""
        known = set()
        for item in self._items[:]:
            match = self._match(item, output)
            known.add(id(match))
            if not item.done:
                yield from self._finish(item, match or {})
        for whole in output:
            if id(whole) not in known and (not self._items or not _is_empty(whole)):
                yield from self._done({"type": "response.output_item.done", "item": whole, "output_index": _Place()})

    def _added(self, event: Event) -> Iterator[Event]:
        given = event.get("item")
        item = self._new(given if isinstance(given, dict) else {"type": "message"}, event.get("output_index"))
        if item.kind in CALLS and not item.whole.get("name"):
            return  # it is told once its name is known
        yield self._opening(item)

    def _opening(self, item: Item) -> Event:
        item.opened = True
        begun = dict(item.whole)
        if (held := HELD.get(item.kind)) is not None:
            begun[held] = "" if item.kind in CALLS else []
        if "status" in begun or item.kind in HELD:
            begun["status"] = "in_progress"
        return {"type": "response.output_item.added", "output_index": item.index, "item": begun}

    def _part_added(self, event: Event, at: str) -> Iterator[Event]:
        part = event.get("part")
        of_reasoning = at == "summary_index" or (isinstance(part, dict) and part.get("type") == "reasoning_text")
        item = yield from self._item(event, "reasoning" if of_reasoning else "message")
        place = (at, _index(event, at))
        if place not in item.parts:
            item.parts.add(place)
            if isinstance(part, dict) and part.get("type") == "output_text":
                event["part"] = {"annotations": [], "logprobs": [], **part}
            yield self._at(event, item, place)

    def _tells(self, event: Event, told: Told, item: Item | None = None) -> Iterator[Event]:
        if item is None:
            item = yield from self._item(event, told.item)
        place = (told.at, _index(event, told.at)) if told.part else ("", 0)
        is_delta = str(event["type"]).endswith(".delta")
        text = event.get("delta" if is_delta else told.holds)
        text = text if isinstance(text, str) else ""
        if told.part and place not in item.parts:
            item.parts.add(place)
            empty: dict[str, Any] = {"type": told.part, told.holds: ""}
            if told is TEXT:
                empty |= {"annotations": [], "logprobs": []}
            yield self._at({"type": told.opened_by, "part": empty}, item, place)
        said = item.said.setdefault(place, [])
        if is_delta:
            said.append(text)
            self.kept += len(text)
            event["delta"] = text
        else:
            if text and not said:  # all of it, where nothing was told piece by piece
                yield from self._tells({**event, "type": f"{event['type'][:-5]}.delta", "delta": text}, told, item)
            event[told.holds] = item.text(place) or text
        if not item.opened:
            return  # a call whose name is not known yet
        if told is TEXT:
            event["logprobs"] = event.get("logprobs") or []
        yield self._at(event, item, place if told.part else None)

    def _done(self, event: Event) -> Iterator[Event]:
        given = event.get("item")
        whole = given if isinstance(given, dict) else {}
        item = self._known(event)
        if item is None or item.done or (whole.get("type") not in (None, item.kind)):
            item = self._new(whole, event.get("output_index"))
        yield from self._finish(item, whole)

    def _finish(self, item: Item, whole: Mapping[str, Any]) -> Iterator[Event]:
        """All that belongs to an item and was not told, and its end. ``whole`` is what the upstream says of it."""
        known = {name: value for name, value in whole.items() if name != "id" and value is not None}
        item.whole.update(known)
        if not item.opened:
            yield self._opening(item)
            if item.kind in CALLS and (early := item.text(("", 0))):
                yield self._at({"type": DELTAS[item.kind], "delta": early}, item, None)
        if item.kind in CALLS:
            held = HELD[item.kind]
            text = text_of(item.whole.get(held))
            if text and not item.text(("", 0)):
                told = INPUT if item.kind == "custom_tool_call" else ARGUMENTS
                yield from self._tells({"type": DELTAS[item.kind], "delta": text}, told, item)
            item.whole[held] = text or item.text(("", 0))
        elif item.kind == "message":
            yield from self._finish_parts(item, "content", "content_index", TEXT)
        elif item.kind == "reasoning":
            yield from self._finish_parts(item, "summary", "summary_index", SUMMARY)
            if item.whole.get("content") or any(at == "content_index" for at, _ in item.said):
                yield from self._finish_parts(item, "content", "content_index", THOUGHT)
        item.done = True
        if item.kind in HELD and item.whole.get("status") in (None, "in_progress"):
            item.whole["status"] = "completed"
        yield {"type": "response.output_item.done", "output_index": item.index, "item": item.whole}

    def _finish_parts(self, item: Item, name: str, at: str, usual: Told) -> Iterator[Event]:
        """Tells what the parts of an item say and nobody has told."""
        self._gather(item, name, at, usual.part)
        for index, part in enumerate(item.whole[name]):
            told = REFUSAL if isinstance(part, dict) and part.get("type") == "refusal" else usual
            if isinstance(part, dict) and not item.text((at, index)) and (text := text_of(part.get(told.holds))):
                delta = {"type": f"response.{NAMES[told.part]}.delta", "delta": text, at: index}
                yield from self._tells(delta, told, item)

    def _gather(self, item: Item, name: str, at: str, part: str) -> None:
        """What was said, where the upstream does not repeat it."""
        if isinstance(item.whole.get(name), list) and item.whole[name]:
            return
        texts = [item.text(place) for place in sorted(item.said) if place[0] == at]
        more: dict[str, Any] = {"annotations": [], "logprobs": []} if part == "output_text" else {}
        item.whole[name] = [{"type": part, "text": text, **more} for text in texts]

    def _new(self, given: Mapping[str, Any], place: Any) -> Item:
        whole = dict(given)
        kind = str(whole.setdefault("type", "message"))
        whole["id"] = text_of(whole.get("id")) or new_id(ID_KINDS.get(kind, "item"))
        if kind == "message":
            whole.setdefault("role", "assistant")
        if kind in CALLS:
            whole["call_id"] = text_of(whole.get("call_id")) or new_id("call")
        if (held := HELD.get(kind)) is not None:
            whole.setdefault(held, "" if kind in CALLS else [])
        self.kept += AN_ITEM
        item = Item(len(self._items), whole)
        self._items.append(item)
        self._by_place[_key(place, item.index)] = item
        return item

    def _item(self, event: Event, kind: str) -> Generator[Event, None, Item]:
        """The item that an event is of, opened where it was not."""
        item = self._known(event)
        if item is None or (item.done and item.kind != kind):
            item = self._new({"type": kind, "id": event.get("item_id")}, event.get("output_index"))
            if kind not in CALLS:
                yield self._opening(item)
        return item

    def _known(self, event: Mapping[str, Any]) -> Item | None:
        place = event.get("output_index")
        if place is not None:
            return self._by_place.get(_key(place, -1))
        named = [item for item in self._items if item.whole["id"] == event.get("item_id")]
        return (named or self._items or [None])[-1]  # type: ignore[list-item]

    def _match(self, item: Item, output: list[dict[str, Any]]) -> dict[str, Any] | None:
        """What the final event has of an item: by its id, that of its call, or else the one of its kind in its turn."""
        for name in ("id", "call_id"):
            found = next((each for each in output if item.whole.get(name) and each.get(name) == item.whole[name]), None)
            if found is not None:
                return found
        turn = [each for each in self._items if each.kind == item.kind].index(item)
        same = [each for each in output if each.get("type") == item.kind]
        return same[turn] if turn < len(same) else None

    def _at(self, event: Event, item: Item, place: tuple[str, int] | None) -> Event:
        told = {**event, "item_id": item.whole["id"], "output_index": item.index}
        return told if place is None else {**told, place[0]: place[1]}

    def _placed(self, event: Event) -> Event:
        """Any other event, of the item that it names by its place."""
        at = IN_PARTS.get(str(event.get("type")))
        item = self._known(event) if at is not None or "output_index" in event else None
        if item is None:
            return event
        if at is not None:
            return self._at(event, item, (at, _index(event, at)))
        return {**event, "output_index": item.index, **({"item_id": item.whole["id"]} if "item_id" in event else {})}


def _key(place: Any, otherwise: int) -> Any:
    return place if isinstance(place, int | str | _Place) else otherwise


class _Place:
    """That of an item which only the final event has."""


def _index(event: Mapping[str, Any], at: str) -> int:
    value = event.get(at)
    return value if isinstance(value, int) else 0


def _is_empty(whole: Mapping[str, Any]) -> bool:
    """A message in which nothing is said."""
    content = whole.get("content")
    parts = content if isinstance(content, list) else []
    said = [part for part in parts if isinstance(part, dict) and (part.get("text") or part.get("refusal"))]
    return whole.get("type") == "message" and not said
