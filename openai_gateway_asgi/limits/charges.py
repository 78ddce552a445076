"""What a call is charged: what it is expected to cost before it is made, and what it used when it is over."""

from __future__ import annotations

from collections.abc import Sequence

from ..host.prices import Priced, Prices
from ..host.records import AttemptRecord, Outcome, UsageRecord
from ..host.usage import Usage
from ..models import Candidate
from .claims import Claim
from .limit import NANO, Limit, Subject


def expected_cost(prices: Prices, subject: Subject, expected: Usage, candidates: Sequence[Candidate]) -> int | None:
    """In nano-dollars: of tokens, or of what else a model may be priced by; None where there is no price for either."""
    ways = [Usage(input=expected.input, output=expected.output)]
    others = Usage(characters=expected.characters, images=expected.images, seconds=expected.seconds)
    if others:
        ways.append(others)
    for each in candidates:
        ids = tuple(dict.fromkeys((each.model_id, *reversed(subject.models))))
        for usage in ways:
            priced = Priced(each.upstream.name, each.upstream.base_url, ids, usage)
            cost = prices.cost(priced)
            if cost is not None:
                return int(cost.usd * NANO)
    return None


def used(limit: Limit, claim: Claim, record: UsageRecord) -> int:
    """What a call used of one claim, in its unit."""
    unit, nothing_sent = limit.unit, not record.attempts
    if unit == "requests":
        return 0 if nothing_sent else claim.reserved
    # What an upstream is charged is its own attempt's; those before it were settled when they failed.
    counted: UsageRecord | AttemptRecord = record.tries[-1] if limit.per_attempt and record.tries else record
    if limit.unit == "usd" and counted.cost is not None:
        return int(counted.cost * NANO)
    tokens = None if counted.usage is None else counted.usage.tokens
    if tokens is None:
        generated = record.outcome in (Outcome.COMPLETED, Outcome.CLIENT_GONE) or (
            record.first_byte is not None and record.outcome is not Outcome.REJECTED
        )
        return claim.reserved if generated and not nothing_sent else 0
    return tokens if limit.unit == "tokens" else claim.reserved


def used_by_attempt(limit: Limit, attempt: AttemptRecord | None) -> int:
    """What a failed attempt is known to have used, in the unit of a limit."""
    if attempt is None or limit.unit == "concurrent":
        return 0
    if limit.unit == "usd":
        return 0 if attempt.cost is None else int(attempt.cost * NANO)
    return (None if attempt.usage is None else attempt.usage.tokens) or 0
