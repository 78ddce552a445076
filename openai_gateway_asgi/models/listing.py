"""One upstream's models: its answer to ``GET /models``, or the ids it was configured with, as public models."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ..config import Upstream
from ..config.model_ids import MAX_ID, ModelIds, is_pattern
from .list_answers import Entry, raw_entries, read_entry
from .model import Model
from .prefix import public_id, upstream_id

OFFICIAL_HOST = "api.openai.com"
NOT_FOR_CHAT = ("babbage", "dall-e", "davinci", "embedding", "tts", "whisper")
"""Parts of ids that the official API lists and a chat application does not want to see; they stay callable."""
OTHER = "other"
"""The label of models that are not named one by one."""

IN_ONE_GO = 256
"""Models that are read between two turns for others; a millisecond or two."""
_WINDOW = 1024 * 1024
"""Bytes of an answer of which the digest is made in one go."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Listing:
    """The models of one upstream by public id, in its order. Each load is one of its own."""

    upstream: Upstream
    index: int
    models: Mapping[str, Model]
    digest: bytes = b""
    """Of the answer it was read from: the same answer need not be read again."""
    patterns: ModelIds = field(init=False, repr=False)
    """Of the upstream's own ids, listed or not, that it serves as well."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "patterns", ModelIds(filter(is_pattern, self.upstream.model_ids)))

    def serves(self, id: str) -> bool:
        return id in self.models or self.only_matches(id)

    def only_matches(self, id: str) -> bool:
        """Whether nothing but a pattern speaks for the public ``id``."""
        if not self.patterns or id in self.models:
            return False
        own = upstream_id(self.upstream.prefix_id, id)
        return own is not None and own in self.patterns


def asks_upstream(upstream: Upstream) -> bool:
    """Whether the list comes from the upstream; plain ``model_ids`` replace it.

    An Azure resource lists what could be deployed, not what is, so only ``model_ids`` count there.
    """
    if upstream.is_azure:
        return False
    return not upstream.model_ids or any(map(is_pattern, upstream.model_ids))


def static_listing(upstream: Upstream, index: int) -> Listing:
    """The models that ``model_ids`` names outright."""
    models: dict[str, Model] = {}
    for id in upstream.model_ids:
        if not is_pattern(id) and _can_be_asked_for(upstream, id):
            entry = {"id": id, "name": id, "owned_by": "openai", "openai": {"id": id}, "urlIdx": index}
            model = _public_model(upstream, index, id, entry, _is_shown(upstream, id))
            models.setdefault(model.id, model)
    return Listing(upstream, index, models)


def host_listing(upstream: Upstream, index: int, id: str, name: str) -> Listing:
    """The one model of an upstream that is the host's own code."""
    model = _public_model(upstream, index, id, {"id": id, "name": name}, listed=True)
    return Listing(upstream, index, {id: model})


def digest_of(body: bytes) -> Generator[None, None, bytes]:
    """The steps to what tells one answer from another."""
    digest = hashlib.blake2b(digest_size=32)
    with memoryview(body) as view:
        for begin in range(0, len(body), _WINDOW):
            digest.update(view[begin : begin + _WINDOW])
            yield
    return digest.digest()


def read_listing(
    named: Listing, body: bytes, digest: bytes = b"", *, own: bool = False
) -> Generator[None, None, Listing]:
    """The steps to the models in an upstream's answer, of this digest; entries that are no models are left out, of the
    same id the first counts.

    ``named`` are those that its ``model_ids`` name; they are all there, and the answer's entries say more of them.
    ``own``: it is one caller's own list. Raises ``ValueError`` where the answer is no model list at all.
    """
    upstream, index = named.upstream, named.index
    wanted = ModelIds(upstream.model_ids) if upstream.model_ids else None
    models: dict[str, Model] = {}
    entries = yield from raw_entries(body)
    for count, raw in enumerate(entries, 1):
        model = _read_model(upstream, index, memoryview(raw), wanted)
        if model is not None:
            if own and model.id not in named.models:
                model = replace(model, label=OTHER)
            models.setdefault(model.id, model)
        if count % IN_ONE_GO == 0:
            yield
    return Listing(upstream, index, {**named.models, **models}, digest)


def _read_model(upstream: Upstream, index: int, raw: memoryview, wanted: ModelIds | None) -> Model | None:
    found = read_entry(raw)
    if found is None:
        return None
    id, entry = found
    if not _can_be_asked_for(upstream, id) or (wanted is not None and id not in wanted):
        return None
    return _public_model(upstream, index, id, entry, _is_shown(upstream, id))


def unlisted_model(listing: Listing, id: str) -> Model:
    """A model that only a pattern of ``model_ids`` speaks for; ``id`` is the upstream's."""
    upstream = listing.upstream
    model = _public_model(upstream, listing.index, id, {"id": id}, listed=False)
    return replace(model, label=public_id(upstream.prefix_id, listing.patterns.pattern_of(id) or OTHER))


def _public_model(upstream: Upstream, index: int, id: str, entry: Entry, listed: bool) -> Model:
    prefix, given_name = upstream.prefix_id, entry.get("name")
    name = shown = public_id(prefix, id)
    if isinstance(given_name, str) and given_name not in ("", id):
        name = public_id(prefix, given_name)
    raw = {**entry, "id": shown}
    raw.pop("name", None)
    if given_name:
        raw["name"] = name
    if upstream.tags:
        raw["tags"] = upstream.tags
    if upstream.connection_type:
        raw["connection_type"] = upstream.connection_type
    connection_type = upstream.connection_type or "external"
    public = {
        "object": "model", "created": 0, **raw, "name": name, "owned_by": "openai", "openai": raw,
        "connection_type": connection_type, "provider": upstream.provider, "urlIdx": index,
    }  # fmt: skip
    tags: Any = raw.get("tags")
    return Model(
        id=shown,
        upstream=upstream.name,
        name=name,
        connection_type=connection_type,
        tags=tuple(tags) if isinstance(tags, list | tuple) else (),
        listed=listed,
        listing=_encode(public),
    )


def _is_shown(upstream: Upstream, id: str) -> bool:
    return upstream.host != OFFICIAL_HOST or not any(part in id for part in NOT_FOR_CHAT)


def _can_be_asked_for(upstream: Upstream, id: str) -> bool:
    """Whether the id is one line of printable text that is not too long under its prefix."""
    if id == "" or len(public_id(upstream.prefix_id, id)) > MAX_ID:
        return False
    return id.isprintable() and id == id.strip()
