"""Choosing by weight."""

from __future__ import annotations

import random


def draw(weight: int) -> float:
    """The place of one of several, a greater one first: to sort by these is to choose by weight without replacement
    (Efraimidis and Spirakis, 2006). It needs no memory and no agreement between workers."""
    place: float = random.random() ** (1.0 / weight)  # noqa: S311  # spreads load, guards nothing
    return place
