"""The accounts that are kept in the memory of this process, by their keys."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from .accounts import Amount, Bound, DrawOnAmount, DrawOnPlaces, Kept, Leases
from .claims import Account, Claim

MOST_ACCOUNTS = 1_000_000
"""Accounts that are kept; those go first that were looked at longest ago."""
SWEPT = 2
"""Accounts looked at for every one that is opened: what is as good as new is let go."""
SWEEP = 32
"""Accounts that are looked at at a time."""

_PLACES = Account.PLACES


class Ledger:
    """Whoever looks at accounts, or changes them, holds ``lock``."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        """``clock`` measures what flows back and how long leases last, ``wall`` gives seconds since the epoch."""
        self.lock = threading.RLock()  # a process may run several event loops, each in a thread
        self.clock = clock
        self.wall = wall
        self.accounts: OrderedDict[str, Kept] = OrderedDict()
        self.version = 0
        """Changes where an account is let go that a plan may have found."""
        self._due = 0

    def found(self, claims: Sequence[Claim]) -> Bound:
        """The accounts of one decision, each of which takes what its claim says."""
        bound = Bound(claims, range(len(claims)))
        self._find(bound)
        bound.version = self.version
        return bound

    def bind(self, bound: Bound) -> None:
        """Its accounts are kept as long as its plan."""
        bound.lock = self.lock
        pins = 0 if bound.released else 1
        self.pin(bound, -pins)
        bound.version = self.version
        self._find(bound)
        bound.nameless, bound.places = tuple([(draw.account, draw.capacity) for draw in bound.places]), ()
        self.pin(bound, pins)

    def pin(self, bound: Bound, by: int) -> None:
        kept: list[Kept] = [draw.account for draw in bound.amounts]
        kept += [leases for leases, _ in bound.nameless]
        for each in kept:
            each.bound = True
            each.pins += by

    def release(self, bounds: Iterable[Bound]) -> None:
        """Plans that are not kept any more: their accounts may be let go."""
        with self.lock:
            for bound in bounds:
                self.pin(bound, -1)
                bound.released = True

    def let_go(self, key: str) -> None:
        kept = self.accounts.pop(key, None)
        if kept is not None and kept.bound:
            self.version += 1

    def _find(self, bound: Bound) -> None:
        """The accounts as they are kept, or new ones."""
        now, amounts, places = self.clock(), list[DrawOnAmount](), list[DrawOnPlaces]()
        if self._due >= SWEEP:
            self._sweep(now)
        for claim, unit in zip(bound.claims, bound.units, strict=True):
            kept = self.accounts.get(claim.key)
            if kept is not None and kept.ends and kept.ends <= self.wall():
                self.let_go(claim.key)
                kept = None
            if kept is None:
                kept = self._opened(claim, now)
            if isinstance(kept, Amount):
                kept.rate = claim.rate  # the host may write another amount at any time
                amounts.append(DrawOnAmount(kept, claim.rate, claim.capacity, unit))
            else:
                places.append(DrawOnPlaces(kept, claim.lease_seconds, claim.capacity, unit))
        bound.draw_on(tuple(amounts), tuple(places))

    def _opened(self, claim: Claim, now: float) -> Kept:
        accounts = self.accounts
        kept = accounts[claim.key] = (Leases if claim.account is _PLACES else Amount)(claim, now)
        self._due += SWEPT
        if len(accounts) > MOST_ACCOUNTS:
            self.let_go(next(iter(accounts)))
        return kept

    def _sweep(self, now: float) -> None:
        accounts, wall = self.accounts, self.wall()
        looks, self._due = self._due, 0
        for key in list(islice(accounts, looks)):
            kept = accounts[key]
            if not kept.pins and (kept.used_at(now) <= 0 or (kept.ends and kept.ends <= wall)):
                self.let_go(key)
            else:
                accounts.move_to_end(key)
