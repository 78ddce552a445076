"""One limit as a host writes it, and the claims that a call has to make for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec

from ..config import checks
from ..config.model_ids import ModelIds
from ..config.rules.callables import misfit
from ..errors import ConfigError
from ..host.hooks import Hook
from ..host.users import User
from ..http.request_ids import RequestIds
from ..models import Model
from .claims import Account, Claim
from .periods import CALENDAR, SPANS, Period, period_at

Unit = Literal["requests", "tokens", "usd", "concurrent"]
UNITS: tuple[Unit, ...] = ("requests", "tokens", "usd", "concurrent")
SCOPES = ("user", "model", "upstream", "user_groups")
NANO = 10**9
"""Nano-dollars of a dollar: money is counted in whole numbers."""

SLOW = 0.05
"""Seconds after which a ``by`` of the host's own is named in a warning: all calls wait for it."""

LONGEST_PART = 256
"""Characters of an id in the key of an account."""

LARGEST = 10**18
"""The largest amount of a limit: a billion dollars, in what money is counted in."""

LEASE = 60.0
"""Seconds after which a place is free again unless it is renewed."""

_BUCKET, _PLACES = Account.BUCKET, Account.PLACES

leases = RequestIds()
"""Names of leases: no other process has them."""

By = str | tuple[str, ...] | Callable[[User, Model | None], str | None]


class Subject(msgspec.Struct, frozen=True):
    """What a limit looks at in a call: who asks, and the ids of the model at every hop, the id asked for first."""

    user: User
    models: tuple[str, ...]
    model: Model | None = None
    """For a ``by`` of the host's own."""
    upstream: str | None = None
    """The name of the upstream about to be asked; None before one is chosen."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How much may be used in how long, and who shares it. One of ``requests``, ``tokens``, ``usd``, ``concurrent``.

    ``per``: ``second``, ``minute`` and ``hour`` flow (what was used comes back evenly); ``day``, ``week`` and ``month``
    are periods of the calendar in ``zone``. ``by`` says who has an account of their own: ``user``, ``model``,
    ``upstream``, ``user_groups`` (each group must have room and is charged; users without a group share one), a tuple
    of them, or a callable ``(user, model) -> str | None`` whose None lets the call pass; without it one account is
    everybody's. ``models`` are patterns of model ids; an alias and its base are both looked at.

    ``when_down`` says what a call may do while the store does not answer: ``open`` lets it pass, ``closed`` answers
    503. ``unpriced`` is for ``usd`` alone: whether models without a price are refused or let pass uncounted. ``name``
    stands in refusals and keeps two limits apart that are else alike; an amount that is changed keeps what was used.

    Raises ``ConfigError`` naming the field.
    """

    requests: int | None = None
    tokens: int | None = None
    usd: Decimal | str | int | None = None
    concurrent: int | None = None
    per: str | None = None
    by: By = ()
    models: str | Sequence[str] = "*"
    zone: str = "UTC"
    when_down: Literal["open", "closed"] = "open"
    unpriced: Literal["refuse", "allow"] = "refuse"
    name: str = ""

    unit: Unit = field(init=False, repr=False, compare=False)
    amount: int = field(init=False, repr=False, compare=False)
    """In the unit's whole numbers: requests, tokens, nano-dollars, calls."""
    scopes: tuple[str, ...] = field(init=False, repr=False, compare=False)
    key: str = field(init=False, repr=False, compare=False)
    per_attempt: bool = field(init=False, repr=False, compare=False)
    """Whether it can be judged only once an upstream is chosen."""

    def __post_init__(self) -> None:
        given = [unit for unit in UNITS if getattr(self, unit) is not None]
        if len(given) != 1:
            raise ConfigError("limits", f"give a Limit exactly one of {', '.join(UNITS)}, not {len(given)} of them")
        unit = given[0]
        self._set("unit", unit)
        self._set("amount", _amount(unit, getattr(self, unit)))
        _check_period(unit, self.per)
        self._set("scopes", _scopes(self.by))
        self._set("per_attempt", "upstream" in self.scopes)
        self._set("_own", _hook_of(self.by) if callable(self.by) else None)
        self._set("name", checks.line("limits.name", self.name, empty=True))
        for name, allowed in (("when_down", ("open", "closed")), ("unpriced", ("refuse", "allow"))):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"limits.{name}", f"must be {' or '.join(map(repr, allowed))}")
        given_models: Any = self.models
        given_models = (given_models,) if isinstance(given_models, str) else given_models
        is_list = isinstance(given_models, Iterable) and not isinstance(given_models, Mapping)
        patterns: tuple[Any, ...] = tuple(given_models) if is_list else ()
        if not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
            raise ConfigError("limits.models", "must be patterns of model ids, such as 'gpt-*'")
        self._set("_patterns", ModelIds(patterns))
        self._set("_is_for_all", "*" in patterns)
        self._set("_rate", self.amount / SPANS[self.per] if self.per in SPANS else 0.0)
        try:
            self._set("_zone", ZoneInfo(self.zone))
        except (ValueError, OSError, KeyError, TypeError) as error:  # ZoneInfoNotFoundError is a KeyError
            raise ConfigError("limits.zone", f"{self.zone!r} is no time zone; write one as 'Europe/Berlin'") from error
        own = getattr(self.by, "__qualname__", type(self.by).__name__) if callable(self.by) else list(self.scopes)
        told = json.dumps([unit, self.per, own, sorted(patterns), self.zone, self.name]).encode()
        self._set("key", hashlib.blake2b(told, digest_size=6).hexdigest())

    _own: Hook[[User, Model | None], str | None] | None = field(init=False, repr=False, compare=False)
    _patterns: ModelIds = field(init=False, repr=False, compare=False)
    _is_for_all: bool = field(init=False, repr=False, compare=False)
    _rate: float = field(init=False, repr=False, compare=False)
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _period: Period | None = field(default=None, init=False, repr=False, compare=False)
    """The last one that was asked for."""

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def concerns(self, models: Collection[str]) -> bool:
        """Whether one of a call's models is meant."""
        return bool(models) if self._is_for_all else any(model in self._patterns for model in models)

    def claims(self, subject: Subject, amount: int, now: float) -> list[Claim]:
        """What a call by ``subject`` that uses ``amount`` has to claim; ``now`` is in seconds since the epoch.

        Nothing where none of its models is meant, and where the host's own ``by`` says so.
        """
        return [self.claim(key, amount, now, next(leases)) for key in self.keys(subject)]

    def keys(self, subject: Subject) -> list[str]:
        """Of the accounts that a call by ``subject`` draws on, but for their periods."""
        if not self.concerns(subject.models):
            return []
        return [f"{self.key}/{owner}" for owner in self._owners(subject)]

    def claim(self, key: str, amount: int, now: float, lease: str = "") -> Claim:
        """The claim of one of those; ``lease`` is that of a place."""
        if self._rate:
            return Claim(key, _BUCKET, self.amount, amount, self._rate)
        period = self.period(now)
        if period is None:
            return Claim(key, _PLACES, self.amount, 1, lease=lease, lease_seconds=LEASE)
        return Claim(f"{key}{period.name}/", Account.PERIOD, self.amount, amount, ends=period.ends)

    def period(self, now: float) -> Period | None:
        """Of the calendar; None where it has none."""
        if self.per not in CALENDAR:
            return None
        period = self._period
        if period is None or not period.begins <= now < period.ends:
            period = period_at(now, self.per, self._zone)
            self._set("_period", period)
        return period

    def _owners(self, subject: Subject) -> Iterator[str]:
        if self._own is not None:
            own = _of_host(self._own, subject)
            if own is not None:
                yield f"own={_part(own)}/"
            return
        parts = "".join(f"{scope}={_part(value)}/" for scope, value in self._single(subject))
        if "user_groups" in self.scopes:
            for group in sorted(subject.user.groups) or [""]:
                yield f"{parts}group={_part(group)}/"
        else:
            yield parts

    def _single(self, subject: Subject) -> Iterator[tuple[str, str]]:
        if "user" in self.scopes:
            yield "user", subject.user.id
        if "model" in self.scopes:
            yield "model", next(model for model in reversed(subject.models) if model in self._patterns)
        if "upstream" in self.scopes:
            yield "upstream", subject.upstream or ""


