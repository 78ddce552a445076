"""``stream_options`` of a call that does not stream."""

from __future__ import annotations

import msgspec

from ..bodies.payload import Payload
from ..config.upstream import Upstream

_TRUE = msgspec.Raw(b"true")
_NULL = msgspec.Raw(b"null")


def stream_options(payload: Payload, _upstream: Upstream, _model: str) -> Payload:
    """Left out unless ``stream`` is true: the API refuses them there ("only allowed when 'stream' is enabled")."""
    options = payload.outline.get("stream_options")
    if options is None or options == _NULL or payload.outline.get("stream") == _TRUE:
        return payload
    return payload.edited(without=("stream_options",))
