"""System prompts of presets: in front of the client's own instructions, whose bytes stay as they are."""

from __future__ import annotations

from typing import Any

import msgspec

from ..bodies.nested_fields import refuse_other_case
from ..bodies.outline import Fields
from ..bodies.parts import LARGE, first_element
from ..bodies.payload import decode_field
from ..errors import InvalidRequest
from .plan import BETWEEN as LINE_BREAK

LEADING = ("system", "developer")

_encode = msgspec.json.Encoder().encode
BETWEEN = _encode(LINE_BREAK)[1:-1]
_list_of = list[msgspec.Raw]
_NULL = msgspec.Raw(b"null")
_TOLD_BY = slice(len(b'[{"role":"system'))  # no two of these are alike in it
_BEGINNINGS = {
    beginning[_TOLD_BY]: (beginning, role in LEADING)
    for role in (*LEADING, "user", "assistant")
    for blank in ("", " ")
    for beginning in (f'[{{"role":{blank}"{role}",{blank}"content":{blank}"'.encode(),)
}
"""How nearly all clients begin messages of which the first one has a role and a text, and whether that instructs."""
_NONE = (b"\0", False)
_QUOTE, _CLOSES, _BACKSLASH = b'"', ord("}"), b"\\"


class _Part(msgspec.Struct, gc=False):
    type: Any = None
    role: Any = None


_part = msgspec.json.Decoder(_Part).decode


def messages_behind(raw: msgspec.Raw | None, prompt: bytes) -> msgspec.Raw:
    """A body's ``messages`` with the prompt in front of the text of a leading system or developer message, else as a
    message of its own before all others. ``prompt`` is in JSON, without its quotes.

    Raises ``InvalidRequest`` where the messages cannot be read.
    """
    if raw is None:
        return msgspec.Raw(b"[%b]" % _message(prompt))
    data = bytes(raw)
    beginning, leads = _BEGINNINGS.get(data[_TOLD_BY], _NONE)
    if (rest := data.removeprefix(beginning)) is data:
        return taken_apart(raw, prompt)
    end = rest.find(_QUOTE)
    if rest[end + 1] != _CLOSES or rest[end - 1 : end] == _BACKSLASH:  # else the message says nothing more
        return taken_apart(raw, prompt)
    if leads:
        return msgspec.Raw(b"".join((beginning, prompt, BETWEEN, rest)))
    return msgspec.Raw(b"".join((b"[", _message(prompt), b",", data[1:])))


def taken_apart(raw: msgspec.Raw, prompt: bytes) -> msgspec.Raw:
    """The same for messages of any form."""
    if len(memoryview(raw)) > LARGE:
        return _before_many(memoryview(raw), prompt)
    messages: list[Any] = decode_field("messages", raw, _list_of) or []
    led = _led(messages[0], prompt) if messages else None
    if led is None:
        messages.insert(0, msgspec.Raw(_message(prompt)))
    else:
        messages[0] = led
    return msgspec.Raw(_encode(messages))


def _message(prompt: bytes) -> bytes:
    return b'{"role":"system","content":"%b"}' % prompt


def _before_many(data: memoryview, prompt: bytes) -> msgspec.Raw:
    """The same where there are so many that they are left as they are, but for the first one."""
    place = first_element("messages", data) if bytes(data[:1]) == b"[" else None
    if place is None:
        raise InvalidRequest("Expected `array` - at `$.messages`", param="messages", code="invalid_type")
    begin, end = place
    led = _led(msgspec.Raw(bytes(data[begin:end])), prompt)
    if led is None:
        return msgspec.Raw(b"".join((b"[", _message(prompt), b",", data[begin:])))
    return msgspec.Raw(b"".join((b"[", _encode(led), data[end:])))


def instructions_behind(raw: msgspec.Raw | None, prompt: bytes) -> msgspec.Raw:
    """A body's ``instructions`` with the prompt in front. Raises ``InvalidRequest`` where they are no text."""
    if raw is None or decode_field("instructions", raw, str) is None:
        return msgspec.Raw(b'"%b"' % prompt)
    return _before(raw, prompt)


def _led(message: msgspec.Raw, prompt: bytes) -> dict[str, Any] | None:
    """The message with the prompt in front; None where it is no system message, or says nothing that is read."""
    if _looks(message).role not in LEADING:
        return None
    fields: dict[str, Any] = decode_field("messages[0]", message, Fields) or {}
    refuse_other_case(fields, ("role", "content"))
    content = fields.get("content", _NULL)
    begins = bytes(content).lstrip()[:1]
    if begins == b'"':
        return fields | {"content": _before(content, prompt)}
    if begins == b"[":
        parts: list[Any] = decode_field("messages[0].content", content, _list_of) or []
        return fields | {"content": _in_parts(parts, prompt)}
    return None


def _in_parts(parts: list[Any], prompt: bytes) -> list[Any]:
    """In front of the first text, else as one before all other parts."""
    for index, part in enumerate(parts):
        if _looks(part).type == "text":
            fields: dict[str, Any] = decode_field(f"messages[0].content[{index}]", part, Fields) or {}
            refuse_other_case(fields, ("type", "text"))
            text = fields.get("text")
            if text is not None and bytes(text).lstrip()[:1] == b'"':
                parts[index] = fields | {"text": _before(text, prompt)}
                return parts
    return [msgspec.Raw(b'{"type":"text","text":"%b"}' % prompt), *parts]


def _before(text: msgspec.Raw, prompt: bytes) -> msgspec.Raw:
    """A JSON text with the prompt in front of it, the rest as it was written."""
    return msgspec.Raw(b'"%b%b%b' % (prompt, BETWEEN, bytes(text).lstrip()[1:]))


def _looks(value: msgspec.Raw) -> _Part:
    try:
        return _part(value)
    except (msgspec.DecodeError, RecursionError):
        return _Part()
