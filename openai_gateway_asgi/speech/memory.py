"""The default backend of the speech cache: in memory, bounded by bytes."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import Any

from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer


class BoundedMemoryCache(BaseCache):  # type: ignore[misc]  # aiocache ships no types
    """Keeps strings and bytes up to ``limit`` bytes in all; what was used longest ago goes first.

    Unlike aiocache's own memory backend it is bounded, and expires without a timer per key.
    """

    NAME = "bounded-memory"

    def __init__(self, limit: int, **options: Any) -> None:
        super().__init__(serializer=NullSerializer(), **options)
        self._limit = limit
        self._size = 0
        self._entries: OrderedDict[str, tuple[Any, float]] = OrderedDict()

    async def _get(self, key: str, encoding: str | None = None, _conn: Any = None) -> Any:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, expires = entry
        if monotonic() >= expires:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def _set(
        self, key: str, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> bool:
        self._drop(key)
        if len(value) > self._limit:
            return False
        self._entries[key] = (value, float("inf") if ttl is None else monotonic() + ttl)
        self._size += len(value)
        while self._size > self._limit:
            self._drop(next(iter(self._entries)))
        return True

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return self._drop(key)

    async def _exists(self, key: str, _conn: Any = None) -> bool:
        return await self._get(key) is not None

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        for key in [key for key in self._entries if key.startswith(namespace or "")]:
            self._drop(key)
        return True

    def _drop(self, key: str) -> int:
        entry = self._entries.pop(key, None)
        if entry is None:
            return 0
        self._size -= len(entry[0])
        return 1
