"""Events of a stream as values, and values as its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..bodies.loose_json import as_json as encode
from ..bodies.loose_json import read_loosely
from ..http.sse import events_in, without_comments

DONE = b"data: [DONE]\n\n"
__all__ = ["DONE", "comments_apart", "data_in", "decoded", "encode", "named_event", "only_data", "values_in"]


def data_in(events: bytes) -> list[bytes]:
    """The data of each event. What is spelt as nearly everybody does is told apart in one go."""
    blocks = events.split(b"\n\n")
    if blocks.pop() or events.find(b"\r") >= 0:
        return [event.data for event in events_in(events)]
    found = []
    for block in blocks:
        at = 0 if block.startswith(b"data: ") else block.find(b"\ndata: ") + 1
        if not (at or block.startswith(b"data: ")) or block.find(b"\n", at) >= 0:
            found += [event.data for event in events_in(block + b"\n\n")]
        else:
            found.append(block[at + 6 :])
    return found


def only_data(events: bytes) -> bytes | None:
    """The data of one event, spelt as nearly everybody does; None where there is anything else, a comment or another
    event."""
    at = 0
    if not events.startswith(b"data: "):
        at = events.find(b"\ndata: ") + 1
        if not at or not events.startswith(b"event: ") or events.find(b"\n") + 1 != at:
            return None
    end = len(events) - 2
    if events.find(b"\n", at) != end or events.find(b"\r") >= 0:
        return None
    return events[at + 6 : end]


def values_in(events: bytes) -> Iterator[Mapping[str, Any]]:
    """The data of each event, as far as it is an object."""
    for data in data_in(events):
        value = decoded(data)
        if isinstance(value, dict):
            yield value


def decoded(data: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return read_loosely(data)
    except ValueError:
        return None


def comments_apart(events: bytes) -> tuple[bytes, bytes]:
    """Whole events parted into comments, which pass as they are, and the others."""
    if events.find(b"\n:") < 0 and not events.startswith(b":"):
        return b"", events
    return without_comments(events)


def named_event(event: Mapping[str, Any]) -> bytes:
    """As the Responses API sends its events."""
    kind = event.get("type")
    name = b"event: %b\n" % kind.encode() if isinstance(kind, str) and kind.isprintable() else b""
    return b"%bdata: %b\n\n" % (name, encode(event))
