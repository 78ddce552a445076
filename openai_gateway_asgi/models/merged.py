"""The models of several upstreams as one list, and who serves each: the same for all who see the same lists."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from ..config import Upstream
from ..http.pacing import at_once
from ..http.whole_answers import Pieces
from .listing import Listing, unlisted_model
from .model import Model
from .prefix import upstream_id
from .via import Via

MOST_FOUND = 256
"""How many routes are kept ready for each set of lists that all share."""
MOST_FOUND_BY_ONE = 32
"""How many for each set with a list that is its callers' own: there are thousands of these."""
MOST_UNLISTED = 4_096
"""How many models that only patterns speak for are kept ready: they match more ids than anybody could list."""
WORTH_KEEPING = 1_000
"""From so many models on, the encoded list is kept: below, putting it together costs less than 30 us."""
IN_A_PIECE = 2_048
"""Models in one piece of a list as it is sent; most make half a megabyte."""
AT_ONCE = 16_384
"""Models of a list that is encoded in one go."""
MANY_MODELS = 2_000
"""From so many models on, putting them together is noticed by others; as many are put together between two turns."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An upstream that serves a model, and the model's id there."""

    upstream: Upstream
    model_id: str
    via: Via | None = None
    """The presets and defaults that lead there, where there are some."""


@dataclass(frozen=True, slots=True)
class Route:
    """Who serves an id."""

    model: Model
    """As policies and lists see it."""
    candidates: tuple[Candidate, ...]
    bases: tuple[Route, ...] | None = None
    """Of a preset: the models behind it, in the order in which they are asked; none where nobody serves any. None: it
    is a model itself."""
    weights: tuple[int, ...] | None = None
    """By which the order of ``bases`` is drawn; then they may be presets themselves."""
    checks: tuple[Model, ...] = ()
    """Of a base: what the user must be allowed to use as well."""

    @property
    def ways(self) -> tuple[Route, ...]:
        """The models that are asked, in their order: those behind a preset, or the model itself."""
        return (self,) if self.bases is None else self.bases

    @property
    def hops(self) -> tuple[str, ...]:
        """Of a model: the ids on the way to it, for patterns of ids."""
        via = self.candidates[0].via if self.candidates else None
        return (self.model.id,) if via is None else via.hops


class Overlay(Protocol):
    """What the host puts over the models that upstreams serve."""

    def route(self, id: str, beneath: Callable[[str], Route | None]) -> Route | None:
        """Who serves an id; ``beneath`` finds upstreams' own models."""
        ...

    def listed(self, models: Sequence[Model], find: Callable[[str], Route | None]) -> Sequence[Model]:
        """What lists show, ``models`` being those of the upstreams, and ``find`` giving what ``route`` does."""
        ...


class Unlisted:
    """The models that only patterns speak for, for all who see them."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], Model] = {}

    def of(self, listing: Listing, id: str) -> Model:
        """``id`` is the upstream's."""
        key = (listing.upstream.name, id)
        model = self._models.get(key)
        if model is None:
            if len(self._models) >= MOST_UNLISTED:
                self._models.clear()
            model = self._models[key] = unlisted_model(listing, id)
        return model


