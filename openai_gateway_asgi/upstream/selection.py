"""In which order the upstreams of a model are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..models import Candidate
from ..models.weights import draw

Translated = Callable[[Candidate], bool]
"""Whether a call would have to be translated for a candidate: those of its priority that need not are asked before."""


def as_it_is(_candidate: Candidate) -> bool:
    return False


def ordered(candidates: Sequence[Candidate], translated: Translated = as_it_is) -> Sequence[Candidate]:
    """By priority, a smaller number first; within one in their own order, or drawn by weight where one has a weight."""
    if len(candidates) == 1:
        return candidates
    drawn = {each.upstream.priority for each in candidates if each.upstream.weight is not None}

    def place(candidate: Candidate) -> tuple[int, bool, float]:
        priority = candidate.upstream.priority
        return (priority, translated(candidate), -draw(candidate.upstream.weight or 1) if priority in drawn else 0.0)

    return sorted(candidates, key=place)


def shares(candidates: Sequence[Candidate], translated: Translated = as_it_is) -> Sequence[float]:
    """Of each, how often it is the first to be asked among those of its priority, from 0 to 1."""
    drawn = {each.upstream.priority for each in candidates if each.upstream.weight is not None}
    found = []
    for index, candidate in enumerate(candidates):
        priority = candidate.upstream.priority
        peers = [
            each
            for each in candidates
            if each.upstream.priority == priority and translated(each) == translated(candidate)
        ]
        if priority in drawn:
            found.append((candidate.upstream.weight or 1) / sum(each.upstream.weight or 1 for each in peers))
        else:
            found.append(float(candidates[index] is peers[0]))
    return found


def likeliest_first(candidates: Sequence[Candidate], translated: Translated = as_it_is) -> Sequence[Candidate]:
    """The order of ``ordered``, without the draw: of those that are drawn, a greater weight first."""
    drawn = {each.upstream.priority for each in candidates if each.upstream.weight is not None}

    def place(candidate: Candidate) -> tuple[int, bool, int]:
        priority = candidate.upstream.priority
        return (priority, translated(candidate), -(candidate.upstream.weight or 1) if priority in drawn else 0)

    return sorted(candidates, key=place)
