"""The preset's name in answers: at the top of JSON objects and events, and in ``response``, and nowhere else."""

from __future__ import annotations

import re

import msgspec

from ..http.sse import data_replaced, raw_events

Fields = dict[str, msgspec.Raw]

_KEY = b'"model"'
_OBJECT = b"{"
_BACKSLASH, _CLOSES = ord("\\"), ord("}")
_ESCAPED = b"\\u006"  # how each of the letters of the key may be written
_ENDS = (b"}", b"}\n", b"}\r\n")
_REST = rb'[^"\\]*+(?>(?:\\.[^"\\]*+)*)"'
_TEXT = rb'"' + _REST
_MEMBER = rb'"(?!model")%b\s*+:\s*+(?:%b|[-+.\w]++)' % (_REST, _TEXT)
_BEFORE = rb'\{\s*+(?>(?:%b\s*+,\s*+)*)"model"\s*+:\s*+(%b)' % (_MEMBER, _TEXT)
_WHOLE = re.compile(rb"\s*+" + _BEFORE, re.DOTALL)
"""Of an answer whose model stands before all objects and lists."""
_BEGINNING = re.compile(rb"data: ?" + _BEFORE, re.DOTALL)
"""Of such an event."""
_END = re.compile(rb'"model"\s*+:\s*+(%b)(?>(?:\s*+,\s*+%b)*)\s*+\}(?:\r?\n)+\Z' % (_TEXT, _MEMBER), re.DOTALL)
"""Of one whose model stands behind them all, as Azure writes it."""

_NEAR = 1024
"""Bytes at the beginning of an answer in which its model is looked for where it stood in the one before."""
_LONGEST = 256
"""Bytes of a name that is kept for that."""

_Known = tuple[bytes, int, bytes]
_NOTHING: _Known = (b"", 0, b"")

_decode = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


class NamePreset:
    """A stage (``http/stages.py``). All chunks of a chat begin alike, or end alike. Once that part has been read in one
    chunk, it is replaced wherever it occurs: its quotes are not escaped, so that it cannot be part of a text."""

    _member: tuple[bytes, bytes] = (b"\0", b"")
    """The model as the last whole answer had it, with its key, and how that is told."""

    _leading: _Known = _NOTHING
    """How events begin, up to the end of their model, of what length that is, and how it is told."""
    _ending: _Known = _NOTHING
    """The same of how they end, from their model on."""

    def __init__(self, name: bytes, streams: bool) -> None:
        """``name`` is in JSON. ``streams``: events are wanted, which are never too long."""
        self._name = name
        self._streams = streams

    def events(self, events: bytes, /) -> bytes:
        known, size, renamed = self._leading
        if size and events.startswith(known) and events.rfind(_KEY) < size and events.rfind(_ESCAPED) < 0:
            return renamed + events[size:]  # the one event of nearly every read
        if not size:
            known, size, renamed = self._ending
            if size and events.endswith(known) and events.find(_KEY, 0, -size) < 0 and events.rfind(_ESCAPED) < 0:
                return events[:-size] + renamed
        if size:
            changed = events.replace(known, renamed)
            if changed.count(_KEY) == changed.count(renamed) and _ESCAPED not in changed:
                return changed
        if _KEY not in events and _ESCAPED not in events:
            return events
        return b"".join([self._event(event) for event in raw_events(events)])

    async def end(self) -> bytes:
        return b""

    def answer(self, body: bytes, /) -> bytes:
        # All else stays as it was written, where no other key can be the model's as well. A key is one of the outermost
        # object where no other one begins before it, and its first quote is not a part of a text.
        known, told = self._member
        at = body.find(known, 0, _NEAR)
        if (
            at > 0
            and body[at - 1] != _BACKSLASH
            and body[-1] == _CLOSES
            and body.rfind(_OBJECT, 0, at) == 0
            and body.rfind(_KEY) == at
            and body.find(_ESCAPED) < 0
        ):
            return body.replace(known, told, 1)
        found = _WHOLE.match(body) if body.endswith(_ENDS) and body.rfind(_ESCAPED) < 0 else None
        if found is None or body.rfind(_KEY) >= (start := found.start(1)):
            return renamed(body, self._name) or body
        key, end = body.rfind(_KEY, 0, start), found.end(1)
        if end - key <= _LONGEST:
            self._member = body[key:end], body[key:start] + self._name
        return body[:start] + self._name + body[end:]

    def lets_pass(self) -> bool:
        return not self._streams

    def _event(self, event: bytes) -> bytes:
        """Learns from an event how others begin, or end."""
        if _KEY not in event and _ESCAPED not in event:
            return event
        if (found := _BEGINNING.match(event)) is not None:
            self._leading, self._ending = self._learnt(found), _NOTHING
        elif (found := _END.search(event)) is not None:
            self._leading, self._ending = _NOTHING, self._learnt(found)
        if found is not None and event.count(_KEY) == 1 and _ESCAPED not in event:
            start, end = found.span(1)
            return event[:start] + self._name + event[end:]
        return data_replaced(event, lambda data: renamed(data, self._name))

    def _learnt(self, found: re.Match[bytes]) -> _Known:
        known, start = found[0], found.start()
        return known, len(known), known[: found.start(1) - start] + self._name + known[found.end(1) - start :]


def renamed(data: bytes, name: bytes) -> bytes | None:
    """A JSON object with this name, in JSON, for its model; None where it names none, or is no object."""
    fields = _fields(data)
    if fields is None:
        return None
    changed = _take(fields, name)
    response = fields.get("response")
    if response is not None and (inner := _fields(response)) is not None and _take(inner, name):
        fields["response"] = msgspec.Raw(_encode(inner))
        changed = True
    return _encode(fields) if changed else None


def _take(fields: Fields, name: bytes) -> bool:
    model = fields.get("model")
    if model is None or bytes(model)[:1] != b'"':
        return False
    fields["model"] = msgspec.Raw(name)
    return True


def _fields(data: bytes | msgspec.Raw) -> Fields | None:
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
