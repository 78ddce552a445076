"""What a caller is told of limits: OpenAI's headers, and the refusal."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from math import ceil
from typing import Any

import msgspec

from ..errors import GatewayBusy, RateLimited
from ..http.asgi import RawHeaders
from .accounts import Shown, Told
from .claims import Balance, Claim
from .limit import NANO, Limit

JITTER = 0.1
"""Those who are refused at once come back within a tenth more of their wait, and not together."""
LONGEST_JITTER = 10.0
"""Seconds; of a day or a month a tenth would be long."""
NAMED = {
    unit: tuple(b"x-ratelimit-%s-%s" % (what, unit.encode()) for what in (b"limit", b"remaining", b"reset"))
    for unit in ("requests", "tokens")
}
"""The headers that OpenAI has, by unit."""


class Standing(msgspec.Struct, frozen=True):
    """One account that a call draws on, as the store has it."""

    limit: Limit
    claim: Claim
    balance: Balance


class LimitExceeded(RateLimited):
    """429: a limit of the gateway's own; the official SDKs wait as told and try again."""

    reason = "limit"


class UpstreamLimited(GatewayBusy):
    """429: a limit by upstream; another upstream may have room."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    reason = "limit"


def refusal(standings: Iterable[Standing]) -> LimitExceeded:
    """For a call that found no room: the limit that is longest in the way is named, and when to come back."""
    worst = max(standings, key=lambda each: each.balance.wait or 0.0)
    wait = worst.balance.wait or 0.0
    budget = worst.limit.unit == "usd"
    message = f"{described(worst.limit)} is used up. {_when(wait)}"
    error = LimitExceeded(message, code="insufficient_quota" if budget else None)
    error.limit = label_of(worst.limit)
    if budget:
        error.type = "insufficient_quota"
    elif worst.limit.unit in NAMED:
        error.type = worst.limit.unit
    jittered = wait + random.random() * min(wait * JITTER, LONGEST_JITTER)  # noqa: S311  # spreads clients
    headers: RawHeaders = [
        (b"retry-after", b"%d" % max(1, ceil(jittered))),
        (b"retry-after-ms", b"%d" % max(1, ceil(jittered * 1000))),
        *headers_of([worst]),
    ]
    if budget:
        headers.append((b"x-should-retry", b"false"))
    error.headers = tuple(headers)
    return error


def unpriced(limit: Limit) -> LimitExceeded:
    """For a call whose model no budget can count."""
    error = LimitExceeded(
        "This model has no price, so that a budget cannot count it.",
        code="insufficient_quota",
        headers={"x-should-retry": "false"},
    )
    error.limit, error.type = label_of(limit), "insufficient_quota"
    return error


def label_of(limit: Limit) -> str:
    """What stands for it in records and metrics: its name, or what it is, as ``60 requests per minute by user``."""
    if limit.name:
        return limit.name
    by = "callable" if callable(limit.by) else ", ".join(limit.scopes)
    return f"{_amount(limit)}{_per(limit)}{f' by {by}' if by else ''}"


def described(limit: Limit) -> str:
    """A limit in words: its name where it has one, its amount and its period."""
    name = f"The limit {limit.name!r}" if limit.name else "The limit"
    return f"{name} of {_amount(limit)}{_per(limit)}"


def _amount(limit: Limit) -> str:
    match limit.unit:
        case "usd":
            return f"{_usd(limit.amount)} USD"
        case "concurrent":
            return f"{limit.amount} calls"
        case _:
            return f"{limit.amount} {limit.unit}"


def _per(limit: Limit) -> str:
    return f" per {limit.per}" if limit.per else " at once"


def headers_of(standings: Iterable[Standing]) -> RawHeaders:
    """``x-ratelimit-*`` of the tightest limit in each unit that OpenAI has headers for."""
    headers: RawHeaders = []
    tightest: dict[str, Standing] = {}
    for each in standings:
        unit = each.limit.unit
        if unit in NAMED and (unit not in tightest or _left(each) < _left(tightest[unit])):
            tightest[unit] = each
    for told, each in tightest.items():
        limit, remaining, reset = NAMED[told]
        balance = each.balance
        headers += (
            (limit, b"%d" % each.claim.capacity),
            (remaining, b"%d" % max(0, balance.remaining)),
            (reset, duration(balance.reset)),
        )
    return headers


def told_of(limits: Sequence[Limit], claims: Sequence[Claim]) -> tuple[Told, ...] | None:
    """None where the tightest of several has to be found, and for periods, which end by the clock."""
    told: dict[str, Told] = {}
    amounts = [(limit, claim) for limit, claim in zip(limits, claims, strict=True) if limit.unit != "concurrent"]
    for place, (limit, claim) in enumerate(amounts):
        if limit.unit in NAMED:
            if limit.unit in told or not claim.rate:
                return None
            name, remaining, reset = NAMED[limit.unit]
            told[limit.unit] = Told(place, (name, b"%d" % claim.capacity), remaining, reset)
    return tuple(told.values())


def add_figures(headers: RawHeaders, shown: Iterable[Shown]) -> None:
    """The same of accounts at hand, where nothing has to be found out."""
    for account, rate, capacity, limit, remaining, reset in shown:
        used = account.used
        left, seconds = capacity - used, used / rate
        headers += (
            limit,
            (remaining, b"%d" % left if left > 0 else b"0"),
            (reset, _MILLISECONDS[ceil(seconds * 1000)] if seconds < 1 else duration(seconds)),
        )


def duration(seconds: float) -> bytes:
    """As OpenAI writes it, which is Go's way: ``12ms``, ``3.89s``, ``6m0s``, ``24h0m0s``."""
    if seconds < 1:
        return _MILLISECONDS[ceil(seconds * 1000)]
    return _hundredths(ceil(seconds * 100))


_MILLISECONDS = tuple([b"%dms" % count for count in range(1001)])


@lru_cache(maxsize=4096)
def _hundredths(count: int) -> bytes:
    hours, rest = divmod(count / 100, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{rest:.2f}".rstrip("0").rstrip(".") + "s"
    if hours or minutes:
        text = f"{minutes:.0f}m{text}"
    return (f"{hours:.0f}h{text}" if hours else text).encode()


def encoded(standings: Iterable[Standing], *, keys: bool = True) -> bytes:
    """A list of limits as JSON: amounts in the unit's own words, money as text, times in seconds. ``keys``: with those
    of the accounts, which may name a model behind a preset and are for administrators."""
    entries = [_entry(each) | ({"key": each.claim.key} if keys else {}) for each in standings]
    return msgspec.json.encode({"object": "list", "data": entries})


def _entry(standing: Standing) -> dict[str, Any]:
    limit, capacity, left = standing.limit, standing.claim.capacity, standing.balance.remaining
    shown = {"amount": capacity, "used": capacity - left, "left": max(0, left)}
    amounts = {name: _usd(amount) for name, amount in shown.items()} if limit.unit == "usd" else shown
    by = "callable" if callable(limit.by) else list(limit.scopes)
    entry = {"object": "limit", "name": limit.name, "unit": limit.unit, "per": limit.per, "by": by, **amounts}
    return {**entry, "resets_in": round(standing.balance.reset, 3)}


def _usd(nano: int) -> str:
    return f"{Decimal(nano) / NANO:f}"


def _left(standing: Standing) -> float:
    return standing.balance.remaining / standing.claim.capacity


def _when(wait: float) -> str:
    return f"Please try again in {duration(wait).decode()}."
