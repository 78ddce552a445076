"""Which models a limit of money would refuse, because nobody knows what they cost: told at the start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..config.findings import Finding
from ..config.model_ids import is_pattern
from ..config.upstream import Upstream
from ..host.prices import Priced, Prices
from ..host.usage import Usage
from ..models.prefix import public_id
from .limit import Limit

NAMED = 5
"""Models without a price that the warning names."""


def unpriced_models(limits: Iterable[Limit], prices: Prices | None, upstreams: Sequence[Upstream]) -> list[str]:
    """The public ids, of the models that ``model_ids`` names."""
    refusing = [limit for limit in limits if limit.unit == "usd" and limit.unpriced == "refuse"]
    if not refusing:
        return []
    named = [
        (upstream, id)
        for upstream in upstreams
        if upstream.enabled and not upstream.tells_cost
        for id in upstream.model_ids
        if not is_pattern(id)
    ]
    found: dict[str, bool] = {}
    for upstream, id in named:
        public = public_id(upstream.prefix_id, id)
        if any(limit.concerns((public,)) for limit in refusing):
            asked = Priced(upstream.name, upstream.base_url, tuple(dict.fromkeys((id, public))), Usage())
            found[public] = found.get(public, False) or (prices is not None and prices.known(asked))
    return [public for public, known in found.items() if not known]


def refuses_all(limits: Iterable[Limit], prices: Prices | None, upstreams: Sequence[Upstream]) -> bool:
    """Whether nobody gives prices, and there are upstreams whose models have none then."""
    refusing = any(limit.unit == "usd" and limit.unpriced == "refuse" for limit in limits)
    return refusing and prices is None and any(each.enabled and not each.tells_cost for each in upstreams)


WITHOUT_PRICES = Finding(
    "unpriced_models", "prices", "are not given, and a limit of money refuses models without a price",
    "write prices={'gpt-*': Price(input='2.50', output='10')}, genai_prices(), or Limit(unpriced=\"allow\")",
)  # fmt: skip


def finding_of(models: Sequence[str]) -> Finding:
    shown = ", ".join(map(repr, models[:NAMED])) + (f" and {len(models) - NAMED} more" if len(models) > NAMED else "")
    return Finding(
        "unpriced_models", "prices", f"has no price for {shown}, whose calls a limit of money refuses",
        'add their prices, or write Limit(unpriced="allow")',
    )  # fmt: skip
