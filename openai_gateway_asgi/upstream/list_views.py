"""The state behind the model lists: one source per upstream, and the catalogue that a set of sources makes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from time import monotonic

from ..config import Settings, Upstream
from ..models import Catalogue, Listing, static_listing
from ..models.listing import asks_upstream
from .credentials import Caller
from .singleflight import SingleFlight

IN_FLIGHT = 0.05
"""How long, in seconds, a snapshot is used unasked while a refresh runs."""

MANY_MODELS = 2_000
"""Catalogues larger than this are built in a worker thread, for the same reason."""

Marks = tuple[Listing | None, ...]


class Source:
    """One upstream's list, for everyone or for one caller."""

    __slots__ = ("_loaded", "_settings", "caller", "due", "failed", "index", "listing", "outdated", "task", "upstream")

    def __init__(self, upstream: Upstream, index: int, settings: Settings, caller: Caller | None = None) -> None:
        self.upstream = upstream
        self.index = index
        self.caller = caller
        self.listing: Listing | None = None
        self.due = float("-inf")
        self.failed = False
        self.outdated = False
        self.task: asyncio.Task[None] | None = None
        self._loaded = float("-inf")
        self._settings = settings
        if not asks_upstream(upstream):
            self.listing = static_listing(upstream, index)
            self.due = self._loaded = float("inf")

    @property
    def never_asked(self) -> bool:
        return self.listing is None and not self.failed

    def store(self, listing: Listing, *, outdated: bool) -> None:
        self.listing = listing
        self.failed = False
        self.outdated = outdated
        self._loaded = monotonic()
        self.due = self._loaded + self._settings.model_list_lifetime

    def fail(self) -> None:
        self.failed = True
        self.outdated = False
        self.due = monotonic() + self._settings.model_list_retry

    def inherit(self, before: Source | None) -> None:
        if before is None or before.upstream != self.upstream or before.index != self.index:
            return
        self.listing, self.failed, self._loaded = before.listing, before.failed, before._loaded
        if asks_upstream(self.upstream):
            self.outdated = True

    def usable(self, now: float) -> Listing | None:
        """The source, unless it is so old that its models cannot be vouched for."""
        limit = self._loaded + self._settings.model_list_lifetime + self._settings.model_list_stale
        return self.listing if now <= limit else None

    def state(self, now: float) -> str:
        if self.usable(now) is None:
            return "failed" if self.failed else "unknown"
        return "stale" if self.failed or now > self.due else "ok"


class View:
    """The catalogue of everyone who sees the same lists, and until when it needs no second look."""

    __slots__ = ("_builds", "_marks", "catalogue", "sources", "until")

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.until = float("-inf")
        self.catalogue = Catalogue(())
        self._marks: Marks | None = None
        self._builds: SingleFlight[Marks, None] = SingleFlight()

    @property
    def outdated(self) -> bool:
        return any(source.outdated for source in self.sources)

    async def rebuild(self, settings: Settings, *, uncached: bool) -> None:
        """Takes in what the sources have learned; the next look is due when the first of them is."""
        now = monotonic()
        while (marks := tuple(source.usable(now) for source in self.sources)) != self._marks:
            await self._builds.do(marks, partial(self._build, marks, settings))
        soonest = min((source.due for source in self.sources), default=float("inf"))
        self.until = float("-inf") if uncached else max(soonest, now + IN_FLIGHT)

    async def _build(self, marks: Marks, settings: Settings) -> None:
        self.catalogue = await _catalogue(self.sources, marks, settings)
        self._marks = marks


async def _catalogue(sources: Sequence[Source], usable: Marks, settings: Settings) -> Catalogue:
    listings = [known or Listing(source.upstream, source.index) for source, known in zip(sources, usable, strict=True)]
    unknown = [source.upstream for source, known in zip(sources, usable, strict=True) if known is None]
    retry_after = max(1, round(settings.model_list_retry))
    if sum(len(listing.models) for listing in listings) > MANY_MODELS:
        return await asyncio.to_thread(Catalogue, listings, unknown=unknown, retry_after=retry_after)
    return Catalogue(listings, unknown=unknown, retry_after=retry_after)
