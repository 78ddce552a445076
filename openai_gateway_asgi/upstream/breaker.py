"""Circuit breakers, one per upstream and model: a failing one is left alone for a while."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

FAILURES = 5
"""In a row, until a breaker opens."""

FIRST_COOL_DOWN = 1.0
LONGEST_COOL_DOWN = 10.0
"""Seconds; short, so that a recovery is noticed within them. Doubles with each probe that fails."""

LONGEST_ASKED = 60.0
"""A ``retry-after`` is honoured as a cool-down up to this many seconds."""

MOST_BREAKERS = 10_000


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """The cool-down is over; one call, the probe, decides."""


@dataclass(slots=True)
class Breaker:
    """Times are in seconds of any one monotonic clock; ``call`` is whatever tells one call from another.

    Calls that began before it opened say nothing new when they end: neither do they close it, nor prolong it.
    """

    failures: int = 0
    open_until: float = 0.0
    cool_down: float = 0.0
    probe: object | None = None

    def state(self, now: float) -> State:
        if not self.open_until:
            return State.CLOSED
        return State.OPEN if now < self.open_until else State.HALF_OPEN

    def enter(self, call: object, now: float) -> bool:
        """Whether a call may go now; half-open lets one through, until it has ended."""
        match self.state(now):
            case State.CLOSED:
                return True
            case State.HALF_OPEN if self.probe is None:
                self.probe = call
                return True
            case _:
                return False

    def decided_by(self, call: object) -> bool:
        return not self.open_until or self.probe is call

    def failed(self, call: object, now: float, retry_after: float | None = None) -> None:
        """``retry_after`` is what the upstream asked for, and opens at once."""
        if retry_after is not None:
            self.open_until = max(self.open_until, now + min(retry_after, LONGEST_ASKED))
        elif self.decided_by(call):
            self.failures += 1
            if self.probe is call or self.failures >= FAILURES:
                self.cool_down = min(max(self.cool_down * 2, FIRST_COOL_DOWN), LONGEST_COOL_DOWN)
                self.open_until = now + self.cool_down
        self.let_go(call)

    def let_go(self, call: object) -> None:
        """The call has ended; without a verdict, if its client left or the fault was its own."""
        if self.probe is call:
            self.probe = None


class Breakers:
    """Those that have something to remember; a healthy one is not kept."""

    def __init__(self) -> None:
        self._breakers: OrderedDict[tuple[str, str], Breaker] = OrderedDict()

    def find(self, upstream: str, model: str) -> Breaker | None:
        return self._breakers.get((upstream, model))

    def note_failure(self, upstream: str, model: str, call: object, now: float, retry_after: float | None) -> None:
        breaker = self._breakers.setdefault((upstream, model), Breaker())
        breaker.failed(call, now, retry_after)
        if len(self._breakers) > MOST_BREAKERS:
            self._breakers.popitem(last=False)

    def note_success(self, upstream: str, model: str, call: object) -> None:
        breaker = self._breakers.get((upstream, model))
        if breaker is not None and breaker.decided_by(call):
            del self._breakers[upstream, model]

    def note_nothing(self, upstream: str, model: str, call: object) -> None:
        """The call ended without a verdict."""
        breaker = self._breakers.get((upstream, model))
        if breaker is not None:
            breaker.let_go(call)

    def states(self, now: float) -> dict[tuple[str, str], State]:
        """Every breaker that is not plainly closed, by upstream and model."""
        found = {key: breaker.state(now) for key, breaker in self._breakers.items()}
        return {key: state for key, state in found.items() if state is not State.CLOSED}
