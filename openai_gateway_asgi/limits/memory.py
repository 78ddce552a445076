"""Limits in the memory of one process: exact there, and nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from .accounts import Amount, Leases
from .claims import Account, Balance, Change, Claim, Decision
from .ledger import Ledger

ERASED_AT_ONCE = 50_000
"""Accounts that are looked at without a turn for others, when those of a user are erased."""

_PLACES = Account.PLACES


class MemoryLimits:
    """A store of limits for one process. Several workers each count for themselves: n of them allow n times as much.

    ``clock`` gives seconds since the epoch. What flows back, and how long a lease lasts, is measured by the monotonic
    clock unless a ``clock`` is given, so that setting the system's neither gives away nor takes anything.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.ledger = Ledger(time.monotonic if clock is time.time else _never_back(clock), clock)

    async def take(self, claims: Sequence[Claim]) -> Decision:
        return self.take_now(claims)

    def take_now(self, claims: Sequence[Claim]) -> Decision:
        """The same without a coroutine: nothing here ever waits."""
        ledger = self.ledger
        with ledger.lock:
            what = [_what(claim, claim.reserved) for claim in claims]
            granted = ledger.found(claims).taken(what, ledger) is not None
            return Decision(granted, self._balances(claims, refused=not granted))

    async def settle(self, changes: Sequence[Change]) -> None:
        self.settle_now(changes)

    def settle_now(self, changes: Sequence[Change]) -> None:
        """The same without a coroutine."""
        ledger = self.ledger
        with ledger.lock:
            # What was let go meanwhile is as good as new, or was to be forgotten: only what is owed opens it again.
            known = [each for each in changes if each.claim.key in ledger.accounts or each.amount > 0]
            if known:
                found = ledger.found([change.claim for change in known])
                found.corrected([_what(change.claim, change.amount) for change in known], (), ledger)

    async def renew(self, claims: Sequence[Claim]) -> None:
        ledger = self.ledger
        with ledger.lock:
            now = ledger.clock()
            for leases, seconds, _, index in ledger.found(claims).places:
                leases.hold(claims[index].lease, now + seconds)

    async def balances(self, claims: Sequence[Claim]) -> tuple[Balance, ...]:
        with self.ledger.lock:
            return self._balances(claims)

    async def forget(self, keys: Sequence[str]) -> None:
        with self.ledger.lock:
            for key in keys:
                self.ledger.let_go(key)

    async def erase(self, mark: str) -> int:
        """In turns with others: there may be many."""
        ledger, count = self.ledger, 0
        with ledger.lock:
            keys = list(ledger.accounts)
        for begin in range(0, len(keys), ERASED_AT_ONCE):
            with ledger.lock:
                for key in keys[begin : begin + ERASED_AT_ONCE]:
                    if mark in key and mark in key.split("/") and key in ledger.accounts:
                        ledger.let_go(key)
                        count += 1
            await asyncio.sleep(0)  # others have a turn
        return count

    async def aclose(self) -> None:
        """Nothing is open."""

    def __len__(self) -> int:
        """How many accounts are kept."""
        return len(self.ledger.accounts)

    def _balances(self, claims: Sequence[Claim], *, refused: bool = False) -> tuple[Balance, ...]:
        """Nothing is opened for who only looks."""
        ledger = self.ledger
        now, wall = ledger.clock(), ledger.wall()
        balances: list[Balance] = []
        for claim in claims:
            kept = ledger.accounts.get(claim.key) or (Leases if claim.account is _PLACES else Amount)(claim, now)
            balances.append(kept.balance(claim, now, wall, claim.reserved if refused else None))
        return tuple(balances)


def _what(claim: Claim, amount: int) -> int | str:
    return claim.lease if claim.account is _PLACES else amount


def _never_back(clock: Callable[[], float]) -> Callable[[], float]:
    """It stands still until the clock is where it was: what flowed back must not flow back twice."""
    last = clock()

    def seconds() -> float:
        nonlocal last
        last = max(last, clock())
        return last

    return seconds
