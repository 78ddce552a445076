"""Lists that belong to one user each: what is equal in them is kept once."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakValueDictionary, finalize

from ..models import Listing, Model

PLACE = 100
"""Bytes that a model takes in a list, beside the model itself."""


class KeptListings:
    """The lists of one upstream's callers, each for as long as somebody has it."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes."""
        self._listings: WeakValueDictionary[bytes, Listing] = WeakValueDictionary()
        self._models: dict[bytes, Model] = {}
        self._holders: dict[bytes, int] = {}

    def find(self, digest: bytes) -> Listing | None:
        """The list that was read from an answer of this digest."""
        return self._listings.get(digest)

    def add(self, listing: Listing) -> Listing:
        """The same list, made of what others hold already as far as it is equal."""
        known = self._listings.get(listing.digest)
        if known is not None:
            return known
        models = {id: self._hold(model) for id, model in listing.models.items()}
        kept = Listing(listing.upstream, listing.index, models, listing.digest)
        self._listings[kept.digest] = kept
        finalize(kept, self._let_go, tuple(models.values())).atexit = False
        return kept

    def _hold(self, model: Model) -> Model:
        key = model.listing
        kept = self._models.get(key)
        if kept is None:
            kept = self._models[key] = model
            self.size += len(key)
        self.size += PLACE
        self._holders[key] = self._holders.get(key, 0) + 1
        return kept

    def _let_go(self, models: Sequence[Model]) -> None:
        for model in models:
            key = model.listing
            self.size -= PLACE
            self._holders[key] -= 1
            if not self._holders[key]:
                self.size -= len(key)
                del self._models[key], self._holders[key]