class MergedModels:
    """Finding a model costs the same however many there are.

    ``listings`` are in the upstreams' order: of models with the same public id the first one's entry is shown, and
    each upstream is a candidate.
    """

    __slots__ = ("__weakref__", "_all", "_found", "_many_see_it", "_overlay", "_unlisted", "_whole", "listings")

    def __init__(
        self,
        listings: tuple[Listing, ...],
        unlisted: Unlisted | None = None,
        *,
        many_see_it: bool = True,
        overlay: Overlay | None = None,
    ) -> None:
        """Where not ``many_see_it``, nothing that is long is kept of what can be put together again."""
        self.listings = listings
        self._many_see_it = many_see_it
        self._unlisted = unlisted or Unlisted()
        self._overlay = overlay
        self._found: dict[str, Route] = {}
        self._all: tuple[Model, ...] | None = None
        self._whole: Pieces | None = None

    def find(self, id: str) -> Route | None:
        """The model under a public id: listed by an upstream, or matched by a pattern of one's ``model_ids``.

        Upstreams that list it come before those that only match it.
        """
        route = self._found.get(id)
        if route is None and (route := self._search(id)) is not None:
            if len(self._found) >= (MOST_FOUND if self._many_see_it else MOST_FOUND_BY_ONE):
                self._found.clear()
            self._found[id] = route
        return route

    @property
    def all(self) -> tuple[Model, ...]:
        """What ``GET /models`` shows."""
        return at_once(self.merge()) if self._all is None else self._all

    def keeps_all(self) -> bool:
        return self._all is not None

    @property
    def is_at_hand(self) -> bool:
        """Whether ``all`` is there, or is soon put together: else ``merge`` it in steps first."""
        return self._all is not None or sum([len(listing.models) for listing in self.listings]) <= MANY_MODELS

    def merge(self) -> Generator[None, None, tuple[Model, ...]]:
        """The steps that put ``all`` together; what is only called needs it not."""
        merged: dict[str, Model] = {}
        for listing in self.listings:
            items = iter(listing.models.items())
            while some := tuple(islice(items, MANY_MODELS)):
                for id, model in some:
                    merged.setdefault(id, model)
                if len(some) == MANY_MODELS:
                    yield
        shown: Sequence[Model] = [model for model in merged.values() if model.listed]
        all = tuple(shown if self._overlay is None else self._overlay.listed(shown, self.find))
        if self._many_see_it or len(all) < WORTH_KEEPING:
            self._all = all
        return all

    def encoded(self, models: Sequence[Model]) -> Pieces:
        """The answer to ``GET /models`` for somebody who sees these of its models."""
        if self._all is None or len(models) != len(self._all) or len(models) < WORTH_KEEPING:
            return _encoded(models)
        if self._whole is None:
            whole = _encoded(models)
            self._whole = Pieces(whole.size, list(whole.pieces))
        return self._whole

    def _search(self, id: str) -> Route | None:
        return self.beneath(id) if self._overlay is None else self._overlay.route(id, self.beneath)

    def beneath(self, id: str) -> Route | None:
        """The upstreams' own model of this id."""
        listed = [listing for listing in self.listings if id in listing.models]
        matching = [listing for listing in self.listings if listing.patterns and listing.only_matches(id)]
        candidates = tuple([_candidate(listing.upstream, id) for listing in (*listed, *matching)])
        if listed:
            return Route(listed[0].models[id], candidates)
        if matching:
            return Route(self._unlisted.of(matching[0], candidates[0].model_id), candidates)
        return None


def _candidate(upstream: Upstream, id: str) -> Candidate:
    return Candidate(upstream, upstream_id(upstream.prefix_id, id) or id)


HEAD, TAIL = b'{"object":"list","data":[', b"]}"


def _encoded(models: Sequence[Model]) -> Pieces:
    """In pieces of so many models; those of a very long list are put together while it is sent."""
    pieces = (_piece(models, begin) for begin in range(0, max(1, len(models)), IN_A_PIECE))
    if len(models) <= AT_ONCE:
        made = list(pieces)
        return Pieces(sum(map(len, made)), made)
    size = len(HEAD) + sum([len(model.listing) for model in models]) + len(models) - 1 + len(TAIL)
    return Pieces(size, pieces)


def _piece(models: Sequence[Model], begin: int) -> bytes:
    """Nothing of it is copied twice."""
    entries = [model.listing for model in models[begin : begin + IN_A_PIECE]] or [b""]
    entries[0] = (b"," if begin else HEAD) + entries[0]
    if begin + IN_A_PIECE >= len(models):
        entries[-1] += TAIL
    return b",".join(entries)
