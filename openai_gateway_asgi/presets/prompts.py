"""System prompts of presets: in front of the client's own instructions, whose bytes stay as they are."""

from __future__ import annotations

from typing import Any

import msgspec

from ..bodies.outline import Fields
from ..bodies.parts import LARGE, first_element
from ..bodies.payload import Payload, decode_field
from ..errors import InvalidRequest

LEADING = ("system", "developer")
BETWEEN = "\n"

_encode = msgspec.json.Encoder().encode
_list_of = list[msgspec.Raw]
_NULL = msgspec.Raw(b"null")


class _Part(msgspec.Struct, gc=False):
    type: Any = None
    role: Any = None


_part = msgspec.json.Decoder(_Part).decode


def messages_behind(payload: Payload, prompt: str) -> list[Any] | msgspec.Raw:
    """Its messages with the prompt in front of the text of a leading system or developer message, else as a message of
    its own before all others.

    Raises ``InvalidRequest`` where the messages cannot be read.
    """
    raw = payload.readable("messages")
    if raw is not None and len(memoryview(raw)) > LARGE:
        return _before_many(memoryview(raw), prompt)
    messages: list[Any] = [] if raw is None else decode_field("messages", raw, _list_of) or []
    led = _led(messages[0], prompt) if messages else None
    if led is None:
        return [{"role": "system", "content": prompt}, *messages]
    messages[0] = led
    return messages


def _before_many(data: memoryview, prompt: str) -> msgspec.Raw:
    """The same where there are so many that they are left as they are, but for the first one."""
    place = first_element("messages", data) if bytes(data[:1]) == b"[" else None
    if place is None:
        raise InvalidRequest("Expected `array` - at `$.messages`", param="messages", code="invalid_type")
    begin, end = place
    led = _led(msgspec.Raw(bytes(data[begin:end])), prompt)
    put = {"role": "system", "content": prompt} if led is None else led
    rest = (b",", data[begin:]) if led is None else (data[end:],)
    return msgspec.Raw(b"".join((b"[", _encode(put), *rest)))


def instructions_behind(payload: Payload, prompt: str) -> msgspec.Raw | str:
    """Its ``instructions`` with the prompt in front. Raises ``InvalidRequest`` where they are no text."""
    raw = payload.readable("instructions")
    if raw is None or decode_field("instructions", raw, str) is None:
        return prompt
    return _before(raw, prompt)


def _led(message: msgspec.Raw, prompt: str) -> dict[str, Any] | None:
    """The message with the prompt in front; None where it is no system message, or says nothing that is read."""
    if _looks(message).role not in LEADING:
        return None
    fields: dict[str, Any] = decode_field("messages[0]", message, Fields) or {}
    content = fields.get("content", _NULL)
    begins = bytes(content).lstrip()[:1]
    if begins == b'"':
        return fields | {"content": _before(content, prompt)}
    if begins == b"[":
        parts: list[Any] = decode_field("messages[0].content", content, _list_of) or []
        return fields | {"content": _in_parts(parts, prompt)}
    return None


def _in_parts(parts: list[Any], prompt: str) -> list[Any]:
    """In front of the first text, else as one before all other parts."""
    for index, part in enumerate(parts):
        if _looks(part).type == "text":
            fields: dict[str, Any] = decode_field(f"messages[0].content[{index}]", part, Fields) or {}
            text = fields.get("text")
            if text is not None and bytes(text).lstrip()[:1] == b'"':
                parts[index] = fields | {"text": _before(text, prompt)}
                return parts
    return [{"type": "text", "text": prompt}, *parts]


def _before(text: msgspec.Raw, prompt: str) -> msgspec.Raw:
    """A JSON text with the prompt in front of it, the rest as it was written."""
    return msgspec.Raw(_encode(prompt + BETWEEN)[:-1] + bytes(text).lstrip()[1:])


def _looks(value: msgspec.Raw) -> _Part:
    try:
        return _part(value)
    except (msgspec.DecodeError, RecursionError):
        return _Part()