def _hook_of(by: Callable[..., Any]) -> Hook[[User, Model | None], str | None]:
    hook: Hook[[User, Model | None], str | None] = Hook("Limit.by", by, slow=SLOW)
    if hook.is_async:
        raise ConfigError("limits.by", "must be a plain function: each call waits for it; write `def`, not `async def`")
    if (taken := misfit(by, 2)) is not None:
        raise ConfigError("limits.by", f"takes ({taken}) and is called with (user, model); write it so")
    return hook


def _of_host(by: Hook[[User, Model | None], str | None], subject: Subject) -> str | None:
    """Raises ``HostFailure`` where the host's own ``by`` raises, or gives what is no name of an account."""
    own: object = by.now(subject.user, subject.model)
    if own is not None and not isinstance(own, str):
        raise by.failed(f"returned {type(own).__name__}; return a str, or None")
    return own


def mark_of(user_id: str) -> str:
    """The part of every key that belongs to this user, by which a store can erase them."""
    return f"user={_part(user_id)}"


def _part(text: str) -> str:
    """One that is long is told by its digest: accounts are kept by their keys."""
    if len(text) > LONGEST_PART:
        return f"~{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
    return text if text.isalnum() and text.isascii() else quote(text, safe="", errors="surrogatepass")


def _amount(unit: Unit, value: Any) -> int:
    if unit == "usd":
        try:
            money = Decimal(value) if isinstance(value, str | Decimal) or type(value) is int else None
        except InvalidOperation:
            money = None
        if money is None or not money.is_finite() or not 1 <= money * NANO <= LARGEST:
            raise ConfigError("limits.usd", "must be an amount of dollars above 0, as '5.00' or a Decimal")
        return int(money * NANO)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LARGEST:
        raise ConfigError(f"limits.{unit}", "must be a whole number above 0")
    return value


def _check_period(unit: Unit, per: Any) -> None:
    allowed = (*SPANS, *CALENDAR)
    if unit == "concurrent":
        if per is not None:
            raise ConfigError("limits.per", "a limit of concurrent calls has no period; leave `per` out")
    elif per not in allowed:
        raise ConfigError("limits.per", f"must be one of {', '.join(allowed)}")


def _scopes(by: Any) -> tuple[str, ...]:
    if callable(by):
        return ()
    scopes = (by,) if isinstance(by, str) else by
    if not isinstance(scopes, tuple) or not all(scope in SCOPES for scope in scopes):
        raise ConfigError("limits.by", f"must be of {', '.join(SCOPES)}, a tuple of them, or a callable (user, model)")
    return tuple(scope for scope in SCOPES if scope in scopes)
