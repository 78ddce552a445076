"""A circuit breaker: an upstream that keeps failing is left alone for a while."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

FAILURES = 5
"""In a row, until a breaker opens."""

FIRST_COOL_DOWN = 1.0
"""Seconds that an open breaker rests for the first time."""
LONGEST_COOL_DOWN = 10.0
"""Seconds; short, so that a recovery is noticed within them. Doubles with each probe that fails."""

LONGEST_ASKED = 60.0
"""A ``retry-after`` is honoured as a cool-down up to this many seconds."""

DOUBT = 60.0
"""Seconds for which a failure that may be its caller's own is kept in mind."""


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """The cool-down is over; one call, the probe, decides."""


class Doubt(NamedTuple):
    """A failure that its body may have caused; both are digests."""

    user: int
    body: int
    at: float


@dataclass(slots=True)
class Breaker:
    """Times are in seconds of any one monotonic clock; ``call`` is whatever tells one call from another.

    Calls that began before it opened say nothing new when they end: neither do they close it, nor prolong it.
    """

    limited: bool = False
    """Whether it is about a rate limit: that is over when its time is, and needs no probe."""
    failures: int = 0
    opened_at: float = 0.0
    open_until: float = 0.0
    cool_down: float = 0.0
    silent: bool = False
    """Whether it last failed by silence, so that asking it again takes long."""
    probe: object | None = None
    doubts: tuple[Doubt, ...] = ()
    believed: bool = False
    """Whether what may be a caller's own fault has been found not to be."""

    def state(self, now: float) -> State:
        if now < self.open_until:
            return State.OPEN
        return State.CLOSED if self.limited or not self.open_until else State.HALF_OPEN

    def enter(self, call: object, now: float, *, alone: bool = False) -> bool:
        """Whether a call may go now; half-open lets one through, until it has ended.

        One with nobody else to ask (``alone``) always may, but for silence: then one at a time.
        """
        state = self.state(now)
        if state is State.CLOSED:
            return True
        if self._wants_probe(state, alone):
            self.probe = call
            return True
        return alone and not self.silent

    def admits(self, now: float, *, alone: bool = False) -> bool:
        """Whether ``enter`` would let a call in; nothing is changed by asking."""
        state = self.state(now)
        return state is State.CLOSED or self._wants_probe(state, alone) or (alone and not self.silent)

    def _wants_probe(self, state: State, alone: bool) -> bool:
        return self.probe is None and (alone or state is State.HALF_OPEN)

    def decided_by(self, began: float) -> bool:
        return began >= self.opened_at

    def failed(
        self, call: object, began: float, now: float, *, times: int = 1, limited: bool = False, silent: bool = False
    ) -> None:
        """``times``: how many failures are to be counted."""
        if not times or not self.decided_by(began):
            return
        state = self.state(now)
        self.failures += times
        self.limited, self.silent = limited, silent
        probed = state is State.HALF_OPEN and self.probe is call
        if probed or (state is State.CLOSED and self.failures >= FAILURES):
            self.cool_down = min(max(self.cool_down * 2, FIRST_COOL_DOWN), LONGEST_COOL_DOWN)
            self.opened_at, self.open_until = now, now + self.cool_down

    def rest(self, now: float, seconds: float) -> None:
        """The upstream asked to be left alone for so long."""
        until = now + min(seconds, LONGEST_ASKED)
        if until > self.open_until:
            self.opened_at, self.open_until = now, until

    def doubt(self, user: int, body: int, now: float) -> int:
        """How many failures are counted for one that may be its caller's own fault: none until a second user had one,
        or one user had it with several different bodies."""
        if self.believed:
            return 1
        kept = [each for each in self.doubts if each.at > now - DOUBT and (each.user, each.body) != (user, body)]
        self.doubts = (*kept[-FAILURES:], Doubt(user, body, now))
        if len({each.user for each in self.doubts}) == 1 and len(self.doubts) < FAILURES:
            return 0
        times, self.doubts, self.believed = len(self.doubts), (), True
        return times

    def let_go(self, call: object) -> None:
        """The call has ended; without a verdict, if its client left or the fault was its own."""
        if self.probe is call:
            self.probe = None
