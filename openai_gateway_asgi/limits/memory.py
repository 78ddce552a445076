"""Limits in the memory of one process: exact there, and nowhere else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from math import inf

from .accounts import Amount, Bound, DrawOnAmount, DrawOnPlaces, Kept, Leases, What
from .claims import Account, Balance, Change, Claim, Decision

MOST_ACCOUNTS = 1_000_000
"""Accounts that are kept; those go first that were looked at longest ago."""
SWEPT = 2
"""Accounts looked at for every one that is opened: what is as good as new is let go."""
ERASED_AT_ONCE = 50_000
"""Accounts that are looked at without a turn for others, when those of a user are erased."""
SWEEP = 32
"""Accounts that are looked at at a time."""

lease_names: Iterator[str] = map(str, count())
"""In the memory of one process a number is name enough."""

_PLACES = Account.PLACES


class MemoryLimits:
    """A store of limits for one process. Several workers each count for themselves: n of them allow n times as much.

    ``clock`` gives seconds since the epoch. What flows back, and how long a lease lasts, is measured by the monotonic
    clock unless a ``clock`` is given, so that setting the system's neither gives away nor takes anything.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._wall = clock
        self._clock = time.monotonic if clock is time.time else _never_back(clock)
        self._accounts: OrderedDict[str, Kept] = OrderedDict()
        self._due = 0
        self._version = 0
        """Changes where an account is let go that a plan may have found."""
        self._lock = threading.RLock()  # a process may run several event loops, each in a thread

    async def take(self, claims: Sequence[Claim]) -> Decision:
        return self.take_now(claims)

    def take_now(self, claims: Sequence[Claim]) -> Decision:
        """The same without a coroutine: nothing here ever waits."""
        with self._lock:
            granted = self._found(claims).taken([_what(claim, claim.reserved) for claim in claims], self._clock())
            return Decision(granted, self._balances(claims, refused=not granted))

    def take_bound(self, bound: Bound, what: What) -> bool:
        """The same for the accounts of a plan; ``what`` is taken by unit: amounts, and the name of a lease."""
        self._lock.acquire()  # as `with` does, in half the time
        try:
            if bound.version != self._version:
                self._bind(bound)
            return bound.taken(what, self._clock())
        finally:
            self._lock.release()

    async def settle(self, changes: Sequence[Change]) -> None:
        self.settle_now(changes)

    def settle_now(self, changes: Sequence[Change]) -> None:
        """The same without a coroutine."""
        with self._lock:
            # What was let go meanwhile is as good as new, or was to be forgotten: only what is owed opens it again.
            known = [each for each in changes if each.claim.key in self._accounts or each.amount > 0]
            found = self._found([change.claim for change in known])
            found.corrected([_what(change.claim, change.amount) for change in known], self._clock())

    def settle_bound(self, bound: Bound, by: What) -> None:
        """The same for the accounts of a plan, by unit."""
        self._lock.acquire()
        try:
            if bound.version != self._version:
                self._bind(bound)
            bound.corrected(by, self._clock())
        finally:
            self._lock.release()

    async def renew(self, claims: Sequence[Claim]) -> None:
        with self._lock:
            now = self._clock()
            for leases, seconds, _, index in self._found(claims).places:
                leases.hold(claims[index].lease, now + seconds)

    async def balances(self, claims: Sequence[Claim]) -> tuple[Balance, ...]:
        with self._lock:
            return self._balances(claims)

    async def forget(self, keys: Sequence[str]) -> None:
        with self._lock:
            for key in keys:
                self._let_go(key)

    async def erase(self, mark: str) -> int:
        """In turns with others: there may be many."""
        count = 0
        with self._lock:
            keys = list(self._accounts)
        for begin in range(0, len(keys), ERASED_AT_ONCE):
            with self._lock:
                for key in keys[begin : begin + ERASED_AT_ONCE]:
                    if mark in key and mark in key.split("/") and key in self._accounts:
                        self._let_go(key)
                        count += 1
            await asyncio.sleep(0)  # others have a turn
        return count

    async def aclose(self) -> None:
        """Nothing is open."""

    def release(self, bounds: Iterable[Bound]) -> None:
        """Plans that are not kept any more: their accounts may be let go."""
        with self._lock:
            for bound in bounds:
                self._pin(bound, -1)
                bound.released = True

    def __len__(self) -> int:
        """How many accounts are kept."""
        return len(self._accounts)

    def _found(self, claims: Sequence[Claim]) -> Bound:
        """The accounts of one decision, each of which takes what its claim says."""
        bound = Bound(claims, range(len(claims)))
        self._find(bound)
        return bound

    def _bind(self, bound: Bound) -> None:
        """Its accounts are kept as long as its plan. Its places are held until they are given back: a process that is
        killed takes its memory with it, so that there is nothing to renew."""
        pins = 0 if bound.released else 1
        self._pin(bound, -pins)
        bound.version = self._version
        self._find(bound)
        bound.places = tuple([draw._replace(seconds=inf) for draw in bound.places])
        self._pin(bound, pins)

    def _pin(self, bound: Bound, by: int) -> None:
        kept: list[Kept] = [draw.account for draw in bound.amounts]
        kept += [draw.account for draw in bound.places]
        for each in kept:
            each.bound = True
            each.pins += by

    def _find(self, bound: Bound) -> None:
        """The accounts as they are kept, or new ones."""
        now, amounts, places = self._clock(), list[DrawOnAmount](), list[DrawOnPlaces]()
        if self._due >= SWEEP:
            self._sweep(now)
        for claim, unit in zip(bound.claims, bound.units, strict=True):
            kept = self._accounts.get(claim.key)
            if kept is not None and kept.ends and kept.ends <= self._wall():
                self._let_go(claim.key)
                kept = None
            if kept is None:
                kept = self._opened(claim, now)
            if isinstance(kept, Amount):
                kept.rate = claim.rate  # the host may write another amount at any time
                amounts.append(DrawOnAmount(kept, claim.rate, claim.capacity, unit))
            else:
                places.append(DrawOnPlaces(kept, claim.lease_seconds, claim.capacity, unit))
        bound.amounts, bound.places = tuple(amounts), tuple(places)

    def _opened(self, claim: Claim, now: float) -> Kept:
        accounts = self._accounts
        kept = accounts[claim.key] = (Leases if claim.account is _PLACES else Amount)(claim, now)
        self._due += SWEPT
        if len(accounts) > MOST_ACCOUNTS:
            self._let_go(next(iter(accounts)))
        return kept

    def _balances(self, claims: Sequence[Claim], *, refused: bool = False) -> tuple[Balance, ...]:
        """Nothing is opened for who only looks."""
        now, wall = self._clock(), self._wall()
        balances: list[Balance] = []
        for claim in claims:
            kept = self._accounts.get(claim.key) or (Leases if claim.account is _PLACES else Amount)(claim, now)
            balances.append(kept.balance(claim, now, wall, claim.reserved if refused else None))
        return tuple(balances)

    def _let_go(self, key: str) -> None:
        kept = self._accounts.pop(key, None)
        if kept is not None and kept.bound:
            self._version += 1

    def _sweep(self, now: float) -> None:
        accounts, wall = self._accounts, self._wall()
        looks, self._due = self._due, 0
        for key in list(islice(accounts, looks)):
            kept = accounts[key]
            if not kept.pins and (kept.used_at(now) <= 0 or (kept.ends and kept.ends <= wall)):
                self._let_go(key)
            else:
                accounts.move_to_end(key)


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
