"""``GET /models/{id}`` for ids that no path can hold in one reading: ``/data/models/m``, ``a#b``, ``C:\\m.gguf``.

Upstreams name models as they like. What is looked up goes to no upstream, so that it is enough if our own decoder reads
it; whatever it reads is the id that access is checked on.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from .endpoints import ENDPOINTS, Kind, Match

METHODS = ("GET", "HEAD")

_RETRIEVE = next(endpoint for endpoint in ENDPOINTS if endpoint.kind is Kind.MODEL)
_BEFORE_IDS = [
    [*version, *root, b"models"] for version in ([], [b"v1"]) for root in ([], [b"openai"], [b"openai", b"v1"])
]
"""What may stand before the id, as ``endpoints.match`` has it."""


def looked_up(method: str, segments: Sequence[bytes]) -> Match | None:
    """The look-up that a path asks for, None where it asks for none. ``segments`` are encoded, below the mount."""
    if method not in METHODS:
        return None
    words = [unquote_to_bytes(segment) for segment in segments[: max(map(len, _BEFORE_IDS))]]
    for before in _BEFORE_IDS:
        if words[: len(before)] == before:
            id = _decoded(b"/".join(segments[len(before) :]))
            return Match(_RETRIEVE, {"model": id}, "") if id else None
    return None


def _decoded(encoded: bytes) -> str:
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return ""
