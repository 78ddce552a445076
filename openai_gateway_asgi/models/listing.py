"""One upstream's models: its answer to ``GET /models``, or the ids it was configured with, as public models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import msgspec

from ..config import Upstream
from ..config.model_ids import MAX_ID, ModelIds, is_pattern
from .model import Model
from .prefix import public_id

OFFICIAL_HOST = "api.openai.com"
NOT_FOR_CHAT = ("babbage", "dall-e", "davinci", "embedding", "tts", "whisper")
"""Parts of ids that the official API lists and a chat application does not want to see; they stay callable."""

_encode = msgspec.json.Encoder().encode
_decode_answer = msgspec.json.Decoder(dict[str, msgspec.Raw] | list[msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_entry = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """The models of one upstream by public id, in its order. Each load is one of its own."""

    upstream: Upstream
    index: int
    models: Mapping[str, Model]
    digest: bytes = b""
    """Of the answer it was read from: the same answer need not be read again."""


def asks_upstream(upstream: Upstream) -> bool:
    """Whether the list comes from the upstream; plain ``model_ids`` replace it.

    An Azure resource lists what could be deployed, not what is, so only ``model_ids`` count there.
    """
    if upstream.is_azure:
        return False
    return not upstream.model_ids or any(map(is_pattern, upstream.model_ids))


def static_listing(upstream: Upstream, index: int) -> Listing:
    """The models that ``model_ids`` names outright."""
    ids = [id for id in upstream.model_ids if not is_pattern(id)]
    entries = ({"id": id, "name": id, "owned_by": "openai", "openai": {"id": id}, "urlIdx": index} for id in ids)
    return Listing(upstream, index, _public(upstream, index, entries))


def digest_of(body: bytes) -> bytes:
    """What tells one answer from another."""
    return hashlib.blake2b(body).digest()


def read_listing(upstream: Upstream, index: int, body: bytes) -> Listing:
    """The models in an upstream's answer; entries that are no models are left out.

    Raises ``ValueError`` where the answer is no model list at all.
    """
    listed = _entries(body)
    if upstream.model_ids:
        wanted = ModelIds(upstream.model_ids)
        listed = (entry for entry in listed if str(entry.get("id") or entry.get("name")) in wanted)
    models = {**static_listing(upstream, index).models, **_public(upstream, index, listed)}
    return Listing(upstream, index, models, digest_of(body))


def _entries(body: bytes) -> Iterator[dict[str, Any]]:
    """One by one: a broken entry costs itself alone, and a long list never holds the interpreter in one decode."""
    try:
        answer = _decode_answer(body)
        entries = _decode_list(answer.get("data", b"null") if isinstance(answer, dict) else body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("the answer holds no list of models") from error
    for raw in entries:
        try:
            yield _decode_entry(raw)
        except (msgspec.DecodeError, RecursionError):
            continue


def _public(upstream: Upstream, index: int, entries: Iterable[dict[str, Any]]) -> dict[str, Model]:
    """By public id; of entries with the same id the first counts."""
    official = upstream.host == OFFICIAL_HOST
    models: dict[str, Model] = {}
    for entry in entries:
        id = entry.get("id") or entry.get("name")
        if _is_model_id(id) and _fits(public := public_id(upstream.prefix_id, id)) and public not in models:
            listed = not (official and any(part in id for part in NOT_FOR_CHAT))
            models[public] = _public_model(upstream, index, id, entry, listed)
    return models


def unlisted_model(upstream: Upstream, index: int, id: str) -> Model:
    """A model that only a pattern of ``model_ids`` speaks for; ``id`` is the upstream's."""
    return _public_model(upstream, index, id, {"id": id}, listed=False)


def _public_model(upstream: Upstream, index: int, id: str, entry: dict[str, Any], listed: bool) -> Model:
    prefix = upstream.prefix_id
    given_name = entry.get("name")
    name = public_id(prefix, given_name) if isinstance(given_name, str) and given_name else public_id(prefix, id)
    raw = {**entry, "id": public_id(prefix, id)}
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
    tags = raw.get("tags")
    return Model(
        id=raw["id"],
        upstream=upstream.name,
        name=name,
        connection_type=connection_type,
        tags=tuple(tags) if isinstance(tags, list | tuple) else (),
        listed=listed,
        listing=_encode(public),
    )


def _is_model_id(id: object) -> TypeGuard[str]:
    return isinstance(id, str) and id != "" and id.isprintable() and id == id.strip()


def _fits(public: str) -> bool:
    """Whether the id can be asked for."""
    return len(public) <= MAX_ID
