"""Chat messages as the input items of a Responses call, in their places."""

from __future__ import annotations

from typing import Any

import msgspec

from ..bodies.outline import Fields
from ..bodies.payload import decode_field
from .fields import EMPTY, NULL, Raw, given, is_text, missing, raw, read, read_all, read_list, refuse_more, unsupported

INSTRUCTING = ("system", "developer")
SPEAKING = ("user", *INSTRUCTING)


class ToolCall(msgspec.Struct, gc=False):
    id: Raw = NULL
    type: str | None = None
    function: Fields | None = None
    custom: Fields | None = None


class Message(msgspec.Struct, gc=False):
    """What is read of a message; a ``name`` is not, because items have none."""

    role: str | None = None
    content: Raw = NULL
    refusal: Raw = NULL
    audio: Raw = NULL
    tool_calls: list[ToolCall] | None = None
    function_call: Fields | None = None
    tool_call_id: Raw = NULL


class Items:
    """The input items in the making."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.places: list[str] = []
        """Where in the client's body stands what each item says."""
        self._custom_calls: set[str] = set()
        self._last_call: str | Raw = ""

    def take(self, message: Message, at: str) -> None:
        """Adds what a message says, which stands ``at`` that place. Raises ``InvalidRequest`` for what no item can."""
        role = message.role
        if role in SPEAKING:
            parts = _parts(message.content, at, "input_text")
            self.said.append({"type": "message", "role": role, "content": parts})
            self.places.append(at)
        elif role == "assistant":
            self._assistant(message, at)
        elif role == "tool":
            id = decode_field(f"{at}.tool_call_id", message.tool_call_id, str)
            if id is None:
                raise missing(f"{at}.tool_call_id")
            kind = "custom_tool_call_output" if id in self._custom_calls else "function_call_output"
            self._add({"type": kind, "call_id": id, "output": _output(message.content, at)}, at)
        elif role == "function":
            output = _output(message.content, at)
            self._add({"type": "function_call_output", "call_id": self._last_call, "output": output}, at)
        else:
            raise unsupported(f"{at}.role", "Responses knows no such role")

    def _add(self, item: dict[str, Any], at: str) -> None:
        self.said.append(item)
        self.places.append(at)

    def _assistant(self, message: Message, at: str) -> None:
        if message.audio != NULL:
            raise unsupported(f"{at}.audio", "Responses cannot go on from a spoken answer")
        parts = [] if message.content == NULL else _parts(message.content, at, "output_text")
        if message.refusal != NULL:
            parts.append({"type": "refusal", "refusal": message.refusal})
        if [part for part in parts if part.get("text") != EMPTY]:
            self._add({"type": "message", "role": "assistant", "content": parts}, at)
        calls = message.tool_calls or ()
        refuse_more(calls, f"{at}.tool_calls")
        for number, call in enumerate(calls):
            place = f"{at}.tool_calls[{number}]"
            item = _call(call, place)
            self._last_call = item["call_id"]
            if item["type"] == "custom_tool_call":
                self._custom_calls.add(_text(item["call_id"]))
            self._add(item, place)
        if message.function_call is not None:
            self._last_call = f"call_{at[9:-1]}"
            item = {"type": "function_call", "call_id": self._last_call, **message.function_call}
            self._add(item, f"{at}.function_call")


def items_of(fields: Fields) -> Items:
    """One item or more for each message. Raises ``InvalidRequest`` for what no item can say."""
    messages = read_all(fields, "messages", list[Message])
    if messages is None:
        raise missing("messages")
    items = Items()
    for index, message in enumerate(messages):
        items.take(message, f"messages[{index}]")
    return items


def _call(call: ToolCall, at: str) -> dict[str, Any]:
    if call.id == NULL:
        raise missing(f"{at}.id")
    if call.type == "custom":
        return {"type": "custom_tool_call", "call_id": call.id, **(call.custom or {})}
    return {"type": "function_call", "call_id": call.id, **(call.function or {})}


def _parts(content: Raw, at: str, text: str) -> list[dict[str, Any]]:
    """The content of the message ``at`` that place. A text is one part; texts keep their bytes."""
    if is_text(content):
        return [{"type": text, "text": content}]
    if content == NULL:
        raise missing(f"{at}.content")
    parts = read_list({"content": content}, "content", f"{at}.")
    return [_part(part, f"{at}.content[{index}]", text) for index, part in enumerate(parts)]


def _part(part: Fields, at: str, text: str) -> dict[str, Any]:
    kind = read(part, "type", str, f"{at}.")
    rest = {name: value for name, value in part.items() if name not in ("type", "text", "image_url", "file")}
    match kind:
        case "text":
            return {"type": text, "text": part.get("text", EMPTY), **rest}
        case "refusal":
            return {"type": "refusal", **rest}
        case "image_url":
            image: Fields = read(part, "image_url", Fields, f"{at}.") or {}
            if given(image, "url") is None:
                raise missing(f"{at}.image_url.url")
            detail = given(image, "detail") or raw("auto")
            return {"type": "input_image", "image_url": image["url"], "detail": detail, **rest}
        case "file":
            file: Fields = read(part, "file", Fields, f"{at}.") or {}
            return {"type": "input_file", **file, **rest}
        case _:
            raise unsupported(f"{at}.type", f"Responses has no input of the type {kind!r}")


def _output(content: Raw, at: str) -> Any:
    """What a tool gave back; it is required, even when it is nothing."""
    if content == NULL:
        return ""
    return content if is_text(content) else _parts(content, at, "input_text")


def _text(value: Raw) -> str:
    return read({"": value}, "", str) or ""
