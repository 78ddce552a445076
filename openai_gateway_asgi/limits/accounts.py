"""What an account allows: the state of one, and what taking from it and giving back make of it.

This is the one place in this process that says so; ``scripts.py`` says the same to a Redis server. Times are in seconds
of the store that keeps the account, but for the ends of periods.
"""

from __future__ import annotations

from typing import Any, Protocol

from .claims import Account, Balance, Claim, balance_of


class Kept(Protocol):
    """One account. What is taken is an amount, or the lease of a place; what is used is counted in the same unit."""

    gone: bool
    """Whether the store has let go of it, so that another one stands in its place."""

    def used_at(self, now: float) -> float: ...

    def take(self, claim: Claim, what: Any, now: float) -> float:
        """Gives what is used then, which may be more than the claim's account may hold: then it is to be undone."""
        ...

    def undo(self, what: Any) -> None:
        """As if what was taken last had not been."""
        ...

    def correct(self, what: Any, now: float) -> None:
        """By an amount more, or less; or by a lease that is given back."""
        ...

    def balance(self, claim: Claim, now: float, *, wall: float, wanted: int | None = None) -> Balance:
        """``wall`` is in seconds since the epoch, ``wanted`` what a claim asked for that may not have found room."""
        ...


class Bucket:
    """It holds what was used as of ``at``, which flows back at its rate."""

    __slots__ = ("at", "gone", "rate", "used")

    def __init__(self, claim: Claim, now: float) -> None:
        self.gone = False
        self.rate = claim.rate
        self.at = now
        self.used = 0.0

    def used_at(self, now: float) -> float:
        used = self.used - (now - self.at) * self.rate
        return used if used > 0.0 else 0.0

    def take(self, claim: Claim, what: int, now: float) -> float:
        self.rate = rate = claim.rate  # the host may write another amount at any time: what was used stays
        used = self.used - (now - self.at) * rate  # as `used_at` has it, without a frame: all calls come here
        self.at = now
        self.used = used = used + what if used > 0.0 else what
        return used

    def undo(self, what: int) -> None:
        self.used -= what

    def correct(self, what: int, now: float) -> None:
        used = self.used_at(now) + what
        self.at = now
        self.used = used if used > 0.0 else 0.0

    def balance(self, claim: Claim, now: float, *, wall: float, wanted: int | None = None) -> Balance:
        self.rate = claim.rate
        return balance_of(claim, self.used_at(now), now=now, last=now, wanted=wanted)


class Period:
    """It counts from nothing; the next period is another account."""

    __slots__ = ("ends", "gone", "used")

    def __init__(self, claim: Claim, now: float) -> None:
        self.gone = False
        self.ends = claim.ends
        """In seconds since the epoch."""
        self.used = 0

    def used_at(self, now: float) -> float:
        return self.used

    def take(self, claim: Claim, what: int, now: float) -> float:
        self.used = used = self.used + what
        return used

    def undo(self, what: int) -> None:
        self.used -= what

    def correct(self, what: int, now: float) -> None:
        self.used = max(0, self.used + what)

    def balance(self, claim: Claim, now: float, *, wall: float, wanted: int | None = None) -> Balance:
        used = self.used if wall < self.ends else 0
        return balance_of(claim, used, now=wall, last=now, wanted=wanted)


class Places:
    """The leases by their names, with when each ends."""

    __slots__ = ("gone", "leases", "soonest")

    def __init__(self, claim: Claim, now: float) -> None:
        self.gone = False
        self.leases: dict[str, float] = {}
        self.soonest = now
        """No lease ends before that: they are gone through now and then, and not by every call."""

    def used_at(self, now: float) -> float:
        leases = self.leases
        if leases and self.soonest <= now:
            for lease in [lease for lease, ends in leases.items() if ends <= now]:
                del leases[lease]
            self.soonest = min(leases.values(), default=now)
        return len(leases)

    def take(self, claim: Claim, what: str, now: float) -> float:
        leases, until = self.leases, now + claim.lease_seconds
        if leases and self.soonest <= now:
            _ = self.used_at(now)
        if not leases or until < self.soonest:
            self.soonest = until
        leases[what] = until
        return len(leases)

    def undo(self, what: str) -> None:
        self.leases.pop(what, None)

    def correct(self, what: str, now: float) -> None:
        self.leases.pop(what, None)

    def balance(self, claim: Claim, now: float, *, wall: float, wanted: int | None = None) -> Balance:
        used = self.used_at(now)
        return balance_of(claim, used, now=now, last=max(self.leases.values(), default=now), wanted=wanted)


KINDS: dict[Account, type[Bucket | Period | Places]] = {
    Account.BUCKET: Bucket,
    Account.PERIOD: Period,
    Account.PLACES: Places,
}
