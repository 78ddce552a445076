"""What a host has to act on, in its log: once in a while for each kind, however often it happens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

logger = logging.getLogger("openai_gateway_asgi")

EVERY = 60.0
"""Seconds between two lines of one kind. What comes in between is counted."""

MOST_KINDS = 64
LONGEST = 120
"""Characters that are shown of a thing that was seen: clients choose some of them."""


@dataclass(slots=True)
class _Kind:
    quiet_until: float
    held: int = 0
    seen: str = ""


class Notices:
    """Warnings by kind. The first of a kind is logged at once; those of the next minute are told as a number."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}

    def warn(self, kind: str, text: str, *, seen: str = "") -> None:
        """``kind`` is one of ours, such as an error's code. ``text`` says what to do; ``seen`` what it was, masked."""
        now = self._clock()
        known = self._kinds.get(kind)
        if known is not None and now < known.quiet_until:
            known.held += 1
            known.seen = seen
            return
        self._tell_held(now)
        logger.warning("%s: %s%s", kind, text, f" Seen: {seen}." if seen else "")
        if len(self._kinds) >= MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        self._kinds[kind] = _Kind(now + EVERY)

    def _tell_held(self, now: float) -> None:
        """Of every kind whose time is over: how many more there were."""
        for kind in [kind for kind, known in list(self._kinds.items()) if now >= known.quiet_until]:
            known = self._kinds.pop(kind)
            if known.held:
                last = f" The last: {known.seen}." if known.seen else ""
                logger.warning("%s: %d more since the last such line.%s", kind, known.held, last)


def shown(value: bytes | str) -> str:
    """What a client sent, for a log: one line, printable, short. Never for credentials; those are named, not shown."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    short = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    return short if short.isprintable() else ascii(short)[1:-1]
