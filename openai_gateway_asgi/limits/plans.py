"""What calls draw on: the accounts of the limits that hold for a user and a model, found once and not for each call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf

from ..host.users import User
from .accounts import Bound
from .limit import UNITS, Limit, Subject
from .periods import CALENDAR
from .told import told_of

MOST_PLANS = 16_384
"""Users and models whose plans are remembered, about 3 kB each."""

METERED = ("tokens", "usd")
"""Units of which a call takes what it is expected to use."""

Drawn = tuple[tuple[Limit, str], ...]
"""Limits with the keys of their accounts, but for their periods."""


def drawn_on(limits: Iterable[Limit], subject: Subject) -> Drawn:
    """The accounts that a call draws on. Of limits that differ by their amounts alone, which have one account, the
    smallest holds, and is drawn on once.

    Raises ``HostFailure`` where a ``by`` of the host's own fails.
    """
    found: dict[str, Limit] = {}
    for limit in limits:
        for key in limit.keys(subject):
            alike = found.get(key)
            if alike is None or limit.amount < alike.amount:
                found[key] = limit
    return tuple([(limit, key) for key, limit in found.items()])


class Plan:
    """What calls of one user and model draw on before an upstream is chosen."""

    __slots__ = (
        "begins", "bound", "counts_usage", "drawn", "ends", "has_periods", "is_metered", "is_priced", "limits",
        "models", "per_attempt",
    )  # fmt: skip

    def __init__(self, limits: Sequence[Limit], subject: Subject, now: float) -> None:
        """``limits`` are all that the host has: others than now hold for a fallback, and at an upstream."""
        self.limits = limits
        self.models = subject.models
        self.drawn = drawn_on([limit for limit in limits if not limit.per_attempt], subject)
        claims = [limit.claim(key, 0, now) for limit, key in self.drawn]
        told = told_of([limit for limit, _ in self.drawn], claims)
        self.bound = Bound(claims, [UNITS.index(limit.unit) for limit, _ in self.drawn], told)
        self.is_priced = any(limit.unit == "usd" for limit, _ in self.drawn)
        self.is_metered = any(limit.unit in METERED for limit, _ in self.drawn)
        self.counts_usage = any(limit.unit in METERED for limit in limits)
        """Whether it matters to any of them what calls use."""
        self.per_attempt = any(limit.per_attempt for limit in limits)
        self.begins, self.ends = 0.0, inf
        """Between these times the keys of its periods are right."""
        self.has_periods = any(limit.per in CALENDAR for limit, _ in self.drawn)
        for limit, _ in self.drawn:
            if (period := limit.period(now)) is not None:
                self.begins, self.ends = max(self.begins, period.begins), min(self.ends, period.ends)


class Plans:
    """Those of limits that hold for everybody; where a ``by`` is the host's own, it may say otherwise the next time."""

    def __init__(
        self, limits: Sequence[Limit], clock: Callable[[], float], released: Callable[[Sequence[Bound]], None]
    ) -> None:
        """``released`` is told of what plans were bound to that are not kept any more."""
        self._limits = limits
        self._clock = clock
        self._released = released
        self._by_groups = any("user_groups" in limit.scopes for limit in limits)
        self._has_periods = any(limit.per in CALENDAR for limit in limits)
        self.known: dict[tuple[str | Iterable[str], ...], Plan] = {}
        """By user and models, and the user's groups where those count: the plan of most calls is found here."""

    def find(self, user: User, models: tuple[str, ...]) -> Plan:
        key = (user.id, *models, user.groups) if self._by_groups else (user.id, *models)
        plan = self.known.get(key)
        if plan is not None:
            if not self._has_periods or plan.begins <= self._clock() < plan.ends:
                return plan
            self._released([plan.bound])
        if len(self.known) >= MOST_PLANS:
            self.clear()
        plan = self.known[key] = Plan(self._limits, Subject(user, models), self._clock())
        return plan

    def clear(self) -> None:
        known, self.known = self.known, {}
        self._released([plan.bound for plan in known.values()])
