"""What one call has taken from its limits, until it is settled."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import msgspec
from msgspec import structs

from ..host.records import Used
from ..host.usage import Usage
from ..host.users import User
from ..http.asgi import RawHeaders
from ..http.headers import FIGURES
from ..models import Candidate, Model
from .accounts import Nameless
from .claims import Account, Claim, balance_of
from .limit import Limit, Subject
from .plans import METERED, Plan
from .told import Standing, add_figures, headers_of

WHOLE_CALL = ("requests", "concurrent")
"""Units that a call takes once, whatever it asks of others."""

Held = Sequence[tuple[Limit, Claim]]

lease_names: Iterator[str] = map(str, count())
"""In the memory of one process a number is name enough."""

Taken = tuple[int, int, int]
"""What a call takes by unit, in the order of ``UNITS``."""


class Call(msgspec.Struct, frozen=True):
    """What limits look at in a call before it is sent."""

    limits: Sequence[Limit]
    """All that the host has for its user."""
    subject: Subject
    expected: Usage
    """That it is expected to use."""
    candidates: Sequence[Candidate]
    """Who is asked first, and so by whose prices it is counted."""
    outer: Reservation | None = None
    """Of the call within which this one is made, as a part of it."""


class OfParts(msgspec.Struct):
    """What has to do with the parts of a call, or with the call that it is a part of. Few calls have such."""

    asks: int = 0
    """Calls that were parts of this one and have been settled."""
    asked: dict[str, int] = {}
    """What they used, by the key of the claim."""
    lent: dict[str, int] = {}
    """What those that are under way may use of what is reserved here, by the key of the claim."""
    covered: dict[str, int] = {}
    """What this one may use of what the call around it has reserved."""


class Reservation(msgspec.Struct, eq=False):
    user: User
    plan: Plan
    taken: Taken | None = None
    """What was granted for the plan in one pass, by unit; None once it is spelt out, which few calls come to."""
    places: Nameless = ()
    """Those that were granted with it."""
    outer: Reservation | None = None
    """That of the call within which this one is made, as a part of it."""
    settled: bool = False
    told: Used | None = None
    """About what it was told, where the answer is whole and nobody counted: it is charged no less."""
    with_parts: OfParts | None = None
    _held: Held = ()
    _standings: Sequence[Standing] = ()

    @property
    def parts(self) -> OfParts:
        if self.with_parts is None:
            self.with_parts = OfParts()
        return self.with_parts

    @property
    def held(self) -> Held:
        """The claims that were granted."""
        self._spell_out()
        return self._held

    @held.setter
    def held(self, held: Held) -> None:
        self._held = held

    @property
    def standings(self) -> Sequence[Standing]:
        """What the store said of them, for the answer."""
        self._spell_out()
        return self._standings

    @standings.setter
    def standings(self, standings: Sequence[Standing]) -> None:
        self._standings = standings

    def add(self, granted: Sequence[Standing]) -> None:
        self.held = [*self.held, *[(each.limit, each.claim) for each in granted]]
        self.standings = [*self.standings, *granted]

    def told_in(self, theirs: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
        """The headers of an upstream with the gateway's figures in the place of its own, which are those of a shared
        account. What is reserved by now is in them."""
        headers = [pair for pair in theirs if not pair[0].startswith(FIGURES)]
        self.tell(headers)
        return headers

    def tell(self, headers: RawHeaders) -> None:
        """Adds them to headers that have no others."""
        taken, shown = self.taken, self.plan.bound.shown
        if taken is None:
            headers += headers_of(self.standings)
        elif shown is None:
            headers += headers_of(self._at_hand(taken))
        else:
            add_figures(headers, shown)

    def needs_more(self, served: Model | None, candidate: Candidate) -> bool:
        """Whether an attempt has to ``enter`` the desk: it is under limits by upstream, or a fallback's."""
        plan = self.plan
        if plan.per_attempt or served is None or candidate.via is not None:
            return plan.per_attempt or not set(plan.models).issuperset(hops_of(served, candidate))
        return served.id not in plan.models

    def of_outer(self) -> set[str]:
        """The keys of what the calls around this one hold: a part takes no place and no request beside theirs."""
        taken: set[str] = set()
        outer = self.outer
        while outer is not None:
            if not outer.settled:
                taken.update(
                    [claim.key for limit, claim in outer.held if limit.unit in WHOLE_CALL and not limit.per_attempt]
                )
            outer = outer.outer
        return taken

    def cover(self, wanted: Held) -> tuple[Held, Held]:
        """A part uses first what the call around it has reserved, which is meant for its parts as well. Gives what it
        still has to take, and what it need not take because it is covered whole."""
        outer = self.outer
        if outer is None or outer.settled:
            return wanted, []
        needed, covered = list[tuple[Limit, Claim]](), list[tuple[Limit, Claim]]()
        for limit, claim in wanted:
            amount = min(claim.reserved, outer.left_for_parts(claim.key)) if limit.unit in METERED else 0
            if amount:
                lent = outer.parts.lent
                self.parts.covered[claim.key] = amount
                lent[claim.key] = lent.get(claim.key, 0) + amount
                claim = structs.replace(claim, amount=claim.reserved - amount)
            (covered if amount and not claim.amount else needed).append((limit, claim))
        return needed, covered

    def left_for_parts(self, key: str) -> int:
        parts = self.parts
        reserved = parts.covered.get(key, 0) + sum([claim.reserved for _, claim in self.held if claim.key == key])
        return max(0, reserved - parts.asked.get(key, 0) - parts.lent.get(key, 0))

    def uncover(self) -> None:
        """It is over, or was not let in."""
        if self.outer is not None:
            parts = self.parts
            covered, parts.covered = parts.covered, {}
            for key, amount in covered.items():
                self.outer.parts.lent[key] -= amount

    def _spell_out(self) -> None:
        if self.taken is not None:
            lease = next(lease_names)
            standings, self.taken = self._at_hand(self.taken, lease), None
            self.plan.bound.name(self.places, lease)
            self.places = ()
            self.add(standings)

    def _at_hand(self, taken: Taken, lease: str = "") -> list[Standing]:
        """What was granted in one pass, in full, and how its accounts stand."""
        bound, now = self.plan.bound, time.time()
        amounts, places = iter(bound.amounts), iter(bound.nameless)
        standings: list[Standing] = []
        for (limit, _), claim, unit in zip(self.plan.drawn, bound.claims, bound.units, strict=True):
            if claim.account is Account.PLACES:
                leases, _ = next(places)
                claim, used = structs.replace(claim, lease=lease), float(len(leases.held) + leases.nameless)
            else:
                claim, used = structs.replace(claim, amount=taken[unit]), next(amounts).account.used
            standings.append(Standing(limit, claim, balance_of(claim, used, now=now, last=now, wanted=None)))
        return standings


def hops_of(served: Model | None, candidate: Candidate) -> tuple[str, ...]:
    """The ids on the way to the model that an attempt asks."""
    if candidate.via is not None:
        return candidate.via.hops
    return () if served is None else (served.id,)
