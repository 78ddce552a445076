"""Fields of a JSON body that say who asks, in the place of whatever the client wrote there."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping

import msgspec

from ..api.parameters import PARAMETERS
from ..bodies.outline import Fields
from ..bodies.payload import Payload, decode_field
from ..config.upstream import Upstream
from ..errors import InvalidRequest
from ..host.variables import Facts
from ..presets.parameters import with_value, without
from ..presets.plan import Names

METADATA = "metadata"
MOST_PAIRS = 16
"""Pairs of ``metadata`` (OpenAI's description of its API)."""
LONGEST: Mapping[str, int] = {"metadata": 512, "safety_identifier": 64, "prompt_cache_key": 64, "user": 512}
"""Characters that the API takes in a field."""
HASHED = frozenset({"safety_identifier", "prompt_cache_key", "user"})
"""Fields that tell one from another: what is too long is hashed, where elsewhere it is cut."""

_encode = msgspec.json.Encoder().encode


def stamped(payload: Payload, upstream: Upstream, operation: str, facts: Facts) -> Payload:
    """The payload with the upstream's stamps, as far as the operation knows them; what the client wrote there is gone
    in any case, under every spelling. A stamp without a value is left out.

    Raises ``InvalidRequest`` where the client's own ``metadata`` leave no room.
    """
    payload = without(payload, _names(upstream))
    for name, template in upstream.stamps.items():
        value = template.render(facts)
        if value and _is_known(name, operation):
            payload = with_value(payload, name, msgspec.Raw(_encode(_fitting(name.partition(".")[0], value))))
    if METADATA in payload and any(name.startswith(f"{METADATA}.") for name in upstream.stamps):
        _check_room(payload, upstream)
    return payload


@functools.lru_cache(maxsize=1024)
def _names(upstream: Upstream) -> Names:
    return Names(upstream.stamps)


def _is_known(name: str, operation: str) -> bool:
    known = PARAMETERS.get(name.partition(".")[0])
    return known is None or operation in known.at


def _fitting(field: str, value: str) -> str:
    most = LONGEST.get(field)
    if most is None or len(value) <= most:
        return value
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest() if field in HASHED else value[:most]


def _check_room(payload: Payload, upstream: Upstream) -> None:
    pairs = payload.raw(METADATA)
    number = 0 if pairs is None else len(decode_field(METADATA, pairs, Fields) or {})
    if number > MOST_PAIRS:
        ours = sum(name.startswith(f"{METADATA}.") for name in upstream.stamps)
        raise InvalidRequest(
            f"`$.metadata` may have {MOST_PAIRS - ours} pairs here: the gateway adds {ours}.",
            param=METADATA,
            code="invalid_value",
        )
