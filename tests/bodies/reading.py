"""JSON bodies read as the gateway reads them, without a gateway."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from openai_gateway_asgi.bodies.findings import NOTHING_FOUND, Findings
from openai_gateway_asgi.bodies.json_body import read_json, read_plain
from openai_gateway_asgi.bodies.looks import looks_of
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.http.pacing import at_once

MIB = 1024 * 1024
CHAT, RESPONSE = "createChatCompletion", "createResponse"


def read(
    body: Any, operation: str = CHAT, *, more_routes: Sequence[str] = (), limit: int = 8 * MIB
) -> tuple[Payload, Findings]:
    """``body``: its bytes, the pieces of them, or what JSON is made of."""
    pieces = [body] if isinstance(body, bytes) else body if isinstance(body, list) else [json.dumps(body).encode()]
    looks = looks_of(operation, frozenset(more_routes))
    payload, found = at_once(read_json(pieces, looks, limit))
    plain = read_plain(pieces, looks)
    assert plain is None or (plain.fields, NOTHING_FOUND) == (payload.fields, found), "the short way is the same way"
    return payload, found


def named(body: Any, operation: str = CHAT, **options: Any) -> dict[str, dict[str, str]]:
    """What is named, by its kind, each with its place; kinds of which there is nothing are left out."""
    found = read(body, operation, **options)[1]
    kinds = {
        "models": found.models,
        "objects": found.groups,
        "routes": found.routes,
        "defaults": found.defaults,
    }
    return {kind: {name: str(place) for name, place in places.items()} for kind, places in kinds.items() if places}


def models(body: Any, operation: str = CHAT) -> tuple[str, ...]:
    return tuple(read(body, operation)[1].models)
