"""Fields of a body that say who asks, in the place of whatever the client wrote there."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from ..api.parameters import PARAMETERS
from ..bodies.multipart import Addition, Edits
from ..bodies.outline import Fields
from ..bodies.payload import NOTHING, Payload, decode_field
from ..config.upstream import Upstream
from ..errors import InvalidRequest
from ..host.users import User
from ..host.variables import Facts
from ..presets.parameters import FAMILIAR, with_value, without
from ..presets.plan import Names
from .kept_of_users import KeptOfUsers
from .telling import Variables

METADATA = "metadata"
MOST_PAIRS = 16
"""Pairs of ``metadata`` (OpenAI's description of its API)."""
LONGEST: Mapping[str, int] = {"metadata": 512, "safety_identifier": 64, "prompt_cache_key": 64, "user": 512}
"""Characters that the API takes in a field."""
HASHED = frozenset({"safety_identifier", "prompt_cache_key", "user"})
"""Fields that tell one from another: what is too long is hashed, where elsewhere it is cut."""

_encode = msgspec.json.Encoder().encode


class Stamping:
    """One for a gateway: keeps what it writes for each user."""

    __slots__ = ("_kept", "_secret")

    def __init__(self, secret: bytes | None) -> None:
        """``secret`` hides users' ids."""
        self._secret = secret
        self._kept: KeptOfUsers[Fields] = KeptOfUsers()

    def stamped(
        self, payload: Payload, upstream: Upstream, operation: str, user: User, variables: Variables
    ) -> Payload:
        """As ``stamped`` below; what it does to a body with nothing of the client's in these places is kept."""
        outline = payload.outline
        if not (upstream.stamps_of_user and FAMILIAR.issuperset(outline) and _names(upstream).all.isdisjoint(outline)):
            return stamped(payload, upstream, operation, variables(self._secret))
        fields = self._kept.get(upstream, operation, user)
        if fields is None:
            fields = stamped(NOTHING, upstream, operation, variables(self._secret)).outline
            self._kept.keep(upstream, operation, user, fields)
        return Payload(outline | fields, payload.texts)

    def in_form(self, edits: Edits, upstream: Upstream, operation: str, variables: Variables) -> Edits:
        """As ``form_stamped`` below."""
        return form_stamped(edits, upstream, operation, variables(self._secret))

    def forget(self) -> None:
        self._kept.forget()


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


def form_stamped(edits: Edits, upstream: Upstream, operation: str, facts: Facts) -> Edits:
    """A form's edits with the upstream's stamps, as far as the API has fields for them there. What the client wrote in
    their place is left out in any case."""
    names = frozenset(name for name in upstream.stamps if "." not in name)
    added = [each for each in edits.add if each.name not in names]
    for name in upstream.stamps:
        value = upstream.stamps[name].render(facts) if name in PARAMETERS and _is_known(name, operation) else ""
        if value and name in names:
            added.append(Addition(name, _fitting(name, value).encode("utf-8", "replace")))
    return replace(edits, drop=edits.drop | names, add=tuple(added))


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
