"""What one call has taken from its limits, until it is settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..host.usage import Usage
from .claims import Claim
from .limit import Limit, Subject
from .told import Standing


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
