"""What is remembered of upstreams that failed, and of whom it is held: nothing of healthy ones, and never too much."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from ..config import Upstream
from ..errors import GatewayError
from ..http.retry_after import retry_after
from .breaker import Breaker, State
from .failures import ACTIONS, LIMITED, SHORT_WAIT, SILENT, Remembered, classify

MOST = 10_000
"""Breakers that are kept; the one that heard nothing for longest goes first."""


class Place(NamedTuple):
    """What failures are counted for."""

    upstream: str
    """Its name."""
    model: str
    """Its id there; of calls on stored objects the kind of objects."""
    scope: str | None
    """None: whoever asks. Otherwise who is meant by the credential: empty for the gateway's own."""


Places = tuple[Place, Place]
"""Where a call's failures may be counted: that of everybody, and that of its credential."""


class Rest(NamedTuple):
    """That an upstream is left alone: for so many seconds more, and whether because of a rate limit."""

    seconds: float
    limited: bool


class Blame(NamedTuple):
    """Whose call it was and with which body, as digests."""

    user: int
    body: int


Told = Callable[[Place, State, float], None]
"""Hears of each breaker that opens, and for how many seconds, or closes."""


class Memory:
    """A breaker per upstream and model, and one more per credential, while they have failures to remember."""

    def __init__(self, told: Told = lambda place, state, seconds: None) -> None:
        self._told = told
        self._breakers: OrderedDict[Place, Breaker] = OrderedDict()
        self._entries: dict[str, Upstream] = {}

    def __bool__(self) -> bool:
        return bool(self._breakers)

    def enter(self, places: Places, call: object, now: float, *, alone: bool) -> Rest | None:
        """None if the call may go, and otherwise why not."""
        for place in places:
            breaker = self._breakers.get(place)
            if breaker is not None and not breaker.enter(call, now, alone=alone):
                self.leave(places, call)
                return Rest(max(0.0, breaker.open_until - now), breaker.limited)
        return None

    def rest_of(self, places: Places, now: float, *, alone: bool) -> Rest | None:
        """What ``enter`` would say; nothing is changed by asking."""
        for place in places:
            breaker = self._breakers.get(place)
            if breaker is not None and not breaker.admits(now, alone=alone):
                return Rest(max(0.0, breaker.open_until - now), breaker.limited)
        return None

    def resting(self, places: Places, now: float) -> bool:
        """Whether an upstream is to be left alone there, whoever may be let through."""
        return any(self._breakers[place].state(now) is not State.CLOSED for place in places if place in self._breakers)

    def probed_by(self, places: Places, call: object) -> bool:
        return any(self._breakers[place].probe is call for place in places if place in self._breakers)

    def failed(
        self,
        places: Places,
        call: object,
        error: GatewayError,
        began: float,
        now: float,
        *,
        blame: Callable[[], Blame],
        counted: set[Place],
    ) -> None:
        """``counted``: the places where this request's failures have been counted already; the next does not count."""
        failure = classify(error)
        action = ACTIONS[failure]
        if action.remembered is not Remembered.NOT:
            place = places[action.remembered is Remembered.CREDENTIAL]
            breaker = self._breakers.get(place) or Breaker()
            was_closed = breaker.state(now) is State.CLOSED
            limited, seconds, times = failure in LIMITED, retry_after(error.headers) or 0.0, 1
            if action.doubted:  # nor does one caller's own fault ask everybody to wait
                times = 0 if place in counted else breaker.doubt(*blame(), now)
            if seconds > SHORT_WAIT and times:
                breaker.limited = limited
                breaker.rest(now, seconds)
            elif place not in counted:
                breaker.failed(call, began, now, times=times, limited=limited, silent=failure in SILENT)
            counted.add(place)
            self._keep(place, breaker)
            if was_closed and breaker.state(now) is State.OPEN:
                self._told(place, State.OPEN, breaker.open_until - now)
        self.leave(places, call)

    def succeeded(self, places: Places, call: object, began: float) -> None:
        for place in places:
            breaker = self._breakers.get(place)
            if breaker is not None:
                breaker.let_go(call)
                if breaker.decided_by(began):
                    self._close(place)

    def leave(self, places: Places, call: object) -> None:
        """The call has ended, without a verdict unless there was one before."""
        for place in places:
            breaker = self._breakers.get(place)
            if breaker is not None:
                breaker.let_go(call)

    def keep_only(self, upstreams: Iterable[Upstream]) -> None:
        """Forgets what was of upstreams that a new configuration has no longer, or has otherwise."""
        before, self._entries = self._entries, {upstream.name: upstream for upstream in upstreams}
        self.forget([name for name, entry in before.items() if self._entries.get(name) != entry])

    def forget(self, upstreams: Collection[str]) -> None:
        """Forgets what was of these: they have been seen to work."""
        for place in [place for place in self._breakers if place.upstream in upstreams]:
            self._close(place)

    def _close(self, place: Place) -> None:
        if self._breakers.pop(place).open_until:
            self._told(place, State.CLOSED, 0.0)

    def states(self, now: float) -> dict[tuple[str, str], State]:
        """Every breaker that is not plainly closed, by upstream and model; of credentials only the gateway's own."""
        found: dict[tuple[str, str], State] = {}
        for place, breaker in self._breakers.items():
            state = breaker.state(now)
            if state is not State.CLOSED and not place.scope and found.get(place[:2]) is not State.OPEN:
                found[place[:2]] = state
        return found

    def _keep(self, place: Place, breaker: Breaker) -> None:
        self._breakers[place] = breaker
        self._breakers.move_to_end(place)
        if len(self._breakers) > MOST:
            self._breakers.popitem(last=False)
