"""Limits in the memory of one process: exact there, and nowhere else."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice

from .accounts import KINDS, Bucket, Kept, Period
from .claims import Account, Balance, Change, Claim, Decision

MOST_ACCOUNTS = 1_000_000
"""Accounts that are kept; those go first that were looked at longest ago."""
SWEPT = 2
"""Accounts looked at for every call, and for every account that is opened: one that is as good as new is let go."""
SWEEP = 32
"""Accounts that are looked at at a time."""

_PLACES = Account.PLACES
_GONE = Bucket(Claim("", Account.BUCKET, 1, 0, 1.0), 0.0)
_GONE.gone = True


class Draw:
    """An account that calls draw on again and again: their claim but for what is taken, and the account once it is
    found. ``unit`` says which part of what a call takes is taken from it."""

    __slots__ = ("account", "capacity", "claim", "unit")

    def __init__(self, claim: Claim, unit: int) -> None:
        self.claim = claim
        self.capacity = claim.capacity
        self.unit = unit
        self.account: Kept = _GONE


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
        self._lock = threading.RLock()  # a process may run several event loops, each in a thread

    async def take(self, claims: Sequence[Claim]) -> Decision:
        return self.take_now(claims)

    def take_now(self, claims: Sequence[Claim]) -> Decision:
        """The same without a coroutine: nothing here ever waits."""
        draws = [Draw(claim, index) for index, claim in enumerate(claims)]
        with self._lock:
            granted = self.grant(draws, [_what(claim, claim.reserved) for claim in claims]) is not None
            return Decision(granted, self._balances(claims, refused=not granted))

    def grant(self, draws: Sequence[Draw], what: Sequence[int | str]) -> list[float] | None:
        """Takes from all of the accounts in one step, and gives what is used of each; where one has no room, nothing is
        taken, and it gives None. ``what`` is taken by unit: amounts, and the lease of places."""
        used: list[float] = []
        with self._lock:
            now = self._clock()
            self._due += SWEPT
            if self._due >= SWEEP:
                self._sweep(now)
            for draw in draws:
                account = draw.account
                if account.gone:
                    account = self._bound(draw, now)
                after = account.take(draw.claim, what[draw.unit], now)
                used.append(after)
                if after > draw.capacity:
                    for done in draws[: len(used)]:
                        done.account.undo(what[done.unit])
                    return None
        return used

    async def settle(self, changes: Sequence[Change]) -> None:
        self.settle_now(changes)

    def settle_now(self, changes: Sequence[Change]) -> None:
        """The same without a coroutine."""
        draws = [Draw(change.claim, index) for index, change in enumerate(changes)]
        self.correct(draws, [_what(change.claim, change.amount) for change in changes])

    def correct(self, draws: Sequence[Draw], by: Sequence[int | str]) -> None:
        """Corrects what was taken, by unit: amounts more or less, and the lease that is given back."""
        with self._lock:
            now = self._clock()
            for draw in draws:
                what = by[draw.unit]
                if not what:
                    continue
                account: Kept | None = draw.account
                if draw.account.gone:
                    owes = not isinstance(what, str) and what > 0
                    account = self._bound(draw, now) if owes else self._accounts.get(draw.claim.key)
                if account is not None:
                    account.correct(what, now)

    async def renew(self, claims: Sequence[Claim]) -> None:
        self.renew_now(claims)

    def renew_now(self, claims: Sequence[Claim]) -> None:
        """The same without a coroutine."""
        with self._lock:
            now = self._clock()
            for claim in claims:
                _ = self._bound(Draw(claim, 0), now).take(claim, claim.lease, now)

    async def balances(self, claims: Sequence[Claim]) -> tuple[Balance, ...]:
        with self._lock:
            return self._balances(claims)

    async def forget(self, keys: Sequence[str]) -> None:
        with self._lock:
            for key in keys:
                self._let_go(key)

    async def erase(self, mark: str) -> int:
        with self._lock:
            found = [key for key in self._accounts if mark in key.split("/")]
            for key in found:
                self._let_go(key)
        return len(found)

    async def aclose(self) -> None:
        """Nothing is open."""

    def __len__(self) -> int:
        """How many accounts are kept."""
        return len(self._accounts)

    def _bound(self, draw: Draw, now: float) -> Kept:
        """Its account as it is kept, or a new one."""
        claim, accounts = draw.claim, self._accounts
        kept = accounts.get(claim.key)
        if kept is not None and isinstance(kept, Period) and kept.ends <= self._wall():
            kept.gone, kept = True, None
        if kept is None:
            kept = accounts[claim.key] = KINDS[claim.account](claim, now)
            self._due += SWEPT
            if len(accounts) > MOST_ACCOUNTS:
                self._let_go(next(iter(accounts)))
        draw.account = kept
        return kept

    def _balances(self, claims: Sequence[Claim], *, refused: bool = False) -> tuple[Balance, ...]:
        """Nothing is opened for who only looks."""
        now, wall = self._clock(), self._wall()
        balances: list[Balance] = []
        for claim in claims:
            kept = self._accounts.get(claim.key) or KINDS[claim.account](claim, now)
            balances.append(kept.balance(claim, now, wall=wall, wanted=claim.reserved if refused else None))
        return tuple(balances)

    def _let_go(self, key: str) -> None:
        kept = self._accounts.pop(key, None)
        if kept is not None:
            kept.gone = True

    def _sweep(self, now: float) -> None:
        """Several decisions make one sweep, so that it costs each of them little."""
        accounts, wall = self._accounts, self._wall()
        looks, self._due = self._due, 0
        for key in list(islice(accounts, looks)):
            kept = accounts[key]
            if kept.used_at(now) <= 0 or (isinstance(kept, Period) and kept.ends <= wall):
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
