"""Places that calls hold while they last: their leases are renewed, so that only those of a dead process run out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, MutableMapping, Sequence

from msgspec import structs

from ..http.background import Background
from .claims import Change, Claim, LimitStore, StoreDown
from .limit import LEASE

RENEW = LEASE / 3
"""Seconds between two renewals of a place."""

Leases = MutableMapping[str, Sequence[Claim]]
"""The claims of places, by their lease; they may lack its name."""


class Places:
    """The places that the calls of one gateway hold."""

    def __init__(self, store: LimitStore, background: Background, failed: Callable[[str, StoreDown], None]) -> None:
        """``failed`` hears of each operation of the store that did."""
        self.held: dict[asyncio.AbstractEventLoop, Leases] = {}
        """By event loop."""
        self._store = store
        self._background = background
        self._failed = failed

    def on(self, loop: asyncio.AbstractEventLoop) -> Leases:
        """Those of calls on an event loop: what is put there is renewed while it is. One task renews all of a loop."""
        held = self.held.get(loop)
        if held is None:
            for ended in [each for each in self.held if each.is_closed()]:
                del self.held[ended]
            held = self.held[loop] = {}
            loop.call_later(RENEW, self._renew, loop)
        return held

    def keep(self, claims: Iterable[Claim]) -> None:
        """Renews places while their calls last."""
        self.on(asyncio.get_running_loop()).update({claim.lease: (claim,) for claim in claims})

    def drop(self, claims: Sequence[Claim]) -> None:
        """They are given back, and not renewed any more; others that were taken under the same lease are."""
        held = self.held.get(asyncio.get_running_loop()) if claims else None
        if held:
            for given in claims:
                if left := [claim for claim in held.get(given.lease, ()) if claim.key != given.key]:
                    held[given.lease] = left
                else:
                    _ = held.pop(given.lease, None)

    async def renew(self) -> None:
        """Those of this event loop."""
        loop = asyncio.get_running_loop()
        claims = [structs.replace(claim, lease=lease) for lease, each in self.on(loop).items() for claim in each]
        try:
            await self._store.renew(claims)
            held = {(lease, claim.key) for lease, each in self.on(loop).items() for claim in each}
            over = [Change(claim) for claim in claims if (claim.lease, claim.key) not in held]
            if over:  # given back meanwhile: the renewal may have come behind it
                await self._store.settle(over)
        except StoreDown as error:
            self._failed("renew", error)

    def _renew(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self.held.get(loop):
            self.held.pop(loop, None)
            return
        _ = self._background.start(self.renew())
        loop.call_later(RENEW, self._renew, loop)
