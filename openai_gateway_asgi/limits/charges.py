"""What a call is charged: what it is expected to cost before it is made, and what it used when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from ..host.prices import Priced, Prices
from ..host.records import AttemptRecord, Outcome, UsageRecord
from ..host.usage import Usage
from .limit import LARGEST, NANO, UNITS, Limit, Unit
from .reservation import WHOLE_CALL, Call, Reservation, Taken
from .told import unpriced


def nano(usd: Decimal) -> int:
    """In nano-dollars; an upstream, or the host's prices, may say anything."""
    return min(int(usd * NANO), LARGEST)


def expected_cost(prices: Prices | None, call: Call) -> int | None:
    """In nano-dollars; None where there is no price. Of an upstream that tells the cost itself nothing can be reserved
    where no price is known: its calls are charged when they are over."""
    cost = None if prices is None else _cost(prices, call)
    return 0 if cost is None and any(each.upstream.tells_cost for each in call.candidates) else cost


def expected_usd(prices: Prices | None, limit: Limit, call: Call) -> int | None:
    """The same for a limit; None where it lets models without a price pass, else ``LimitExceeded`` is raised."""
    cost = expected_cost(prices, call)
    if cost is None and limit.unpriced == "refuse":
        raise unpriced(limit)
    return cost


def _cost(prices: Prices, call: Call) -> int | None:
    """Of tokens, or of what else a model may be priced by; None where there is no price for either."""
    expected = call.expected
    ways = [Usage(input=expected.input, output=expected.output)]
    others = Usage(characters=expected.characters, images=expected.images, seconds=expected.seconds)
    if others:
        ways.append(others)
    for each in call.candidates:
        ids = tuple(dict.fromkeys((each.model_id, *reversed(call.subject.models))))
        for usage in ways:
            cost = prices.cost(Priced(each.upstream.name, each.upstream.base_url, ids, usage))
            if cost is not None:
                return nano(cost.usd)
    return None


Charge = tuple[int | None, int | None, int | None, int]
"""What a call used, by unit in the order of ``UNITS``; None: what was reserved. Places are given back."""


def charge_of(record: UsageRecord, counted: UsageRecord | AttemptRecord) -> Charge:
    """``counted`` is the record, or the one of its attempts that is charged."""
    usage, cost = counted.usage, counted.cost
    tokens = None if usage is None else usage.tokens
    usd = None if cost is None else nano(cost)
    if not record.attempts:
        return 0, tokens or 0, usd or 0, 0
    if tokens is None and not _generated(record):
        return None, 0, usd or 0, 0
    return None, tokens, usd, 0


def _generated(record: UsageRecord) -> bool:
    """Whether something was made, although nobody told what it used."""
    if record.outcome in (Outcome.COMPLETED, Outcome.CLIENT_GONE):
        return True
    return record.first_byte is not None and record.outcome is not Outcome.REJECTED


def used_in(reservation: Reservation, record: UsageRecord) -> list[int]:
    """What a call used of each claim that it holds."""
    whole, last = charge_of(record, record), None
    amounts: list[int] = []
    for limit, claim in reservation.held:
        charge = whole
        if limit.per_attempt and record.tries:
            # What an upstream is charged is its own attempt's; those before it were settled when they failed.
            charge = last = last or charge_of(record, record.tries[-1])
        used = charge[UNITS.index(limit.unit)]
        if used is None:
            reserved = claim.reserved + reservation.parts.covered.get(claim.key, 0)
            used = max(reserved, _told(reservation, limit.unit))
        amounts.append(used)
    if reservation.parts.asks or reservation.outer is not None:
        return _among_calls(reservation, amounts, record)
    return amounts


def _told(reservation: Reservation, unit: Unit) -> int:
    """What was told of an answer, by an estimate: one that is longer than was expected is not charged as if it were
    not."""
    told = reservation.told
    if told is None:
        return 0
    if unit == "usd":
        return 0 if told.cost is None else nano(told.cost)
    return (None if told.usage is None else told.usage.tokens) or 0 if unit == "tokens" else 0


def _among_calls(reservation: Reservation, amounts: Sequence[int], record: UsageRecord) -> list[int]:
    """What is charged to a call that has parts, or is one."""
    used = {claim.key: amount for (_, claim), amount in zip(reservation.held, amounts, strict=True)}
    if reservation.parts.asks:
        _take_off_asked(reservation, used, record)
    if reservation.outer is not None:
        _add_to_outer(reservation, {key: amount + reservation.parts.asked.get(key, 0) for key, amount in used.items()})
    return [used[claim.key] for _, claim in reservation.held]


def _take_off_asked(reservation: Reservation, used: dict[str, int], record: UsageRecord) -> None:
    """A call is charged beyond what its parts were charged; one that says nothing of itself used nothing else."""
    silent = record.usage is None or record.usage.tokens is None
    for limit, claim in reservation.held:
        if limit.unit not in WHOLE_CALL:
            asked = reservation.parts.asked.get(claim.key, 0)
            used[claim.key] = 0 if silent else max(0, used[claim.key] - asked)


def _add_to_outer(reservation: Reservation, used: Mapping[str, int]) -> None:
    """Tells the call around it what this one used, and its own parts."""
    outer = reservation.outer
    if outer is not None:
        parts = outer.parts
        parts.asks += 1
        for key, amount in used.items():
            parts.asked[key] = parts.asked.get(key, 0) + amount


def used_by_attempt(limit: Limit, attempt: AttemptRecord | None) -> int:
    """What a failed attempt is known to have used, in the unit of a limit."""
    if attempt is None or limit.unit == "concurrent":
        return 0
    if limit.unit == "usd":
        return 0 if attempt.cost is None else nano(attempt.cost)
    return (None if attempt.usage is None else attempt.usage.tokens) or 0


def correction(reservation: Reservation, record: UsageRecord) -> Taken | None:
    """What a call used more, or less, than was taken for it in one pass; None where ``used_in`` has to say."""
    taken = reservation.taken
    if taken is None or reservation.with_parts is not None:
        return None
    usage = record.usage
    if usage is not None and record.attempts and not reservation.plan.is_priced:  # as `charge_of` has it of most calls
        input, output = usage.input, usage.output
        if input is not None and output is not None:
            return 0, input + output - taken[1], 0
    requests, tokens, usd, _ = charge_of(record, record)
    return (
        0 if requests is None else requests - taken[0],
        max(0, _told(reservation, "tokens") - taken[1]) if tokens is None else tokens - taken[1],
        max(0, _told(reservation, "usd") - taken[2]) if usd is None else usd - taken[2],
    )
