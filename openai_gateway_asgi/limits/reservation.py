"""What one call has taken from its limits, until it is settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..host.usage import Usage
from .claims import Claim
from .limit import Limit, Subject
from .told import Standing

WHOLE_CALL = ("requests", "concurrent")
"""Units that a call takes once, whatever it asks of others."""


@dataclass(slots=True)
class Reservation:
    """``held`` are the claims that were granted, ``standings`` what the store said of them, for the answer."""

    subject: Subject
    expected: Usage
    """That the call is expected to use."""
    limits: Sequence[Limit]
    held: list[tuple[Limit, Claim]] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    settled: bool = False
    outer: Reservation | None = None
    """That of the call within which this one is made, as a part of it."""
    asks: int = 0
    """Calls that were parts of this one and have been settled."""
    asked: dict[str, int] = field(default_factory=dict)
    """What they used, by the key of the claim."""

    def of_outer(self) -> set[str]:
        """The keys of what the calls around this one hold: a part takes no place and no request beside theirs."""
        taken: set[str] = set()
        outer = self.outer
        while outer is not None:
            if not outer.settled:
                taken.update([claim.key for limit, claim in outer.held if limit.unit in WHOLE_CALL])
            outer = outer.outer
        return taken

    def add_to_outer(self, used: Mapping[str, int]) -> None:
        """Tells the call around it what this one used, and its own parts."""
        outer = self.outer
        if outer is not None:
            outer.asks += 1
            for key, amount in used.items():
                outer.asked[key] = outer.asked.get(key, 0) + amount
