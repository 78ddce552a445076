"""One walk from the id that is asked for over presets to the models behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from ..config.preset_book import PresetBook
from ..config.presets import Preset
from ..models import Model, Route, Via
from ..models.weights import draw
from .listing import preset_model, with_presets

Find = Callable[[str], Route | None]


class PresetModels:
    """The presets of one configuration over the models of its upstreams."""

    def __init__(self, book: PresetBook) -> None:
        self._book = book

    @property
    def presets(self) -> Sequence[Preset]:
        return tuple(self._book.by_id.values())

    def leaves(self, id: str) -> tuple[str, ...]:
        """The ids of upstreams' own models that an id leads to."""
        return self._book.leaves(id)

    def route(self, id: str, beneath: Find) -> Route | None:
        """Who serves an id. A preset none of whose bases is there is found all the same: with no base."""
        preset = self._book.by_id.get(id)
        if preset is not None:
            return self._behind(preset, (), (), (), beneath)
        route = beneath(id)
        return None if route is None else self._under(route, (), (id,), ())

    def listed(self, models: Sequence[Model], find: Find) -> Sequence[Model]:
        return with_presets(models, self.presets, find)

    def missing(self, beneath: Find) -> dict[str, str]:
        """By preset, which of its bases are no models of any upstream."""
        found = {}
        for preset in self.presets:
            gone = [id for id, inner in self._book.bases(preset) if inner is None and beneath(id) is None]
            if gone:
                found[preset.id] = f"no upstream serves its base {', '.join(map(repr, gone))}"
        return found

    def _behind(
        self,
        preset: Preset,
        trail: tuple[Preset, ...],
        hops: tuple[str, ...],
        checks: tuple[Model, ...],
        beneath: Find,
    ) -> Route:
        trail, hops = (*trail, preset), (*hops, preset.id)
        implied = preset.base_access == "implied"
        bases: list[Route] = []
        weights: list[int] = []
        shares = preset.weights or [0] * len(preset.bases)
        for (id, inner), weight in zip(self._book.bases(preset), shares, strict=True):
            if inner is not None:
                own = checks if implied else (*checks, self._model(inner, beneath))
                found = self._behind(inner, trail, hops, own, beneath)
            elif (route := beneath(id)) is not None:
                own = checks if implied else (*checks, route.model)
                found = self._under(route, trail, (*hops, id), own)
            else:
                continue
            if found.bases != ():
                bases.append(found)
                weights.append(weight)
        model = self._model(preset, beneath)
        if preset.weights is not None or any(each.weights is not None for each in bases):
            return Route(model, (), tuple(bases), tuple(weights))
        return Route(model, (), tuple(way for each in bases for way in each.ways))

    def _under(
        self, route: Route, trail: tuple[Preset, ...], hops: tuple[str, ...], checks: tuple[Model, ...]
    ) -> Route:
        """A model as it is asked for on this way."""
        defaults = tuple([each for each in self._book.defaults if each.concerns(hops)])
        if not (trail or defaults):
            return route
        via = Via(trail, defaults, hops)
        return Route(route.model, tuple([replace(each, via=via) for each in route.candidates]), checks=checks)

    def _model(self, preset: Preset, beneath: Find) -> Model:
        routes = (beneath(id) for id in self._book.leaves(preset.id))
        return preset_model(preset, next((route.model for route in routes if route is not None), None))


def drawn(route: Route) -> Route:
    """For one call: with the models behind it in the order in which they are asked."""
    return route if route.weights is None else replace(route, bases=tuple(_flat(route, draw)), weights=None)


def likeliest(route: Route) -> Route:
    """The same without the draw: a greater weight first."""
    return route if route.weights is None else replace(route, bases=tuple(_flat(route, float)), weights=None)


def _flat(route: Route, place: Callable[[int], float]) -> Iterator[Route]:
    if route.bases is None:
        yield route
        return
    bases = route.bases
    if route.weights is not None and any(route.weights):
        ranked = sorted(zip(bases, route.weights, strict=True), key=lambda pair: place(pair[1]), reverse=True)
        bases = tuple([base for base, _ in ranked])
    for base in bases:
        yield from _flat(base, place)
