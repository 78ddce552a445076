"""Who sees which lists: one view for everyone, and one for each caller whose own lists are among them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from time import monotonic
from weakref import WeakValueDictionary

from ..config import GatewayConfig, Settings, Upstream
from ..models import Catalogue, Gap, Listing, MergedModels, Unlisted, static_listing
from ..models.listing import asks_upstream
from ..presets.resolution import PresetModels
from .credentials import Caller, Credentials, OwnKind
from .list_sources import Source
from .own_lists import KeptListings

IN_FLIGHT = 0.05
"""How long, in seconds, a snapshot is used unasked while a refresh runs."""

MOST_USERS = 1_024
"""How many users' own lists are remembered where upstreams list per user."""
MOST_OF_ONE = 4
"""How many of one user's, who has others with another token: new ones put aside the user's own, nobody else's."""
MOST_OWN_BYTES = 64 * 1024 * 1024
"""Bytes of all users' own lists that differ; beyond it those go first that were used longest ago."""


class View:
    """The catalogue of everyone who sees the same lists, and until when it needs no second look."""

    __slots__ = ("_closed", "_gaps", "_listings", "_merge", "_settings", "catalogue", "first", "sources", "until")

    def __init__(
        self,
        sources: Sequence[Source],
        closed: Sequence[Upstream],
        settings: Settings,
        merge: Callable[[tuple[Listing, ...]], MergedModels],
    ) -> None:
        self.catalogue: Catalogue
        self.sources = sources
        self.first: Sequence[Source] = sources
        """Those that have never been loaded, or tried."""
        self.until = float("-inf")
        self._closed = closed
        self._settings = settings
        self._merge = merge
        self._listings: tuple[Listing, ...] | None = None
        self._gaps: tuple[Gap, ...] = ()

    @property
    def outdated(self) -> bool:
        return any(source.outdated for source in self.sources)

    def rebuild(self, *, uncached: bool) -> None:
        """Takes in what the sources have learned; the next look is due when the first of them is."""
        now = monotonic()
        listings = tuple([source.usable(now) or source.named for source in self.sources])
        gaps = tuple([gap for source in self.sources if (gap := source.gap(now)) is not None])
        if listings != self._listings or gaps != self._gaps:
            merged = self._merge(listings)
            self._listings, self._gaps = merged.listings, gaps
            self.catalogue = Catalogue(
                merged,
                gaps=gaps,
                closed=self._closed,
                retry_after=max(1, round(self._settings.model_list_retry)),
            )
        self.first = [source for source in self.sources if source.is_first]
        soonest = min([source.due for source in self.sources], default=float("inf"))
        self.until = float("-inf") if uncached else max(soonest, now + IN_FLIGHT)

    def let_go(self) -> None:
        """What has been put together for it is made anew when its callers come back: it has lists that are replaced."""
        if self._listings is not None:
            self.until, self._listings, self._gaps = float("-inf"), None, ()
            del self.catalogue

    def as_known(self) -> Catalogue:
        """What would be found if no list came any more; nothing of the view itself is changed."""
        now = monotonic()
        merged = self._merge(tuple([source.usable(now) or source.named for source in self.sources]))
        heard = [source for source in self.sources if not source.is_first]
        gaps = tuple([gap for source in heard if (gap := source.gap(now)) is not None])
        return Catalogue(
            merged, gaps=gaps, closed=self._closed, retry_after=max(1, round(self._settings.model_list_retry))
        )

    def undecided(
        self, ids: Iterable[str], pending: Collection[Source], catalogue: Catalogue | None = None
    ) -> list[Source]:
        """Those of ``pending`` that are worth waiting for: any of these ids could be theirs, and is nobody else's.

        What one of them will say of a model that its ``model_ids`` name already decides as well: who may call it can
        hang on that.
        """
        if not pending:
            return []
        unheard = {source.upstream.name for source in pending}
        find = (catalogue or self.catalogue).merged.beneath
        routes = [(id, find(id)) for id in ids]
        open = [id for id, route in routes if route is None or route.model.upstream in unheard]
        return [source for source in pending if any(source.may_serve(id) for id in open)]


