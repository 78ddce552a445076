"""The state behind the model lists: one source per upstream, and the catalogue that a set of sources makes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from time import monotonic

from ..config import GatewayConfig, Settings, Upstream
from ..models import Catalogue, Listing, static_listing
from ..models.listing import asks_upstream
from .credentials import Caller, Credentials
from .singleflight import SingleFlight

IN_FLIGHT = 0.05
"""How long, in seconds, a snapshot is used unasked while a refresh runs."""

MANY_MODELS = 2_000
"""Catalogues larger than this are built in a worker thread: building one would hold up every stream."""

MOST_VIEWS = 1_024
"""How many users' own lists are remembered where upstreams list per user."""

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

    def fail(self, *, outdated: bool) -> None:
        self.failed = True
        self.outdated = outdated
        self.due = monotonic() + self._settings.model_list_retry

    def outdate(self) -> None:
        """Still good for calls, but asked for anew before it is shown; what is under way was asked too early."""
        if asks_upstream(self.upstream):
            self.outdated = True
            self.task = None

    def usable(self, now: float) -> Listing | None:
        """The list, unless it is so old that its models cannot be vouched for."""
        limit = self._loaded + self._settings.model_list_lifetime + self._settings.model_list_stale
        return self.listing if now <= limit else None

    def state(self, now: float) -> str:
        if self.usable(now) is None:
            return "failed" if self.failed else "unknown"
        return "stale" if self.failed or now > self.due else "ok"


class View:
    """The catalogue of everyone who sees the same lists, and until when it needs no second look."""

    __slots__ = ("_builds", "_closed", "_marks", "_settings", "catalogue", "sources", "until")

    def __init__(self, sources: Sequence[Source], closed: Sequence[Upstream], settings: Settings) -> None:
        self.sources = sources
        self.until = float("-inf")
        self.catalogue = Catalogue(())
        self._closed = closed
        self._settings = settings
        self._marks: Marks | None = None
        self._builds: SingleFlight[Marks, None] = SingleFlight()

    @property
    def outdated(self) -> bool:
        return any(source.outdated for source in self.sources)

    def ask_as(self, caller: Caller | None) -> None:
        """Own lists are asked for with what their owner brought last."""
        for source in self.sources:
            if source.caller is not None:
                source.caller = caller

    async def rebuild(self, *, uncached: bool) -> None:
        """Takes in what the sources have learned; the next look is due when the first of them is."""
        now = monotonic()
        while (marks := tuple([source.usable(now) for source in self.sources])) != self._marks:
            await self._builds.do(marks, partial(self._build, marks))
        soonest = min((source.due for source in self.sources), default=float("inf"))
        self.until = float("-inf") if uncached else max(soonest, now + IN_FLIGHT)

    async def _build(self, marks: Marks) -> None:
        known = list(zip(self.sources, marks, strict=True))
        make = partial(
            Catalogue,
            [listing or static_listing(source.upstream, source.index) for source, listing in known],
            # What model_ids does not name is not served, whatever the list turns out to hold.
            unknown=[source.upstream for source, listing in known if listing is None and not source.upstream.model_ids],
            closed=self._closed,
            retry_after=max(1, round(self._settings.model_list_retry)),
        )
        many = sum(len(listing.models) for listing in marks if listing is not None) > MANY_MODELS
        self.catalogue = await asyncio.to_thread(make) if many else make()
        self._marks = marks


class Roster:
    """What the callers of one configuration see: lists that all share, lists of their own, and the views of both."""

    def __init__(
        self, config: GatewayConfig, settings: Settings, credentials: Credentials, before: Roster | None
    ) -> None:
        """Shared lists of upstreams that are as they were are carried over from ``before``."""
        self._settings = settings
        self._credentials = credentials
        self._enabled = [(index, upstream) for index, upstream in enumerate(config.upstreams) if upstream.enabled]
        self._own = [each for each in self._enabled if asks_upstream(each[1]) and credentials.per_user(each[1])]
        self._shared = {each[0]: self._carried(before, *each) for each in self._enabled if each not in self._own}
        self._views: OrderedDict[tuple[str | None, ...], View] = OrderedDict()

    def view(self, caller: Caller | None) -> View:
        key = tuple([self._credentials.list_scope(upstream, caller) for _, upstream in self._own])
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._new_view(caller, key)
            if len(self._views) > MOST_VIEWS:
                self._views.popitem(last=False)
        elif self._own:
            self._views.move_to_end(key)
            view.ask_as(caller)
        return view

    def states(self) -> dict[str, str]:
        """Of the lists that all share: ``ok``, ``stale``, ``failed`` or ``unknown``, by the upstream's name."""
        return {source.upstream.name: source.state(monotonic()) for source in self._shared.values()}

    def _new_view(self, caller: Caller | None, scopes: Sequence[str | None]) -> View:
        own = {
            index: Source(upstream, index, self._settings, caller)
            for (index, upstream), scope in zip(self._own, scopes, strict=True)
            if scope is not None
        }
        sources = self._shared | own
        closed = [upstream for index, upstream in self._own if index not in own]
        return View([sources[index] for index in sorted(sources)], closed, self._settings)

    def _carried(self, before: Roster | None, index: int, upstream: Upstream) -> Source:
        source = before._shared.get(index) if before is not None else None
        if source is None or source.upstream != upstream:
            return Source(upstream, index, self._settings)
        source.outdate()
        return source
