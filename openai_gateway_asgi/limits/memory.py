"""Limits in the memory of one process: exact there, and nowhere else."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from .claims import Account, Balance, Change, Claim, Decision, balance_of

MOST_ACCOUNTS = 1_000_000
"""Accounts that are kept; the longest untouched goes first."""
SWEPT = 2
"""Accounts looked at for every call, the longest untouched first: one that is as good as new is let go."""
SWEEP = 16
"""Accounts that are looked at at a time."""

_BUCKET, _PLACES = Account.BUCKET, Account.PLACES


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
        if self.account is _BUCKET:
            elapsed = now - self.at
            if elapsed > 0:  # a clock that was set back must not pay twice
                used = self.used - self.rate * elapsed
                self.used = used if used > 0 else 0.0
                self.at = now
        elif self.account is _PLACES:
            leases = self.leases
            for lease in [lease for lease, ends in leases.items() if ends <= now]:
                del leases[lease]
            self.used = len(leases)
        elif now >= self.ends:
            self.used = 0.0

    def taken(self, claim: Claim, now: float) -> Balance:
        """What is left now that the claim was granted."""
        used = self.used
        if self.account is _BUCKET:
            return Balance(int(self.capacity - used), used / self.rate)
        if self.account is _PLACES:
            self.leases[claim.lease] = until = now + claim.lease_seconds
            return Balance(self.capacity - int(used), until - now)
        return self.balance(claim, now)

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
        self._due = 0
        self._lock = threading.Lock()  # a process may run several event loops, each in a thread

    async def take(self, claims: Sequence[Claim]) -> Decision:
        return self.take_now(claims)

    def take_now(self, claims: Sequence[Claim]) -> Decision:
        """The same without a coroutine: nothing here ever waits."""
        now, granted = self._clock(), True
        taken: list[tuple[Claim, _Kept, float]] = []
        with self._lock:
            for claim in claims:
                account = self._at(claim, now)
                before, amount, capacity = account.used, claim.amount, claim.capacity
                account.used = used = before + (amount if amount < capacity else capacity)
                if used > capacity:
                    granted = False
                taken.append((claim, account, before))
            self._due += SWEPT
            if self._due >= SWEEP:
                self._sweep(now)
            if granted:
                return Decision(True, tuple([account.taken(claim, now) for claim, account, _ in taken]))
            for _, account, before in reversed(taken):  # two limits that are alike share an account
                account.used = before
            return Decision(False, tuple([account.balance(claim, now, claim.reserved) for claim, account, _ in taken]))

    async def settle(self, changes: Sequence[Change]) -> None:
        self.settle_now(changes)

    def settle_now(self, changes: Sequence[Change]) -> None:
        """The same without a coroutine."""
        now = self._clock()
        with self._lock:
            for change in changes:
                claim, amount = change.claim, change.amount
                account = self._accounts.get(claim.key)
                if claim.account is _PLACES:
                    if account is not None:
                        account.leases.pop(claim.lease, None)
                elif account is not None or amount > 0:
                    account = self._at(claim, now)
                    account.used = max(0.0, account.used + amount)

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
        key = claim.key
        kept = self._accounts.get(key)
        if kept is None:
            kept = self._accounts[key] = _Kept(claim.account, claim.capacity, claim.rate, claim.ends, now)
        else:
            kept.rate, kept.capacity = claim.rate, claim.capacity
            if claim.ends:
                kept.ends = claim.ends
            kept.settle_to(now)
            self._accounts.move_to_end(key)
        return kept

    def _sweep(self, now: float) -> None:
        """Several decisions make one sweep, so that it costs each of them little."""
        accounts = self._accounts
        looks, self._due = self._due, 0
        for key in list(islice(accounts, looks)):
            kept = accounts[key]
            kept.settle_to(now)
            if kept.used <= 0 or len(accounts) > MOST_ACCOUNTS:
                del accounts[key]
            else:
                accounts.move_to_end(key)
