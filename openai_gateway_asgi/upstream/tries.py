"""Whom one call asks, one after the other, and what it is told in the end. Decides only: who asks tells what came."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from time import monotonic

import msgspec
from msgspec.structs import replace

from ..causes import Failure
from ..config import Settings
from ..errors import DO_NOT_RETRY, GatewayBusy, GatewayError, RateLimited, UpstreamFull, UpstreamLacksApi
from ..http.retry_after import retry_after
from ..models import Candidate, Model
from .failures import (
    ACTIONS,
    CLIENTS_WAIT,
    MAY_HAVE_ACTED,
    RETRIED_BY_CLIENTS,
    Action,
    Again,
    classify,
    wait_before_retry,
)
from .memory import Rest
from .selection import Translated, as_it_is, ordered

_NOTHING = Action()

Route = tuple[Model | None, Sequence[Candidate]]


class Try(msgspec.Struct, frozen=True):
    """One candidate, to be asked now, or in ``wait`` seconds."""

    served: Model | None
    candidate: Candidate
    wait: float
    patience: float
    """Seconds that a place at the upstream is waited for."""
    alone: bool
    """Whether this call has nobody else to ask, and never had: then it is asked even while it is to be left alone."""
    others: Sequence[Candidate]
    """Other upstreams, and those of fallbacks, that may be asked after it."""
    again: bool
    """Whether the same one may be."""
    peers: Sequence[Candidate]
    """Those of the others that serve the same model."""


class Tries(msgspec.Struct, eq=False):
    """Iterating gives the next try for as long as nobody has answered; each is to be told of before the next.

    ``repeatable``: whether the body can be sent again. ``once``: whether it must not be executed
    twice. ``held``: seconds that are not counted, for they went into streams that were held. ``translated``: whether
    the call has to be translated for a candidate.
    """

    routes: Sequence[Route]
    """The candidates of the model, then those of each fallback."""
    settings: Settings
    repeatable: Callable[[], bool]
    once: Callable[[], bool]
    held: Callable[[], float] = float
    translated: Translated = as_it_is

    made: int = 0
    """Requests that were sent."""
    error: GatewayError | None = None
    """What failed last; that an upstream is left alone, or full, or has no such API, does not hide what really failed
    before it."""
    action: Action = _NOTHING
    _last: GatewayError | None = None
    _rests: tuple[Rest, ...] = ()
    _unable: GatewayError | None = None
    _gentle: bool = False
    """Whether the upstream at hand is asked although it is to be left alone: then once."""
    _executed: bool = False

    def __iter__(self) -> Iterator[Try]:
        if not self._is_alone:
            return self._along_the_routes()
        ((served, (candidate,)),) = self.routes
        return self._at(served, candidate, self.settings.queue_time, (), (), alone=True)

    def _along_the_routes(self) -> Iterator[Try]:
        for number, (served, candidates) in enumerate(self.routes, 1):
            behind = self.routes[number:]
            fallbacks = [each for _, candidates in behind for each in candidates] if behind else ()
            yield from self._among(served, ordered(candidates, self.translated), fallbacks)
            if not self._may_go_on() or not self.action.fallback:
                break

    def _among(
        self, served: Model | None, candidates: Sequence[Candidate], fallbacks: Sequence[Candidate]
    ) -> Iterator[Try]:
        """One after the other; for a place at one that is at its limit is waited only when no other has answered."""
        queue_time = self.settings.queue_time
        patience = queue_time if len(candidates) == 1 else 0.0
        full: list[Candidate] = []
        for number, candidate in enumerate(candidates, 1):
            yield from self._at(served, candidate, patience, candidates[number:], fallbacks)
            if isinstance(self._last, UpstreamFull):
                full.append(candidate)
            if not self._may_go_on() or not self.action.next:
                return
        if full and not patience:
            yield from self._at(served, full[0], queue_time, (), fallbacks)

    def _at(
        self,
        served: Model | None,
        candidate: Candidate,
        patience: float,
        others: Sequence[Candidate],
        fallbacks: Sequence[Candidate],
        *,
        alone: bool = False,
    ) -> Iterator[Try]:
        """The same one as often as its failures allow. ``others``: what other upstreams of the model are left."""
        began, most = monotonic() - self.held(), self.settings.max_attempts - 1
        self._gentle = False
        room, retries = self.made < most, self.settings.retries
        behind = (*others, *fallbacks) if room else ()
        this = Try(served, candidate, 0.0, patience, alone, behind, room and retries > 0, others)
        yield this
        tries = 1
        while (wait := self._wait(tries, monotonic() - self.held() - began, last=not others)) is not None:
            room = self.made < most
            yield replace(this, wait=wait, others=behind if room else (), again=room and retries > tries)
            tries += 1

    @property
    def _is_alone(self) -> bool:
        return len(self.routes) == 1 and len(self.routes[0][1]) == 1

    def _wait(self, tries: int, spent: float, *, last: bool) -> float | None:
        """Seconds until the same upstream is asked again, None if it is not."""
        again = self.action.again
        most = min(1, self.settings.retries) if again is Again.LAST else self.settings.retries
        if again is Again.NO or (again is Again.LAST and not last) or tries > most or self._gentle:
            return None
        assert self._last is not None
        wait = wait_before_retry(self._last, tries)
        in_time = wait is not None and spent + wait <= self.settings.retry_time
        return wait if in_time and self._may_go_on() else None

    def _may_go_on(self) -> bool:
        return self.made < self.settings.max_attempts and self.repeatable() and not self._executed

    def sending(self, *, gently: bool) -> None:
        """A request is about to be sent; ``gently``: to an upstream that is to be left alone."""
        self.made += 1
        self._gentle = gently

    def failed(self, error: GatewayError) -> None:
        failure = classify(error)
        error.__traceback__ = None  # its frames have the answer that was given up
        self._last, self.action = error, ACTIONS[failure]
        if failure in MAY_HAVE_ACTED:
            self._executed = self.once()
        if self.error is None or not isinstance(error, GatewayBusy | UpstreamLacksApi) or _is_sooner(error, self.error):
            self.error = error

    def passed_over(self, rest: Rest) -> None:
        """The upstream was not asked: it is to be left alone for a while."""
        self._last, self.action = None, ACTIONS[Failure.BUSY]
        self._rests += (rest,)

    def unable(self, error: GatewayError) -> None:
        """The upstream was not asked: this is what it cannot be asked. The client is told where nobody else could."""
        self._last, self.action = None, ACTIONS[Failure.UNABLE]
        self._unable = self._unable or error

    def outcome(self) -> GatewayError:
        """What the client is told when nobody answered."""
        error = self.error or (self._unable if not self._rests else None) or _resting(self._rests)
        if self._is_exhausted(error):
            kept = [pair for pair in error.headers if pair[0] != b"x-should-retry"]
            error.headers = (*kept, *DO_NOT_RETRY)
        return error

    def _is_exhausted(self, error: GatewayError) -> bool:
        """Whether a client that tried again would only do what the gateway has done, or what must not be done twice."""
        if classify(error) not in RETRIED_BY_CLIENTS:
            return False
        if self._executed:
            return True
        if self._gentle or self._rests or not self.repeatable():
            return False
        asked = retry_after(error.headers)
        return asked is None or not 0 < asked <= CLIENTS_WAIT

    def forget(self) -> None:
        """Lets go of the errors: they know the frames that they came through."""
        self.error = self._last = self._unable = None


def _is_sooner(error: GatewayError, told: GatewayError) -> bool:
    """Of upstreams that are all at a limit, the one that has room again first is told of."""
    if not (isinstance(error, GatewayBusy) and isinstance(told, GatewayBusy)):
        return False
    wait, other = retry_after(error.headers), retry_after(told.headers)
    return wait is not None and other is not None and wait < other


def _resting(rests: Sequence[Rest]) -> GatewayError:
    """All who could be asked are left alone."""
    headers = ((b"retry-after", b"%d" % max(1, math.ceil(min((rest.seconds for rest in rests), default=1.0)))),)
    if all(rest.limited for rest in rests):
        limited = "The upstreams of this model are at their rate limits; try again shortly."
        return RateLimited(limited, headers=headers).noted("left_alone")
    return GatewayBusy(
        "The upstream of this model has been failing and is left alone for a moment; try again shortly.",
        code="upstream_unavailable",
        headers=headers,
    ).noted("left_alone")
