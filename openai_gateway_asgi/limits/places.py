"""Places that calls hold while they last: their leases are renewed, so that only those of a dead process run out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ..http.background import Background
from .claims import Change, Claim, LimitStore, StoreDown
from .limit import LEASE

RENEW = LEASE / 3
"""Seconds between two renewals of a place."""


class Places:
    """The places that the calls of one gateway hold."""

    def __init__(self, store: LimitStore, background: Background, failed: Callable[[str, StoreDown], None]) -> None:
        """``failed`` hears of each operation of the store that did."""
        self.held: dict[asyncio.AbstractEventLoop, dict[str, Claim]] = {}
        """By event loop, and by lease."""
        self._store = store
        self._background = background
        self._failed = failed

    def keep(self, new: dict[str, Claim]) -> None:
        """Renews places, by their leases, while their calls last: one task for all of an event loop."""
        loop = asyncio.get_running_loop()
        held = self.held.get(loop)
        if held is not None:
            held.update(new)
            return
        for ended in [each for each in self.held if each.is_closed()]:
            del self.held[ended]
        self.held[loop] = new
        loop.call_later(RENEW, self._renew, loop)

    def drop(self, changes: Sequence[Change]) -> None:
        """They are given back, and not renewed any more."""
        if held := self.held.get(asyncio.get_running_loop()):
            for change in changes:
                held.pop(change.claim.lease, None)

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        held = self.held.get(loop)
        if not held:
            self.held.pop(loop, None)
            return
        _ = self._background.start(self._renewed(tuple(held.values())))
        loop.call_later(RENEW, self._renew, loop)

    async def _renewed(self, claims: Sequence[Claim]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await self._store.renew(claims)
            held = self.held.get(loop, {})
            over = [Change(claim) for claim in claims if claim.lease not in held]
            if over:  # given back meanwhile: the renewal may have come behind it
                await self._store.settle(over)
        except StoreDown as error:
            self._failed("renew", error)
