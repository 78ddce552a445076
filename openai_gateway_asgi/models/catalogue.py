"""The immutable snapshot of all models that requests are answered from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Upstream
from ..errors import DO_NOT_RETRY, GatewayError, ModelListUnavailable, ModelNotFound
from ..patterns import Patterns, compile_patterns, is_pattern, matches
from ..rewrites.prefix import upstream_id
from .listing import Listing, unlisted_model
from .model import Model


@dataclass(frozen=True, slots=True)
class Candidate:
    """An upstream that serves a model, and the model's id there."""

    upstream: Upstream
    model_id: str


@dataclass(frozen=True, slots=True)
class Route:
    model: Model
    candidates: tuple[Candidate, ...]


class Catalogue:
    """What is known of all models at one moment. Finding one costs the same however many there are.

    ``listings`` are in the upstreams' order: of models with the same public id the first one's entry is shown, and
    each upstream is a candidate. ``unknown`` are the upstreams whose list has never been seen.
    """

    __slots__ = ("_routes", "_unknown", "_wild", "models", "retry_after")

    def __init__(self, listings: Sequence[Listing], *, unknown: Sequence[Upstream] = (), retry_after: int = 1) -> None:
        routes: dict[str, Route] = {}
        for listing in listings:
            for model_id, model in listing.models:
                candidate = Candidate(listing.upstream, model_id)
                known = routes.get(model.id)
                if known is None:
                    routes[model.id] = Route(model, (candidate,))
                elif known.candidates[-1].upstream is not listing.upstream:
                    routes[model.id] = Route(known.model, (*known.candidates, candidate))
        self._routes = routes
        self._wild = tuple(_Wild.of(listing) for listing in listings if _has_patterns(listing.upstream))
        self._unknown = tuple(unknown)
        self.models: tuple[Model, ...] = tuple(route.model for route in routes.values() if route.model.listed)
        self.retry_after = retry_after
        """Seconds until the lists that never loaded are asked again."""

    def find(self, id: str) -> Route | None:
        """The model under a public id: listed by an upstream, or matched by a pattern of one's ``model_ids``.

        Upstreams that list it come before those that only match it.
        """
        route = self._routes.get(id)
        return route if not self._wild else self._with_wild(id, route)

    def _with_wild(self, id: str, route: Route | None) -> Route | None:
        found = route.candidates if route else ()
        listed = {candidate.upstream.name for candidate in found}
        extra = tuple(
            Candidate(wild.upstream, model_id)
            for wild in self._wild
            if wild.upstream.name not in listed and (model_id := wild.serves(id)) is not None
        )
        if not extra:
            return route
        if route:
            return Route(route.model, (*found, *extra))
        first = next(wild for wild in self._wild if wild.upstream is extra[0].upstream)
        return Route(unlisted_model(first.upstream, first.index, extra[0].model_id), extra)

    def missing(self, id: str) -> GatewayError:
        """What a caller is told of a model that is unknown, or not theirs: the two must look the same."""
        if any(upstream_id(upstream.prefix_id, id) is not None for upstream in self._unknown):
            return ModelListUnavailable(
                "The models of an upstream are not known yet; try again shortly.",
                param="model",
                headers=((b"retry-after", b"%d" % self.retry_after),),
            )
        return ModelNotFound(f"The model `{id}` does not exist or you do not have access to it.", param="model",
                             headers=DO_NOT_RETRY)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Wild:
    """An upstream whose ``model_ids`` hold patterns: it serves more than it lists."""

    upstream: Upstream
    index: int
    patterns: Patterns

    @classmethod
    def of(cls, listing: Listing) -> _Wild:
        patterns = compile_patterns(filter(is_pattern, listing.upstream.model_ids))
        return cls(listing.upstream, listing.index, patterns)

    def serves(self, id: str) -> str | None:
        model_id = upstream_id(self.upstream.prefix_id, id)
        return model_id if model_id is not None and matches(self.patterns, model_id) else None


def _has_patterns(upstream: Upstream) -> bool:
    return any(map(is_pattern, upstream.model_ids))
