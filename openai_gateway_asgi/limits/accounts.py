"""What an account in the memory of this process allows: the one place that says so.

``scripts.py`` says the same to a Redis server, and ``tests/limits/store_contract.py`` to both. Times are in seconds of
the store's clock, but for the ends of periods, which are in seconds since the epoch.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple, Protocol

from .claims import Balance, Claim, balance_of

What = Sequence[Any]
"""What is taken, by unit: amounts, which are whole numbers, and the name of a lease, which is a text."""


class Amount:
    """A bucket: what was used as of ``at`` flows back at its rate. Or a period, from which nothing does."""

    __slots__ = ("at", "bound", "ends", "pins", "rate", "used")

    def __init__(self, claim: Claim, now: float) -> None:
        self.pins = 0
        """Plans that hold it: it is kept while they do."""
        self.bound = False
        """Whether one ever did."""
        self.at = now
        self.used = 0.0
        self.rate = claim.rate
        self.ends = claim.ends

    def used_at(self, now: float) -> float:
        return max(0.0, self.used - (now - self.at) * self.rate)

    def balance(self, claim: Claim, now: float, wall: float, wanted: int | None) -> Balance:
        used = self.used_at(now) if not self.ends or wall < self.ends else 0
        return balance_of(claim, used, now=wall, last=now, wanted=wanted)


class Leases:
    """Places: the leases by their names, with when each ends."""

    __slots__ = ("bound", "ends", "held", "pins", "soonest")

    def __init__(self, claim: Claim, now: float) -> None:
        self.pins = 0
        self.bound = False
        self.ends = 0.0
        self.held: dict[str, float] = {}
        self.soonest = inf
        """No lease ends before: they are gone through now and then, and not by every call."""

    def used_at(self, now: float) -> float:
        if self.soonest <= now:
            self.held = {lease: until for lease, until in self.held.items() if until > now}
            self.soonest = min(self.held.values(), default=inf)
        return len(self.held)

    def hold(self, lease: str, until: float) -> None:
        self.soonest = min(self.soonest, until)
        self.held[lease] = until

    def balance(self, claim: Claim, now: float, wall: float, wanted: int | None) -> Balance:
        used = self.used_at(now)
        return balance_of(claim, used, now=now, last=max(self.held.values(), default=now), wanted=wanted)


Kept = Amount | Leases


class DrawOnAmount(NamedTuple):
    account: Amount
    rate: float
    capacity: int
    unit: int
    """Which part of ``What`` is taken from it."""


class DrawOnPlaces(NamedTuple):
    account: Leases
    seconds: float
    capacity: int
    unit: int


class Keeper(Protocol):
    """Who keeps the accounts (``ledger.py``). Whoever looks at them, or changes them, holds its lock."""

    lock: threading.RLock
    version: int
    """Changes where an account is let go that a ``Bound`` may have."""

    def clock(self) -> float: ...

    def bind(self, bound: Bound) -> None:
        """Finds its accounts anew."""
        ...


class Bound:
    """The accounts that calls draw on, and how: found once for all calls of a plan."""

    __slots__ = ("amounts", "claims", "metered", "places", "released", "units", "version")

    def __init__(self, claims: Sequence[Claim], units: Sequence[int]) -> None:
        """``units`` say which part of what a call takes is taken by each claim."""
        self.claims = claims
        self.units = units
        self.amounts: Sequence[DrawOnAmount] = ()
        self.metered: Sequence[DrawOnAmount] = ()
        """Those of the amounts that are not the first part of what calls take."""
        self.places: Sequence[DrawOnPlaces] = ()
        self.version = -1
        """That of the store by which they are right."""
        self.released = False
        """Whether its plan is not kept any more; calls that it was made for may still be under way."""

    def draw_on(self, amounts: Sequence[DrawOnAmount], places: Sequence[DrawOnPlaces]) -> None:
        self.amounts = amounts
        self.metered = tuple([draw for draw in amounts if draw.unit])
        self.places = places

    # All calls come to these two, so that they call next to nothing.

    def taken(self, what: What, keeper: Keeper) -> bool:
        """Takes from all accounts; where one has no room, from none."""
        lock = keeper.lock
        lock.acquire()  # as `with` does, in half the time
        try:
            if self.version != keeper.version:
                keeper.bind(self)
            now = keeper.clock()
            for account, rate, capacity, unit in self.amounts:
                used = account.used - (now - account.at) * rate
                if used < 0.0:
                    used = 0.0
                used += what[unit]
                if used > capacity:
                    self._undo(what, account, unit)
                    return False
                account.used = used
                account.at = now
            for leases, seconds, capacity, unit in self.places:
                if leases.soonest <= now:
                    _ = leases.used_at(now)
                held, until = leases.held, now + seconds
                if until < leases.soonest:
                    leases.soonest = until
                held[what[unit]] = until
                if len(held) > capacity:
                    del held[what[unit]]
                    self._undo(what, leases, unit)
                    return False
            return True
        finally:
            lock.release()

    def _undo(self, what: What, last: Kept, unit: int) -> None:
        """As if nothing had been taken before that unit of ``last``, which had no room."""
        for draw in self.amounts:
            if draw.account is last and draw.unit == unit:
                return
            draw.account.used -= what[draw.unit]
        for place in self.places:
            if place.account is last and place.unit == unit:
                return
            _ = place.account.held.pop(what[place.unit], None)

    def corrected(self, by: What, keeper: Keeper) -> None:
        """By amounts more or less, and by the leases that are given back."""
        lock = keeper.lock
        lock.acquire()
        try:
            if self.version != keeper.version:
                keeper.bind(self)
            now = keeper.clock()
            for account, rate, _, unit in self.amounts if by[0] else self.metered:
                used = account.used - (now - account.at) * rate
                used = by[unit] if used < 0.0 else used + by[unit]
                account.used = used if used > 0.0 else 0.0
                account.at = now
            for leases, _, _, unit in self.places:
                _ = leases.held.pop(by[unit], None)
        finally:
            lock.release()
