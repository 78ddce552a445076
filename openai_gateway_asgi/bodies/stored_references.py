"""The stored objects that a JSON body names: behind one upstream key, an id opens everyone's.

Found by searching the bytes; a field is decoded only where one of the words stands in it. Not looked for: what
``nested_fields.UNREAD`` names, and the ``audio.id`` of a chat message, without which a spoken conversation could not go
on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from .nested_fields import Pairs, keys_within, pairs_of
from .payload import Payload

BY_NAME = {
    "container": "containers",
    "container_id": "containers",
    "conversation": "conversations",
    "conversation_id": "conversations",
    "file_id": "files",
    "file_ids": "files",
    "input_file_id": "files",
    "previous_response_id": "responses",
    "prompt": "prompts",
    "skill_id": "skills",
    "training_file": "files",
    "validation_file": "files",
    "vector_store_id": "vector_stores",
    "vector_store_ids": "vector_stores",
    "voice": "voices",
}
"""The group of what a field of this name holds: an id, a list of ids, or an object with an ``id``."""

IN_FORMS = {name: group for name, group in BY_NAME.items() if name.endswith(("_id", "_ids", "_file"))}
"""Those that a form can name."""

_TEXTS = ("prompt", "voice")
"""As a text, these say something; only as an object with an id they name what is stored."""

_BY_TYPE = {"file_id": "files", "item_reference": "responses"}
# What an eval may take its data from: all that was ever stored.
_SOURCES = {"logs": "chat_completions", "stored_completions": "chat_completions", "responses": "responses"}
_SOURCE_TYPES = (".source.type", "data_source_config.type")

# A name with its closing quote is a key or a type; inside a text the quote would be escaped.
_WORDS = tuple(f'{name}"'.encode() for name in {**BY_NAME, **_BY_TYPE, **_SOURCES})
# The long fields of the busy endpoints are searched for what can stand in them.
_IN_LONG_FIELDS = {
    "messages": (b'file_id"',),
    "input": (b'file_id"', b'container_id"', b'item_reference"'),
    "tools": (b'file_id"', b'file_ids"', b'container"', b'container_id"', b'vector_store_ids"', b'skill_id"'),
}
_ESCAPED_LETTER = re.compile(rb"\\u00[5-7]")


@dataclass(frozen=True, slots=True)
class Reference:
    """One stored object that a body names: where, and the group it is of."""

    field: str
    group: str


def references(payload: Payload, telling: Iterable[str], operation: str) -> tuple[Reference, ...]:
    """What the body names in the fields ``telling``. Raises ``InvalidRequest`` where one that may name some cannot be
    read.
    """
    found: list[Reference] = []
    for name in telling:
        raw = bytes(payload.outline[name])
        if raw[:1] not in b"{[":
            named = name in BY_NAME and name not in _TEXTS
        else:
            named = name in BY_NAME or _may_name_some(raw, _IN_LONG_FIELDS.get(name, _WORDS))
        if named:
            found += _named_in(name, pairs_of(payload, name))
        if name == "input" and operation == "createResponse":
            found += _bare_items(raw)
    return tuple(found)


def _may_name_some(raw: bytes, words: tuple[bytes, ...]) -> bool:
    for word in words:
        if word in raw:
            return True
    return b"\\" in raw and b"\\u00" in raw and _ESCAPED_LETTER.search(raw) is not None


def _named_in(field: str, value: Any) -> Iterator[Reference]:
    for at, name, inner in ((field, field, value), *keys_within(value, field)):
        group = BY_NAME.get(name)
        if group is not None and _is_id(name, inner):
            yield Reference(at, group)
        if name == "type" and isinstance(inner, str):
            group = _BY_TYPE.get(inner) or (_SOURCES.get(inner) if at.endswith(_SOURCE_TYPES) else None)
            if group is not None:
                yield Reference(at, group)


def _is_id(name: str, value: Any) -> bool:
    if isinstance(value, Pairs):
        return name in ("conversation", *_TEXTS) and any(key == "id" and inner for key, inner in value)
    if name in _TEXTS:
        return False
    return any(isinstance(inner, str) for inner in value) if isinstance(value, list) else isinstance(value, str)


class _Item(msgspec.Struct):
    type: Any = None
    role: Any = None
    id: Any = None


_decode_items = msgspec.json.Decoder(list[_Item]).decode


def _bare_items(raw: bytes) -> Iterator[Reference]:
    """Input items of the Responses API that are an id and nothing else: they need not say that they are references."""
    if b'"id"' not in raw:
        return
    try:
        items = _decode_items(raw)
    except (msgspec.DecodeError, RecursionError):
        return  # a text, or what the API does not take
    for index, item in enumerate(items):
        if item.id is not None and item.type is None and item.role is None:
            yield Reference(f"input[{index}]", "responses")
