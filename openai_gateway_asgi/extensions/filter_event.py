"""One event of an answer, or all of one that is no stream, as a filter sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ..bodies.loose_json import as_json, read_loosely
from .texts import TOLD, texts_in, with_texts

_UNREAD: Any = object()
_UNFINISHED = b'"finish_reason":null'


class FilterEvent:
    """``kind`` is ``event``, or ``answer`` for an answer that came whole. It is decoded when somebody looks."""

    __slots__ = ("_data", "_value", "kind", "name", "operation")

    def __init__(self, kind: Literal["event", "answer"], data: bytes, *, operation: str, name: str = "") -> None:
        self.kind = kind
        self.name = name
        """The event's name, as ``response.output_text.delta``; empty where it has none."""
        self.operation = operation
        self._data = data
        self._value: Any = _UNREAD

    @classmethod
    def of(cls, data: Any, *, operation: str = "createChatCompletion", name: str = "") -> FilterEvent:
        """A new one, to be put beside those that came. Of Responses its name is the ``type`` in ``data``."""
        kind = data.get("type") if isinstance(data, Mapping) else None
        return cls("event", _written(data), operation=operation, name=name or (kind if isinstance(kind, str) else ""))

    @property
    def data(self) -> Any:
        """What it says, decoded; as text where it is no JSON. What is changed in it is sent so."""
        if self._value is _UNREAD:
            self._value = _decoded(self._data)
        return self._value

    def texts(self) -> Sequence[str]:
        """The texts of the answer in it: a few letters in most events of a stream, all of it in some at its end."""
        data = self.data
        return [data] if isinstance(data, str) else list(texts_in(data, TOLD.get(self.operation, ())))

    def with_texts(self, change: Callable[[str], str]) -> FilterEvent:
        """The same, with what ``change`` makes of each of these texts."""
        data = self.data
        changed = change(data) if isinstance(data, str) else with_texts(data, TOLD.get(self.operation, ()), change)
        return self.with_data(changed)

    def with_data(self, data: Any) -> FilterEvent:
        """The same, saying something else."""
        return FilterEvent(self.kind, _written(data), operation=self.operation, name=self.name)

    @property
    def written(self) -> bytes:
        """What it says, as it is sent: as it came, unless it was changed."""
        if self._value is not _UNREAD and (now := _written(self._value)) != _written(_decoded(self._data)):
            return now
        return self._data

    @property
    def may_finish(self) -> bool:
        """Whether a choice may be finished by it. Cheap, for it is asked of each."""
        return (b"finish_reason" in self._data and _UNFINISHED not in self._data) or self._value is not _UNREAD

    def sse(self) -> bytes:
        """As an event on the wire."""
        return written_event(self.name, self.written)


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
