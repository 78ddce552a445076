"""In which order the upstreams of a model are asked."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..models import Candidate


def ordered(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """By priority, a smaller number first; within one in their own order, or drawn by weight where one has a weight.

    Drawing needs no memory and no agreement between workers.
    """
    if len(candidates) == 1:
        return candidates
    drawn = {each.upstream.priority for each in candidates if each.upstream.weight is not None}

    def place(candidate: Candidate) -> tuple[int, float]:
        priority = candidate.upstream.priority
        return (priority, _draw(candidate) if priority in drawn else 0.0)

    return sorted(candidates, key=place)


def _draw(candidate: Candidate) -> float:
    """Sorting by these draws is choosing by weight without replacement (Efraimidis and Spirakis, 2006)."""
    draw: float = random.random() ** (1.0 / (candidate.upstream.weight or 1))  # noqa: S311  # spreads load, guards nothing
    return -draw


def shares(candidates: Sequence[Candidate]) -> Sequence[float]:
    """Of each, how often it is the first to be asked among those of its priority, from 0 to 1."""
    drawn = {each.upstream.priority for each in candidates if each.upstream.weight is not None}
    found = []
    for index, candidate in enumerate(candidates):
        priority = candidate.upstream.priority
        peers = [each for each in candidates if each.upstream.priority == priority]
        if priority in drawn:
            found.append((candidate.upstream.weight or 1) / sum(each.upstream.weight or 1 for each in peers))
        else:
            found.append(float(candidates[index] is peers[0]))
    return found


def likeliest_first(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """The order of ``ordered``, without the draw: of those that are drawn, a greater weight first."""
    drawn = {each.upstream.priority for each in candidates if each.upstream.weight is not None}

    def place(candidate: Candidate) -> tuple[int, int]:
        priority = candidate.upstream.priority
        return (priority, -(candidate.upstream.weight or 1) if priority in drawn else 0)

    return sorted(candidates, key=place)
