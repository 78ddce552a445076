"""How what calls took is settled: at once where the store is in memory, else later, and nobody waits for it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence

from msgspec import structs

from ..http.background import Background
from .claims import Change, LimitStore, StoreDown
from .memory import MemoryLimits

SETTLED_WITHIN = 5
"""Times that settling is tried while the store is away."""
SETTLED_AGAIN = 1.0
"""Seconds between them."""


class Settling:
    """``failed`` hears of each operation of the store that did."""

    def __init__(self, store: LimitStore, background: Background, failed: Callable[[str, StoreDown], None]) -> None:
        self._store = store
        self._background = background
        self._failed = failed

    def start(self, changes: Sequence[Change]) -> None:
        if type(self._store) is MemoryLimits:
            self._store.settle_now(changes)
        else:
            _ = self._background.start(self.settle(changes))

    async def settle(self, changes: Sequence[Change]) -> None:
        """Tries it again where nobody knows whether it was made: all of one settlement bear the same mark."""
        mark = secrets.token_hex(8)
        marked = [structs.replace(change, mark=mark) for change in changes]
        for number in range(SETTLED_WITHIN):
            try:
                await self._store.settle(marked)
                return
            except StoreDown as error:
                self._failed("settle", error)
                if number + 1 < SETTLED_WITHIN:
                    await asyncio.sleep(SETTLED_AGAIN)