class Roster:
    """What the callers of one configuration see: lists that all share, lists of their own, and the views of both."""

    def __init__(
        self,
        config: GatewayConfig,
        settings: Settings,
        credentials: Credentials,
        before: Roster | None,
        own: Sequence[Listing] = (),
    ) -> None:
        """Shared lists of upstreams that are as they were are carried over from ``before``, once it is ``outdated``.

        ``own`` are the host's own models: they stand before all others, and are the same in every configuration.
        """
        self._settings = settings
        self._credentials = credentials
        self._merged: WeakValueDictionary[tuple[Listing, ...], MergedModels] = WeakValueDictionary()
        self._unlisted = Unlisted()
        self.presets = PresetModels(config.preset_book) if config.preset_book else None
        """What the configuration puts over the upstreams' models; None where that is nothing."""
        enabled = [(index, upstream) for index, upstream in enumerate(config.upstreams) if upstream.enabled]
        kinds = {index: credentials.own_kind(upstream) for index, upstream in enabled if asks_upstream(upstream)}
        self._own = {index: kind for index, kind in kinds.items() if kind is not None}
        self._kinds = tuple(dict.fromkeys(self._own.values()))
        self._named: dict[int, Listing] = {}
        self._shared: dict[int, Source] = {}
        self._carried: list[Source] = []
        for listing in own:
            self._shared[listing.index] = Source(listing, settings)
        for index, upstream in enabled:
            if index in self._own:
                self._named[index] = static_listing(upstream, index)
            else:
                self._shared[index] = self._source(before, index, upstream)
        self._kept = {index: KeptListings() for index in self._own}
        self._everyones = self._new_view({})
        self._users: OrderedDict[str, OrderedDict[tuple[str | None, ...], View]] = OrderedDict()

    def view(self, caller: Caller | None) -> View:
        if not self._kinds or caller is None:
            return self._everyones
        scopes = [self._credentials.own_scope(kind, caller) for kind in self._kinds]
        if not any(scopes):
            return self._everyones
        key = tuple(scopes)
        views = self._users.pop(caller.user.id, None) or OrderedDict()
        view = views.pop(key, None) or self._new_view(dict(zip(self._kinds, scopes, strict=True)))
        views[key] = view
        self._users[caller.user.id] = views
        if len(views) > MOST_OF_ONE:
            views.popitem(last=False)
        if len(self._users) > MOST_USERS:
            self._users.popitem(last=False)
        return view

    def wanted(self, ids: Iterable[str]) -> Iterable[str]:
        """The ids of the upstreams' models that it takes to serve these."""
        presets = self.presets
        return ids if presets is None else {leaf for id in ids for leaf in presets.leaves(id)}

    def take_over(self) -> None:
        """From now on this is the roster in force: what it has from the one before is to be asked for anew."""
        for source in self._carried:
            source.outdate()
        self._carried.clear()

    def retire(self) -> None:
        """Another is in force; requests that began before it are few, and their own lists can be asked for again."""
        self._users.clear()
        self._everyones.let_go()

    def let_go(self) -> Generator[None, None, None]:
        """The steps after which no user who stays away keeps a list that all share, and that has been replaced."""
        for views in list(self._users.values()):
            for view in views.values():
                view.let_go()
            yield

    def trim(self) -> None:
        """Own lists may not take more than their share of memory, however many users and upstreams make them differ."""
        while len(self._users) > 1 and sum([kept.size for kept in self._kept.values()]) > MOST_OWN_BYTES:
            self._users.popitem(last=False)

    def states(self) -> dict[str, str]:
        """Of the lists that all share: ``ok``, ``stale``, ``failed`` or ``unknown``, by the upstream's name."""
        now = monotonic()
        return {source.upstream.name: source.state(now) for source in self._shared.values()}

    def faults(self) -> dict[str, str]:
        """Why lists that all share failed when they were asked for last, by the upstream's name."""
        return {source.upstream.name: source.fault for source in self._shared.values() if source.fault is not None}

    def missing_bases(self) -> dict[str, str]:
        """By preset, the bases of it that none of the lists that all share has, and no list of a caller's own may."""
        if self.presets is None or self._own:
            return {}
        return self.presets.missing(self._everyones.as_known().merged.beneath)

    def _new_view(self, scopes: Mapping[OwnKind, str | None]) -> View:
        own = {
            index: Source(self._named[index], self._settings, self._kept[index])
            for index, kind in self._own.items()
            if scopes.get(kind) is not None
        }
        sources = self._shared | own
        closed = [self._named[index].upstream for index in self._own if index not in own]
        return View([sources[index] for index in sorted(sources)], closed, self._settings, self._merge)

    def _merge(self, listings: tuple[Listing, ...]) -> MergedModels:
        """Whoever sees the same lists has the same models: they are put together once."""
        merged = self._merged.get(listings)
        if merged is None:
            everyones = all(not each.digest or each.index in self._shared for each in listings)
            merged = self._merged[listings] = MergedModels(
                listings, self._unlisted, many_see_it=everyones, overlay=self.presets
            )
        return merged

    def _source(self, before: Roster | None, index: int, upstream: Upstream) -> Source:
        known = before._shared.get(index) if before is not None else None
        if known is None or known.upstream != upstream:
            return Source(static_listing(upstream, index), self._settings)
        self._carried.append(known)
        return known
