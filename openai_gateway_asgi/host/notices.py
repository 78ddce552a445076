"""What a host has to act on, in its log: one line a minute for each kind, however often it happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

logger = logging.getLogger("openai_gateway_asgi")

EVERY = 60.0
"""Seconds between two lines of one kind. What comes in between is counted."""

MOST_KINDS = 1024
"""Kinds of warnings whose last line is remembered."""
LONGEST = 120
"""Characters that are shown of a thing that was seen: clients choose some of them."""


@dataclass(slots=True)
class _Kind:
    name: str
    to: logging.Logger
    quiet_until: float
    held: int = 0
    seen: str = ""
    extra: Mapping[str, Any] | None = None


class Notices:
    """Warnings by kind. The first of a kind is logged at once; those of the next minute are told as a number."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._kinds: dict[Hashable, _Kind] = {}

    def warn(
        self,
        kind: str,
        text: str,
        *,
        seen: str = "",
        same: Hashable = None,
        extra: Mapping[str, Any] | None = None,
        to: logging.Logger = logger,
    ) -> None:
        """``kind`` is one of ours, such as an error's code. ``text`` says what to do; ``seen`` what it was, masked.

        ``same``: what two of a kind must have in common to be counted as one. ``extra`` goes with the line as data.
        """
        now, key = self._clock(), (kind, same)
        known = self._kinds.get(key)
        if known is not None and now < known.quiet_until:
            known.held += 1
            if known.held == 1:
                self._tell_after(known.quiet_until - now)
            known.seen = seen if same is None else text
            known.extra = extra
            return
        self._tell_held(now)
        to.warning("%s: %s%s", kind, text, f" Seen: {seen}." if seen else "", extra=extra)
        if len(self._kinds) >= MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        self._kinds[key] = _Kind(kind, to, now + EVERY)

    def flush(self) -> None:
        """Tells what was only counted so far, as when the process is about to end."""
        self._tell_held(float("inf"))

    def _tell_after(self, seconds: float) -> None:
        """A flood that has ended is told too; where no event loop runs, with the next warning."""
        with suppress(RuntimeError):
            asyncio.get_running_loop().call_later(seconds + 0.01, lambda: self._tell_held(self._clock()))

    def _tell_held(self, now: float) -> None:
        """Of every kind whose time is over: how many more there were."""
        for key in [key for key, known in list(self._kinds.items()) if now >= known.quiet_until]:
            known = self._kinds.pop(key)
            if known.held:
                last = f" The last: {known.seen}." if known.seen else ""
                extra = {**(known.extra or {}), "more": known.held}
                known.to.warning("%s: %d more since the last such line.%s", known.name, known.held, last, extra=extra)


def shown(value: bytes | str) -> str:
    """What a client sent, for a log: one line, printable, short. Never for credentials; those are named, not shown."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    short = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    return short if short.isprintable() else ascii(short)[1:-1]
