"""The immutable snapshot of all models that requests are answered from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..api.default_models import DefaultModel
from ..config import Upstream
from ..config.model_ids import ModelIds, is_pattern
from ..errors import DO_NOT_RETRY, GatewayError, ModelListUnavailable, ModelNotFound, Unauthenticated
from .listing import Listing, unlisted_model
from .model import Model
from .prefix import upstream_id


@dataclass(frozen=True, slots=True)
class Candidate:
    """An upstream that serves a model, and the model's id there."""

    upstream: Upstream
    model_id: str


@dataclass(frozen=True, slots=True)
class Route:
    model: Model
    candidates: tuple[Candidate, ...]


MOST_FOUND = 4_096
"""How many routes a catalogue keeps ready: patterns match more ids than anybody could list."""


class Catalogue:
    """What is known of all models at one moment. Finding one costs the same however many there are.

    ``listings`` are in the upstreams' order: of models with the same public id the first one's entry is shown, and
    each upstream is a candidate. ``unknown`` are the upstreams whose list has never been seen, ``closed`` those that
    are called with the caller's own token, and this caller has none.
    """

    __slots__ = ("_closed", "_found", "_serving", "_unknown", "_whole", "models", "retry_after")

    def __init__(
        self,
        listings: Sequence[Listing],
        *,
        unknown: Sequence[Upstream] = (),
        closed: Sequence[Upstream] = (),
        retry_after: int = 1,
    ) -> None:
        self._found: dict[str, Route] = {}
        self._whole: bytes | None = None
        self._serving = tuple(_Serving.of(listing) for listing in listings)
        self._unknown = tuple(unknown)
        self._closed = tuple(closed)
        self.models = _merged(listings)
        """What ``GET /models`` shows."""
        self.retry_after = retry_after
        """Seconds until the lists that never loaded are asked again."""

    def listing(self, models: Sequence[Model]) -> bytes:
        """The answer to ``GET /models`` for somebody who sees these of its models."""
        if len(models) != len(self.models):
            return _encoded(models)
        if self._whole is None:
            self._whole = _encoded(self.models)
        return self._whole

    def find(self, id: str) -> Route | None:
        """The model under a public id: listed by an upstream, or matched by a pattern of one's ``model_ids``.

        Upstreams that list it come before those that only match it.
        """
        route = self._found.get(id)
        if route is None and (route := self._search(id)) is not None:
            if len(self._found) >= MOST_FOUND:
                self._found.clear()
            self._found[id] = route
        return route

    def _search(self, id: str) -> Route | None:
        found = [each for each in self._serving if id in each.listing.models]
        found += [each for each in self._serving if each.patterns and each.matches(id)]
        if not found:
            return None
        return Route(found[0].model(id), tuple([each.candidate(id) for each in found]))

    def missing(self, id: str, default: DefaultModel | None = None) -> GatewayError:
        """What a caller is told of a model that is unknown, or not theirs: the two must look the same.

        ``default``: where the request named none, and this one is the API's.
        """
        if _any_carries(id, self._unknown):
            return ModelListUnavailable(
                "The models of an upstream are not known yet; try again shortly.",
                param="model",
                headers=((b"retry-after", b"%d" % self.retry_after),),
            )
        if _any_carries(id, self._closed):
            return Unauthenticated("This model is called with your own bearer token, and the request has none.")
        lacking = "" if default is None else "The request names no model, so the default is meant. "
        return ModelNotFound(
            f"{lacking}The model `{id}` does not exist or you do not have access to it.",
            param="model",
            headers=DO_NOT_RETRY,
        )


def _encoded(models: Sequence[Model]) -> bytes:
    return b'{"object":"list","data":[' + b",".join([model.listing for model in models]) + b"]}"


@dataclass(frozen=True, slots=True)
class _Serving:
    """An upstream with the models it lists, and the patterns of what it serves beyond them."""

    listing: Listing
    patterns: ModelIds

    @classmethod
    def of(cls, listing: Listing) -> _Serving:
        return cls(listing, ModelIds(filter(is_pattern, listing.upstream.model_ids)))

    def matches(self, id: str) -> bool:
        """Whether only a pattern speaks for it."""
        own = upstream_id(self.listing.upstream.prefix_id, id)
        return own is not None and id not in self.listing.models and own in self.patterns

    def model(self, id: str) -> Model:
        listing = self.listing
        return listing.models.get(id) or unlisted_model(listing.upstream, listing.index, self.candidate(id).model_id)

    def candidate(self, id: str) -> Candidate:
        upstream = self.listing.upstream
        return Candidate(upstream, upstream_id(upstream.prefix_id, id) or id)


def _merged(listings: Sequence[Listing]) -> tuple[Model, ...]:
    merged: dict[str, Model] = {}
    for listing in listings:
        for id, model in listing.models.items():
            merged.setdefault(id, model)
    return tuple([model for model in merged.values() if model.listed])


def _any_carries(id: str, upstreams: Sequence[Upstream]) -> bool:
    return any(upstream_id(upstream.prefix_id, id) is not None for upstream in upstreams)
