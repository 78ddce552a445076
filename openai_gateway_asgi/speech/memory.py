"""The default backend of the speech cache: in memory, bounded by bytes."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic

MOST_ENTRIES = 16_384
"""Entries, however short they are: each takes some hundred bytes besides."""


class BoundedMemoryCache:
    """Keeps texts of up to ``limit`` characters in all, and so many; what was used longest ago goes first.

    It has of aiocache's interface what the speech cache needs. Unlike aiocache's own memory backend it is bounded,
    expires without a timer per key, and does not import the redis client where that is installed.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[str, tuple[str, float]] = OrderedDict()

    async def get(self, key: str) -> str | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires = entry
        if monotonic() >= expires:
            self._drop(key)
            return None
        if self._entries.pop(key, None) is not None:  # another thread's event loop may have dropped it just now
            self._entries[key] = entry
        return value

    async def set(self, key: str, value: str, ttl: float | None = None) -> bool:
        """``ttl`` is in seconds; None keeps it as long as there is room. False: it is too large to be kept."""
        self._drop(key)
        if len(value) > self._limit:
            return False
        self._entries[key] = (value, float("inf") if ttl is None else monotonic() + ttl)
        self._size += len(value)
        while self._size > self._limit or len(self._entries) > MOST_ENTRIES:
            self._drop(next(iter(self._entries)))
        return True

    def _drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= len(entry[0])
