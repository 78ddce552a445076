"""One event of an answer, or all of one that is no stream, as a filter sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ..bodies.loose_json import as_json, read_loosely
from ..errors import UpstreamError
from .texts import TOLD, texts_in, with_texts

MOST_LISTED = 1024
"""Choices of a chat, or items of a response; the API itself gives 128 choices."""

_UNREAD: Any = object()
_UNFINISHED = b'"finish_reason":null'
_BEGINNING = 64
"""Bytes in which JSON is known by its first one."""


class FilterEvent:
    """``kind`` is ``event``, or ``answer`` for an answer that came whole. It is decoded when somebody looks."""

    __slots__ = ("_as_read", "_data", "_too_much", "_value", "kind", "name", "operation")

    def __init__(
        self, kind: Literal["event", "answer"], data: bytes, *, operation: str, name: str = "", too_much: str = ""
    ) -> None:
        """``too_much`` says of what there is so much in it that nobody may look: all others would wait."""
        self.kind = kind
        self.name = name
        """The event's name, as ``response.output_text.delta``; empty where it has none."""
        self.operation = operation
        self._data = data
        self._value: Any = _UNREAD
        self._too_much = too_much
        self._as_read: bytes | None = None
        """What would be sent of what was given out, unless somebody changes it."""

    @classmethod
    def of(cls, data: Any, *, operation: str = "createChatCompletion", name: str = "") -> FilterEvent:
        """A new one, to be put beside those that came. Of Responses its name is the ``type`` in ``data``."""
        kind = data.get("type") if isinstance(data, Mapping) else None
        return cls("event", _written(data), operation=operation, name=name or (kind if isinstance(kind, str) else ""))

    @property
    def data(self) -> Any:
        """What it says, decoded; as text where it is no JSON. What is changed in it is sent so.

        Raises ``UpstreamError`` for one that has too much in it to be decoded.
        """
        value = self.read()
        if self._as_read is None:
            written = _written(value)
            self._as_read = self._data if written == self._data else written
        return value

    def read(self) -> Any:
        """The same, for who changes nothing in it."""
        if self._value is _UNREAD:
            if self._too_much:
                raise UpstreamError(f"The upstream sent {self._too_much}, which is more than a filter can be shown.")
            self._value = _decoded(self._data)
            if isinstance(self._value, dict) and _has_many(self._value):
                self._value, self._too_much = _UNREAD, f"more than {MOST_LISTED} choices or items"
                return self.read()
        return self._value

    def texts(self) -> Sequence[str]:
        """The texts of the answer in it: a few letters in most events of a stream, all of it in some at its end."""
        places = TOLD.get(self.operation)
        if places is None and self._data[:_BEGINNING].lstrip()[:1] in (b"{", b"["):
            return []  # vectors may be many, and nobody wrote them
        data = self.read()
        return [data] if isinstance(data, str) else texts_in(data, places or {})

    def with_texts(self, change: Callable[[str], str]) -> FilterEvent:
        """The same, with what ``change`` makes of each of these texts."""
        data = self.read()
        changed = change(data) if isinstance(data, str) else with_texts(data, TOLD.get(self.operation, {}), change)
        return self if changed is data else self.with_data(changed)

    def with_data(self, data: Any) -> FilterEvent:
        """The same, saying something else."""
        return FilterEvent(self.kind, _written(data), operation=self.operation, name=self.name)

    @property
    def written(self) -> bytes:
        """What it says, as it is sent: as it came, unless it was changed."""
        if self._as_read is not None and (now := _written(self._value)) != self._as_read:
            return now
        return self._data

    @property
    def may_finish(self) -> bool:
        """Whether a choice may be finished by it. Cheap, for it is asked of each."""
        return (b"finish_reason" in self._data and _UNFINISHED not in self._data) or self._as_read is not None

    def sse(self) -> bytes:
        """As an event on the wire."""
        return written_event(self.name, self.written)


def _has_many(data: Mapping[str, Any]) -> bool:
    return any(isinstance(each := data.get(name), list) and len(each) > MOST_LISTED for name in ("choices", "output"))


def written_event(name: str, data: bytes) -> bytes:
    lines = b"".join([b"data: " + line + b"\n" for line in data.splitlines() or [b""]])
    line = name.replace("\r", "").replace("\n", "").encode("latin-1", "replace")
    return (b"event: " + line + b"\n" if line else b"") + lines + b"\n"


def _decoded(data: bytes) -> Any:
    try:
        return read_loosely(data)
    except ValueError:
        return data.decode("utf-8", "replace")


def _written(value: Any) -> bytes:
    return value.encode("utf-8", "replace") if isinstance(value, str) else as_json(value)
