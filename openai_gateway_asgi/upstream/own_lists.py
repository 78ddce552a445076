"""Lists that belong to one user each: what is equal in them is kept once."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from weakref import WeakValueDictionary, finalize

from ..models import Listing, Model

PLACE = 100
"""Bytes that a model takes in a list, beside the model itself."""
MODEL = 250
"""Bytes that a model takes beside its entry."""
IN_ONE_GO = 2_048
"""Models that are looked for between two turns for others; a millisecond."""
MOST_SHARED = 10_000
"""Models of a list whose models are looked for among those of others. Of a longer one each is kept by itself: to let go
of it has to be done at once, and takes as long as to look for them did."""


class KeptListings:
    """The lists of one upstream's callers, each for as long as somebody has it."""

    def __init__(self) -> None:
        self.size = 0
        """Bytes."""
        self._listings: WeakValueDictionary[bytes, Listing] = WeakValueDictionary()
        self._models: dict[bytes, Model] = {}
        self._holders: dict[bytes, int] = {}
        """How many lists have a model, where it is more than one: most lists differ, or are one and the same."""

    def find(self, digest: bytes) -> Listing | None:
        """The list that was read from an answer of this digest."""
        return self._listings.get(digest)

    def add(self, listing: Listing) -> Generator[None, None, Listing]:
        """The steps to the same list, made of what others hold already as far as it is equal."""
        known = self._listings.get(listing.digest)
        if known is not None:
            return known
        if len(listing.models) > MOST_SHARED:
            return self._keep_alone(listing)
        models: dict[str, Model] = {}
        kept = Listing(listing.upstream, listing.index, models, listing.digest)
        finalize(kept, self._let_go, models).atexit = False
        for count, (id, model) in enumerate(listing.models.items(), 1):
            models[id] = self._hold(model)
            if count % IN_ONE_GO == 0:
                yield
        return self._listings.setdefault(kept.digest, kept)  # another caller's may have come meanwhile

    def _keep_alone(self, listing: Listing) -> Listing:
        size = sum([PLACE + MODEL + len(model.listing) for model in listing.models.values()])
        self.size += size
        finalize(listing, self._give_back, size).atexit = False
        self._listings[listing.digest] = listing
        return listing

    def _give_back(self, size: int) -> None:
        self.size -= size

    def _hold(self, model: Model) -> Model:
        key = model.listing
        kept = self._models.get(key)
        if kept is None:
            kept = self._models[key] = model
            self.size += len(key) + MODEL
        else:
            self._holders[key] = self._holders.get(key, 1) + 1
        self.size += PLACE
        return kept

    def _let_go(self, models: Mapping[str, Model]) -> None:
        for model in models.values():
            key = model.listing
            self.size -= PLACE
            holders = self._holders.pop(key, 1)
            if holders > 2:
                self._holders[key] = holders - 1
            elif holders == 1:
                self.size -= len(key) + MODEL
                del self._models[key]
