"""Who does not take ``stream_options``, so that they are not asked at every call."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from ..config.upstream import Upstream

MOST = 1024
"""Upstreams and models that refused ``stream_options`` and are remembered; the oldest goes first."""
REMEMBERED = 3600.0
"""Seconds after which one of them is asked again: it may have been replaced."""

Whom = tuple[str, str, str]


class UsageRefusals:
    """Upstreams by address and name, and their models."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._until: OrderedDict[Whom, float] = OrderedDict()

    def has(self, upstream: Upstream, model: str) -> bool:
        if not self._until:
            return False
        whom = (upstream.base_url, upstream.name, model)
        until = self._until.get(whom)
        if until is not None and until <= self._clock():
            del self._until[whom]
            return False
        return until is not None

    def add(self, upstream: Upstream, model: str) -> None:
        whom = (upstream.base_url, upstream.name, model)
        self._until.pop(whom, None)
        self._until[whom] = self._clock() + REMEMBERED
        if len(self._until) > MOST:
            self._until.popitem(last=False)

    def __len__(self) -> int:
        return len(self._until)
