"""How long one attempt may take, step by step. The clocks are not moved: they are looked at, now and then."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from time import monotonic

from ..causes import Cause, Failure
from ..config import Settings, Timeouts
from ..errors import UpstreamTimeout
from ..exchange import Exchange
from ..http.cancellation import Deadline, Due
from ..http.whole_answers import client_stalled
from ..upstream.response_reads import too_late

SLACK = 1.0
"""Seconds at most, and a twentieth of the idle time, by which an upstream that falls silent is given up late: so
seldom are events looked into for whether they tell anything."""

SLOW = 0.05
"""Seconds from which on a client that takes a piece has kept its upstream waiting."""

_NEVER = float("inf")


def gone_silent() -> UpstreamTimeout:
    silent = UpstreamTimeout("The upstream fell silent in the middle of its answer.")
    return silent.because(Cause("timeout", message="fell silent in the middle of its answer"))


def too_slow() -> UpstreamTimeout:
    slow = UpstreamTimeout("The upstream did not begin to answer in time.")
    return slow.because(Cause("timeout", message="nothing came of it within failover_after"), Failure.SLOW)


class Stage(Enum):
    """How far an answer has come, and so which clock runs beside the total."""

    NOTHING = "first_event of a stream, or answer"
    SHOWN = "answer: a comment or a start-up event came, so the request is queued, or thought about"
    WRITTEN = "stall: text came of a stream that is held until it is whole"
    TOLD = "idle"
    WHOLE = "none"


class Clocks:
    """The clocks of one attempt, from before its request is sent; while its client is sent something, only its own."""

    __slots__ = (
        "_began",
        "_deadline",
        "_exchange",
        "_settings",
        "_show",
        "_show_at",
        "_silent_at",
        "_stage",
        "_timeouts",
        "bounded",
        "look_at",
        "sent_at",
    )

    def __init__(self, deadline: Deadline, exchange: Exchange, settings: Settings, timeouts: Timeouts) -> None:
        self._deadline = deadline
        self._exchange = exchange
        self._settings = settings
        self._timeouts = timeouts
        self._began = monotonic()
        self._stage = Stage.NOTHING
        self.bounded = False
        """Whether all of the answer, and not only its beginning, is to be there in the time for an answer."""
        self._show: Callable[[], None] | None = None
        self.sent_at = 0.0
        """When the piece that is being sent began to be; 0 while the upstream is waited for."""
        self.look_at = 0.0
        """When it is time to look whether what comes tells anything: until then ``told`` need not be called."""
        deadline.follow(self.due)

    def restart(self) -> None:
        """The upstream has taken a piece of the body, so that its time to answer begins again."""
        if self._stage is Stage.NOTHING:
            self._began = monotonic()

    def shown(self) -> None:
        """A comment or a start-up event came."""
        if self._stage is Stage.NOTHING:
            self._stage = Stage.SHOWN

    def told(self, now: float) -> None:
        """Something of the answer came."""
        idle = self._timeouts.idle
        slack = SLACK if idle > 20 * SLACK else idle / 20
        self._stage = Stage.TOLD
        self.look_at = now + slack
        self._silent_at = now + idle + slack

    def written(self) -> None:
        """Something came of a stream that is held, behind text of its answer or arguments of a tool, or with them."""
        self._stage = Stage.WRITTEN
        self._silent_at = monotonic() + self._timeouts.stall

    def resume(self, now: float) -> None:
        """The client took its time, which is not the upstream's."""
        if self._stage is Stage.TOLD:
            self._silent_at = max(self._silent_at, now + self._timeouts.idle)

    def whole(self) -> None:
        """Nothing is waited for any more that could be late."""
        self._stage = Stage.WHOLE

    def remind(self, at: float, show: Callable[[], None]) -> None:
        """Calls ``show`` at that time, unless ``forget`` is called before."""
        self._show_at, self._show = at, show
        self._deadline.look(at)

    def forget(self) -> None:
        self._show = None

    def due(self) -> Due:
        """For a deadline: when to look again, or since when it is too late, and what that means."""
        now = monotonic()
        if self._show is not None and now >= self._show_at:
            show, self._show = self._show, None
            show()
        at, failure = self._due()
        # A clock that begins to run is looked at in time: at least as often as any may run.
        timeouts = self._timeouts
        shortest = min(
            timeouts.first_event, timeouts.answer, timeouts.idle, timeouts.stall, self._settings.send_timeout
        )
        again = now + shortest
        if self._show is not None:
            again = min(again, self._show_at)
        return min(at, again), failure

    def _due(self) -> Due:
        if self.sent_at and not self._exchange.shared:
            return self.sent_at + self._settings.send_timeout, client_stalled
        stage, timeouts = self._stage, self._timeouts
        over_at = _NEVER if timeouts.total is None else self._exchange.arrived + timeouts.total
        if stage is Stage.WHOLE:
            return _NEVER, too_late
        if stage in (Stage.TOLD, Stage.WRITTEN):
            if self.bounded:
                over_at = min(over_at, self._began + timeouts.answer)
            if not self.sent_at and self._silent_at <= over_at:
                return self._silent_at, gone_silent
            return over_at, too_late
        if stage is Stage.SHOWN or not self._exchange.streams:
            return min(over_at, self._began + timeouts.answer), too_late
        slow_at = self._slow_at()
        by = min(over_at, self._began + timeouts.first_event)
        return (slow_at, too_slow) if slow_at < by else (by, too_late)

    def _slow_at(self) -> float:
        """When somebody else is to be asked."""
        exchange = self._exchange
        after = self._timeouts.failover_for(exchange.upstream.connection_type) if exchange.fails_over else None
        return _NEVER if after is None else self._began + after
