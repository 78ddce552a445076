"""Fields that an upstream is configured not to get. Without a setting everything is forwarded as it was sent."""

from __future__ import annotations

import msgspec

from ..bodies.payload import Payload
from ..config.upstream import Upstream

_NULL = msgspec.Raw(b"null")


def drop_fields(payload: Payload, upstream: Upstream, _model: str) -> Payload:
    """Without the top-level fields of ``Upstream(drop_fields=...)``."""
    unwanted = [name for name in upstream.drop_fields if name in payload]
    return payload.edited(without=unwanted) if unwanted else payload


def drop_nulls(payload: Payload, upstream: Upstream, _model: str) -> Payload:
    """With ``Upstream(drop_nulls=True)``, without the top-level fields that are null."""
    if not upstream.drop_nulls:
        return payload
    nulls = [name for name, value in payload.outline.items() if value == _NULL]
    return payload.edited(without=nulls) if nulls else payload
