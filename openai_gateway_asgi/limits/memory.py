"""Limits in the memory of one process: exact there, and nowhere else."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .claims import Account, Balance, Change, Claim, Decision, balance_of

MOST_ACCOUNTS = 1_000_000
"""Accounts that are kept; the longest untouched goes first."""
SWEPT = 2
"""Accounts looked at with every call, the longest untouched first: one that is as good as new is let go."""


@dataclass(slots=True)
class _Kept:
    """One account. ``used`` is what was taken from it as of ``at``; a bucket's flows back at its rate."""

    account: Account
    capacity: int
    rate: float
    ends: float
    at: float
    used: float = 0.0
    leases: dict[str, float] = field(default_factory=dict)
    """Of places: when each lease ends."""

    def settle_to(self, now: float) -> None:
        if self.account is Account.BUCKET:
            self.used = max(0.0, self.used - self.rate * max(0.0, now - self.at))
            self.at = max(now, self.at)  # a clock that was set back must not pay twice
        elif self.account is Account.PLACES:
            for lease in [lease for lease, ends in self.leases.items() if ends <= now]:
                del self.leases[lease]
            self.used = len(self.leases)
        elif now >= self.ends:
            self.used = 0.0

    def as_good_as_new(self) -> bool:
        return self.used <= 0

    def balance(self, claim: Claim, now: float, wanted: int | None = None) -> Balance:
        last = max(self.leases.values(), default=now) if self.leases else now
        return balance_of(claim, self.used, now=now, last=last, wanted=wanted)


class MemoryLimits:
    """A store of limits for one process. Several workers each count for themselves: n of them allow n times as much.

    ``clock`` gives seconds since the epoch.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._accounts: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()  # a process may run several event loops, each in a thread

    async def take(self, claims: Sequence[Claim]) -> Decision:
        now = self._clock()
        with self._lock:
            kept = [self._at(claim, now) for claim in claims]
            room: dict[str, float] = {}
            granted = True
            for claim, account in zip(claims, kept, strict=True):
                left = room.get(claim.key, claim.capacity - account.used) - claim.reserved
                room[claim.key] = left
                granted = granted and left >= 0
            if granted:
                for claim, account in zip(claims, kept, strict=True):
                    _add(account, claim, claim.reserved, now)
            balances = tuple(
                account.balance(claim, now, None if granted else claim.reserved)
                for claim, account in zip(claims, kept, strict=True)
            )
            self._sweep(now)
        return Decision(granted, balances)

    async def settle(self, changes: Sequence[Change]) -> None:
        self.settle_now(changes)

    def settle_now(self, changes: Sequence[Change]) -> None:
        """The same without a coroutine: nothing here ever waits."""
        now = self._clock()
        with self._lock:
            for change in changes:
                account = self._accounts.get(change.claim.key)
                if change.claim.account is Account.PLACES:
                    if account is not None:
                        account.leases.pop(change.claim.lease, None)
                elif account is not None or change.amount > 0:
                    account = self._at(change.claim, now)
                    account.used = max(0.0, account.used + change.amount)

    async def renew(self, claims: Sequence[Claim]) -> None:
        now = self._clock()
        with self._lock:
            for claim in claims:
                account = self._at(claim, now)
                account.leases[claim.lease] = now + claim.lease_seconds

    async def balances(self, claims: Sequence[Claim]) -> tuple[Balance, ...]:
        now = self._clock()
        with self._lock:
            return tuple(self._at(claim, now).balance(claim, now) for claim in claims)

    async def forget(self, keys: Sequence[str]) -> None:
        with self._lock:
            for key in keys:
                self._accounts.pop(key, None)

    async def erase(self, mark: str) -> int:
        with self._lock:
            found = [key for key in self._accounts if mark in key.split("/")]
            for key in found:
                del self._accounts[key]
        return len(found)

    async def aclose(self) -> None:
        """Nothing is open."""

    def __len__(self) -> int:
        """How many accounts are kept."""
        return len(self._accounts)

    def _at(self, claim: Claim, now: float) -> _Kept:
        kept = self._accounts.get(claim.key)
        if kept is None:
            kept = _Kept(claim.account, claim.capacity, claim.rate, claim.ends, now)
            self._accounts[claim.key] = kept
        else:
            kept.rate, kept.capacity, kept.ends = claim.rate, claim.capacity, claim.ends or kept.ends
            kept.settle_to(now)
            self._accounts.move_to_end(claim.key)
        return kept

    def _sweep(self, now: float) -> None:
        for key in [key for key, _ in zip(self._accounts, range(SWEPT), strict=False)]:
            kept = self._accounts[key]
            kept.settle_to(now)
            if kept.as_good_as_new() or len(self._accounts) > MOST_ACCOUNTS:
                del self._accounts[key]
            else:
                self._accounts.move_to_end(key)


def _add(account: _Kept, claim: Claim, amount: int, now: float) -> None:
    if claim.account is Account.PLACES:
        account.leases[claim.lease] = now + claim.lease_seconds
        account.used = len(account.leases)
    else:
        account.used += amount
