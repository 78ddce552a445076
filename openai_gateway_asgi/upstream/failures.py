"""What is done about each kind of failure, before anything was told. The table in ``docs/failures.md`` is this one."""

from __future__ import annotations

import random
from enum import Enum
from typing import NamedTuple

from ..causes import Failure
from ..errors import GatewayError
from ..http.retry_after import retry_after

SHORT_WAIT = 2.0
"""A ``retry-after`` of up to this many seconds is waited out; for a longer one there may be a better upstream."""

BACKOFF = 0.1
"""Seconds; the interval that the waits are drawn from doubles with each try."""

UNSAID = (0.5, 1.0)
"""Seconds; what is waited after a 429 that does not say for how long."""

CLIENTS_WAIT = 120.0
"""Seconds; the OpenAI SDKs wait for a ``retry-after`` up to this one, and give up on a longer one."""


class Again(Enum):
    """Whether, and when, the same upstream is asked again."""

    NO = "no"
    FIRST = "up to `retries` times"
    LAST = "once, where no other upstream is left"


class Remembered(Enum):
    """What a failure is held against."""

    NOT = "-"
    UPSTREAM = "upstream and model"
    CREDENTIAL = "upstream, model and credential"
    """Others may be asked there with another one, or under another name."""


class Action(NamedTuple):
    """What follows a failure, in this order, as far as the limits allow."""

    again: Again = Again.NO
    next: bool = False
    """Ask the next upstream of the same model."""
    fallback: bool = False
    """Ask for the next model of the fallback chain."""
    remembered: Remembered = Remembered.NOT
    doubted: bool = False
    """Whether it may be one caller's own fault: then it counts once it is seen not to be."""


_OTHERS = Action(next=True, fallback=True)
_TRANSIENT = Action(Again.FIRST, next=True, fallback=True, remembered=Remembered.UPSTREAM)
_SILENT = Action(next=True, fallback=True, remembered=Remembered.UPSTREAM)
_REFUSED = Action(next=True, fallback=True, remembered=Remembered.CREDENTIAL)

ACTIONS: dict[Failure, Action] = {
    Failure.RATE_LIMITED: Action(Again.LAST, next=True, fallback=True, remembered=Remembered.CREDENTIAL),
    Failure.RATE_LIMITED_BRIEFLY: Action(Again.FIRST, next=True, fallback=True),
    Failure.RATE_LIMITED_LONGER: _REFUSED,
    Failure.OVERLOADED: _TRANSIENT,
    Failure.SERVER_ERROR: _TRANSIENT._replace(doubted=True),
    Failure.CUT: _TRANSIENT,
    Failure.REFUSED: _TRANSIENT,
    Failure.UNREACHED: _SILENT,
    Failure.TIMEOUT: _SILENT,
    Failure.SLOW: _OTHERS,
    Failure.BUSY: _OTHERS,
    Failure.NO_CREDENTIAL: _OTHERS,
    Failure.CREDENTIAL: _REFUSED,
    Failure.ACCOUNT: _REFUSED._replace(doubted=True),
    Failure.UNABLE: _OTHERS,
    Failure.REDIRECT: _OTHERS,
    Failure.CONTEXT_LENGTH: Action(fallback=True),
    Failure.CONTENT: Action(),
    Failure.CALLER: Action(),
}

MAY_HAVE_ACTED = frozenset({Failure.OVERLOADED, Failure.SERVER_ERROR, Failure.CUT, Failure.TIMEOUT, Failure.SLOW})
"""After these a POST may have been executed; ``Settings(retry_executed=False)`` ends the call there, and jobs do."""

SILENT = frozenset({Failure.UNREACHED, Failure.TIMEOUT})
"""After these, asking again takes long; after the others it takes next to no time."""

LIMITED = frozenset({Failure.RATE_LIMITED, Failure.RATE_LIMITED_LONGER})

RETRIED_BY_CLIENTS = frozenset(
    {
        Failure.RATE_LIMITED,
        Failure.RATE_LIMITED_BRIEFLY,
        Failure.RATE_LIMITED_LONGER,
        Failure.OVERLOADED,
        Failure.SERVER_ERROR,
        Failure.CUT,
        Failure.REFUSED,
        Failure.UNREACHED,
        Failure.TIMEOUT,
        Failure.SLOW,
        Failure.REDIRECT,  # told as a 502
    }
)
"""What SDKs try again by themselves, and the gateway has tried again as often as makes sense."""


def classify(error: GatewayError) -> Failure:
    """The kind of a failure, before anything was told."""
    if error.failure is not Failure.RATE_LIMITED:
        return error.failure
    asked = retry_after(error.headers)
    if asked is None:
        return Failure.RATE_LIMITED
    return Failure.RATE_LIMITED_BRIEFLY if asked <= SHORT_WAIT else Failure.RATE_LIMITED_LONGER


def wait_before_retry(error: GatewayError, tries: int) -> float | None:
    """Seconds before the same upstream is asked again after ``tries`` tries; None: not again.

    Full jitter over a doubling interval, but not before a short ``retry-after``. An upstream that asks for longer, or
    says ``x-should-retry: false`` as the OpenAI API does, is not asked again.
    """
    if (b"x-should-retry", b"false") in error.headers:
        return None
    if classify(error) is Failure.RATE_LIMITED:
        return random.uniform(*UNSAID)  # noqa: S311  # spreads retries, guards nothing
    jitter = random.uniform(0.0, BACKOFF * 2**tries)  # noqa: S311
    asked = retry_after(error.headers) or 0.0
    return max(asked, jitter) if asked <= SHORT_WAIT else None
