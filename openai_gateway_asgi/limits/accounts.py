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
    """Places: the leases by their names, with when each ends; and how many are taken without a lease, by calls of this
    process, which are held until they are given back: a process that is killed takes its memory with it."""

    __slots__ = ("bound", "ends", "held", "nameless", "pins", "soonest")

    def __init__(self, claim: Claim, now: float) -> None:
        self.pins = 0
        self.bound = False
        self.ends = 0.0
        self.nameless = 0
        self.held: dict[str, float] = {}
        self.soonest = inf
        """No lease ends before: they are gone through now and then, and not by every call."""

    def used_at(self, now: float) -> float:
        if self.soonest <= now:
            self.held = {lease: until for lease, until in self.held.items() if until > now}
            self.soonest = min(self.held.values(), default=inf)
        return len(self.held) + self.nameless

    def hold(self, lease: str, until: float) -> None:
        self.soonest = min(self.soonest, until)
        self.held[lease] = until

    def balance(self, claim: Claim, now: float, wall: float, wanted: int | None) -> Balance:
        used = self.used_at(now)
        last = inf if self.nameless else max(self.held.values(), default=now)
        return balance_of(claim, used, now=now, last=last, wanted=wanted)


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


class Told(NamedTuple):
    """Of an account whose figures are told with every answer, what is always the same."""

    place: int
    """Among the amounts that a call draws on."""
    limit: tuple[bytes, bytes]
    """A whole header."""
    remaining: bytes
    """The names of the others."""
    reset: bytes


class Shown(NamedTuple):
    """Such an account, with the same."""

    account: Amount
    rate: float
    capacity: int
    limit: tuple[bytes, bytes]
    remaining: bytes
    reset: bytes


Nameless = Sequence[tuple[Leases, int]]
"""Places of a plan, with how many there are. Calls keep those that they took: the store may have others by then."""


class Bound:
    """The accounts that calls draw on, and how: found once for all calls of a plan."""

    __slots__ = (
        "amounts", "claims", "counted", "lock", "metered", "nameless", "places", "released", "shown", "told", "units",
        "version",
    )  # fmt: skip

    def __init__(self, claims: Sequence[Claim], units: Sequence[int], told: Sequence[Told] | None = None) -> None:
        """``units`` say which part of what a call takes is taken by each claim; ``told`` is None where what is told has
        to be found out each time."""
        self.claims = claims
        self.units = units
        self.told = told
        self.shown: Sequence[Shown] | None = None
        self.amounts: Sequence[DrawOnAmount] = ()
        self.counted: Sequence[tuple[Amount, int]] = ()
        self.metered: Sequence[tuple[Amount, int]] = ()
        """Those of the amounts that are not the first part of what calls take."""
        self.places: Sequence[DrawOnPlaces] = ()
        """Of one decision, under leases."""
        self.nameless: Nameless = ()
        """Of a plan."""
        self.lock: threading.RLock | None = None
        """The keeper's, once it is bound."""
        self.version = -1
        """That of the store by which they are right."""
        self.released = False
        """Whether its plan is not kept any more; calls that it was made for may still be under way."""

    def draw_on(self, amounts: Sequence[DrawOnAmount], places: Sequence[DrawOnPlaces]) -> None:
        self.amounts = amounts
        self.counted = tuple([(draw.account, draw.unit) for draw in amounts])
        self.metered = tuple([pair for pair in self.counted if pair[1]])
        self.places = places
        if self.told is not None:
            self.shown = tuple([Shown(*amounts[told.place][:3], *told[1:]) for told in self.told])

    # All calls come to these two, so that they call next to nothing.

    def taken(self, what: What, keeper: Keeper) -> Nameless | None:
        """Takes from all accounts, and gives the places that it took without a lease. Where one has no room it takes
        from none, and gives None."""
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
                    return None
                account.used = used
                account.at = now
            for leases, capacity in self.nameless:
                if leases.soonest <= now:
                    _ = leases.used_at(now)
                taken = leases.nameless + 1
                if taken + len(leases.held) > capacity:
                    self._undo(what, leases)
                    return None
                leases.nameless = taken
            for leases, seconds, capacity, unit in self.places:
                leases.hold(what[unit], now + seconds)
                if leases.used_at(now) > capacity:
                    del leases.held[what[unit]]
                    self._undo(what, leases, unit)
                    return None
            return self.nameless
        finally:
            lock.release()

    def _undo(self, what: What, last: Kept, unit: int = 0) -> None:
        """As if nothing had been taken before that unit of ``last``, which had no room."""
        for draw in self.amounts:
            if draw.account is last and draw.unit == unit:
                return
            draw.account.used -= what[draw.unit]
        for leases, _ in self.nameless:
            if leases is last:
                return
            leases.nameless -= 1
        for place in self.places:
            if place.account is last and place.unit == unit:
                return
            _ = place.account.held.pop(what[place.unit], None)

    def name(self, places: Nameless, lease: str) -> None:
        """Places that were taken without a lease are held under one from now on."""
        if self.lock is not None:
            with self.lock:
                for leases, _ in places:
                    leases.nameless -= 1
                    leases.held[lease] = inf

    def corrected(self, by: What, places: Nameless, keeper: Keeper) -> None:
        """By amounts more or less, and by the leases that are given back, or ``places`` that were taken without."""
        lock = keeper.lock
        lock.acquire()
        try:
            if self.version != keeper.version:
                keeper.bind(self)
            for account, unit in self.counted if by[0] else self.metered:
                if (more := by[unit]) > 0:
                    account.used = account.used_at(now := keeper.clock()) + more
                    account.at = now
                else:  # less is the same as if it had not been taken when that was, so that no clock is asked
                    used = account.used + more
                    account.used = used if used > 0.0 else 0.0
            for leases, _ in places:
                leases.nameless -= 1
            for leases, _, _, unit in self.places:
                _ = leases.held.pop(by[unit], None)
        finally:
            lock.release()
