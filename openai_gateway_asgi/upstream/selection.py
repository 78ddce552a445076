"""In which order the upstreams of a model are asked."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..models import Candidate


def ordered(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """By priority (a smaller number first); within one, drawn by weight, which needs no memory and no agreement."""
    if len(candidates) == 1:
        return candidates
    return sorted(candidates, key=lambda candidate: (candidate.upstream.priority, _draw(candidate.upstream.weight)))


def _draw(weight: int) -> float:
    """Sorting by these draws is choosing by weight without replacement (Efraimidis and Spirakis, 2006)."""
    return -(random.random() ** (1.0 / weight))  # noqa: S311  # spreads load, guards nothing
