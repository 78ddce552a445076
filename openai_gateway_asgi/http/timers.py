"""Whose time has to be watched at all: most calls are over before anything about it has to be set up.

Timers of the event loop's, set and cancelled, are two to four per cent of what a small call costs. So all that begins
on a loop shares one, and only what is still there when it has fired twice gets timers and tasks of its own.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Protocol

from .pacing import SLICES, Turns

TICK = 0.04
"""Seconds between two looks at what has begun just now."""

GRACE = 2 * TICK
"""Seconds by which whoever has entered and not left is told."""


class Newcomer(Protocol):
    def stayed(self) -> None:
        """It is still there after its grace. Must not raise: others wait behind it."""


class Clock:
    """What one event loop has under way that began just now."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.turns = Turns(loop)
        self.slices = Turns(loop, SLICES)
        """The line of those whose work takes long."""
        self.read_ahead = 0
        """Bytes of all requests' bodies that came before anybody might read them."""
        self._new: set[Newcomer] = set()
        self._old: set[Newcomer] = set()
        self._ticking = False

    @staticmethod
    def of(loop: asyncio.AbstractEventLoop) -> Clock:
        return _clocks.get(loop) or _new_clock(loop)

    def enter(self, newcomer: Newcomer) -> None:
        """Tells it after ``TICK`` seconds, and ``GRACE`` at most, unless it leaves before."""
        self._new.add(newcomer)
        if not self._ticking:
            self._ticking = True
            self._wait()

    def leave(self, newcomer: Newcomer) -> None:
        self._new.discard(newcomer)
        self._old.discard(newcomer)

    def _wait(self) -> None:
        self.loop.call_later(TICK, self._tick, context=Context())  # nobody's own: it serves all

    def _tick(self) -> None:
        stayed, self._old, self._new = self._old, self._new, set()
        if self._old:
            self._wait()
        else:
            self._ticking = False
        for newcomer in stayed:
            newcomer.stayed()


_clocks: dict[asyncio.AbstractEventLoop, Clock] = {}


def _new_clock(loop: asyncio.AbstractEventLoop) -> Clock:
    for ended in [each for each in list(_clocks) if each.is_closed()]:
        _clocks.pop(ended, None)
    return _clocks.setdefault(loop, Clock(loop))
