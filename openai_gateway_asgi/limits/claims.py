"""What a call takes from limits, and what a store says to it: the words that limits and their stores share.

Three kinds of account cover every limit. Amounts are whole numbers: requests, tokens, or nano-dollars.

* A *bucket* holds up to ``capacity`` and fills at ``rate`` a second. It may go into debt when a call turns out larger
  than what was reserved for it; what flows in pays the debt first.
* A *period* counts from zero until ``ends``; its key names the period, so that the next one begins anew.
* *Places* are taken for a time: each is a lease that ends by itself unless it is renewed, so that a worker that was
  killed gives its places back.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

A_PLACE = 1.0
"""Seconds until a place may be free again: nobody can know, so that the client is told to ask again soon."""


class Account(StrEnum):
    BUCKET = "bucket"
    PERIOD = "period"
    PLACES = "places"


class Claim(msgspec.Struct, frozen=True):
    """What one call takes from one account.

    A claim larger than the whole account is judged, and reserved, at its capacity: otherwise it could never pass.
    """

    key: str
    account: Account
    capacity: int
    amount: int
    rate: float = 0.0
    """Of a bucket: units a second."""
    ends: float = 0.0
    """Of a period: when it is over, in seconds since the epoch."""
    lease: str = ""
    """Of a place: the name of its lease."""
    lease_seconds: float = 0.0

    @property
    def reserved(self) -> int:
        return min(self.amount, self.capacity)


class Balance(msgspec.Struct, frozen=True):
    """What an account holds after a decision. Times are in seconds from now."""

    remaining: int
    """Negative where it is in debt."""
    reset: float
    """Until it is as good as new; 0 where it is."""
    wait: float | None = None
    """Until the claim that found no room would find it; None where it found room."""


def balance_of(claim: Claim, used: float, *, now: float, last: float, wanted: int | None) -> Balance:
    """The balance of a claim's account of which so much is used; ``last`` is when the last lease of places ends, and
    ``wanted`` what a claim asked for that may not have found room."""
    remaining = claim.capacity - used
    short = 0.0 if wanted is None else max(0.0, wanted - remaining)
    if claim.account is Account.BUCKET:
        reset, wait = used / claim.rate, short / claim.rate
    elif claim.account is Account.PERIOD:
        reset = wait = max(0.0, claim.ends - now)
    else:
        reset, wait = max(0.0, last - now), A_PLACE
    return Balance(int(remaining // 1), reset if used > 0 else 0.0, wait if short else None)


class Decision(msgspec.Struct, frozen=True):
    """Whether all claims of a call found room; if one did not, nothing was taken from any."""

    granted: bool
    balances: tuple[Balance, ...]
    """In the order of the claims."""


class Change(msgspec.Struct, frozen=True):
    """What is to be added to an account when a call is settled: positive where more was used than was reserved.

    Of places: the lease is given back, whatever the ``amount``.
    """

    claim: Claim
    amount: int = 0
    mark: str = ""
    """Of all changes of one settlement the same. It is tried again after ``StoreDown``, when it may have been made
    without an answer: a store that can fail so makes what bears a mark only once."""


@runtime_checkable
class LimitStore(Protocol):
    """Where accounts stand. ``tests/limits/store_contract.py`` holds any implementation to these words.

    Every method may raise ``StoreDown``, in bounded time; a limit's ``when_down`` then decides.
    """

    async def take(self, claims: Sequence[Claim]) -> Decision:
        """Takes all claims in one step, or none."""
        ...

    async def settle(self, changes: Sequence[Change]) -> None:
        """Corrects what was reserved, and gives places back."""
        ...

    async def renew(self, claims: Sequence[Claim]) -> None:
        """Prolongs the leases of places by their ``lease_seconds``."""
        ...

    async def balances(self, claims: Sequence[Claim]) -> tuple[Balance, ...]:
        """What the accounts hold; nothing is taken."""
        ...

    async def forget(self, keys: Sequence[str]) -> None:
        """Makes these accounts as good as new."""
        ...

    async def erase(self, mark: str) -> int:
        """Forgets every account whose key has ``mark`` as one of its parts between slashes; how many there were."""
        ...

    async def aclose(self) -> None: ...


class StoreDown(Exception):
    """The store of limits did not answer in time, or not at all."""
