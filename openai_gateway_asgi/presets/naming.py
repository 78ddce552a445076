"""The preset's name in answers: at the top of JSON objects and events, and in ``response``, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ..http.sse import data_replaced, raw_events

LONGEST = 1024 * 1024
"""Bytes of a JSON answer in which the model's name is replaced: a longer one passes as it came."""

_BLANKS = 64
"""Bytes of an answer's end in which its last brace is looked for."""

Fields = dict[str, msgspec.Raw]

_KEY = b'"model"'
_ESCAPED = b"\\u006"  # how each of the letters of the key may be written
_VALUE = re.compile(rb'\s*+:\s*+("[^"\\]*+")')
_TEXT = rb'"(?:[^"\\]|\\.)*+"'
_MEMBER = rb'"(?!model")(?:[^"\\]|\\.)*+"\s*:\s*(?:%b|[-+.\w]++)' % _TEXT
_BEGINNING = re.compile(rb'data: ?\{\s*(?:%b\s*,\s*)*+"model"\s*:\s*(%b)' % (_MEMBER, _TEXT), re.DOTALL)
"""Of an event whose model stands before all objects and lists."""
_END = re.compile(rb'"model"\s*:\s*(%b)(?:\s*,\s*%b)*+\s*\}(?:\r?\n)++\Z' % (_TEXT, _MEMBER), re.DOTALL)
"""Of one whose model stands behind them all, as Azure writes it."""

_decode = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


class NamePreset:
    """A stage (``http/stages.py``). All chunks of a chat begin alike, or end alike. Once that part has been read in one
    chunk, it is replaced wherever it occurs: its quotes are not escaped, so that it cannot be part of a text."""

    __slots__ = ("_known", "_leads", "_name", "_passed", "_renamed", "_streams")

    def __init__(self, name: bytes, passed: Callable[[], None], *, streams: bool) -> None:
        """``name`` is in JSON. ``passed`` is told of an answer that was too long; ``streams``: events are wanted, which
        are never too long."""
        self._name = name
        self._passed = passed
        self._streams = streams
        self._known = self._renamed = b""
        self._leads = True
        """Whether what is known begins events, and does not end them."""

    def events(self, events: bytes, /) -> bytes:
        if known := self._known:
            size = len(known)
            if self._leads:
                if events.startswith(known) and events.find(_KEY, size) < 0 and events.find(_ESCAPED, size) < 0:
                    return self._renamed + events[size:]  # the one event of nearly every read
            elif events.endswith(known) and events.find(_KEY, 0, -size) < 0 and events.find(_ESCAPED, 0, -size) < 0:
                return events[:-size] + self._renamed
            changed = events.replace(known, self._renamed)
            if changed.count(_KEY) == changed.count(self._renamed) and _ESCAPED not in changed:
                return changed
        if _KEY not in events and _ESCAPED not in events:
            return events
        return b"".join([self._event(event) for event in raw_events(events)])

    async def end(self) -> bytes:
        return b""

    async def answer(self, body: bytes, /) -> bytes:
        if len(body) > LONGEST:
            self._passed()
            return body
        return self._spliced(body) or renamed(body, self._name) or body

    def _spliced(self, body: bytes) -> bytes | None:
        """With all else as it was written, where the model stands before all objects and lists, and once."""
        at, start = body.find(_KEY), body.find(b"{")
        if at < 0 or body[:start].strip() or body.find(b"{", start + 1, at) >= 0 or body.find(b"[", 0, at) >= 0:
            return None
        model = _VALUE.match(body, at + len(_KEY))
        if model is None or body[:at].rstrip()[-1:] not in (b"{", b","):
            return None
        end = model.end()
        if body.find(_KEY, end) >= 0 or body.find(_ESCAPED) >= 0 or not body[-_BLANKS:].rstrip().endswith(b"}"):
            return None
        return body[: model.start(1)] + self._name + body[end:]

    def lets_pass(self) -> bool:
        return not self._streams

    def _event(self, event: bytes) -> bytes:
        if _KEY not in event and _ESCAPED not in event:
            return event
        found = _BEGINNING.match(event)
        self._leads = found is not None
        if found is not None or (found := _END.search(event)) is not None:
            start, known = found.start(), found[0]
            self._known = known
            self._renamed = known[: found.start(1) - start] + self._name + known[found.end(1) - start :]
        return data_replaced(event, lambda data: renamed(data, self._name))


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
