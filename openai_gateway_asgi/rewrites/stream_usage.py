"""Whether an upstream is asked for the usage of a stream whose client did not ask, and how that is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ..bodies.payload import Payload
from ..config.upstream import Upstream
from .azure import is_older

FIELD = "stream_options"
ASKED = "include_usage"
CONTINUOUS = "continuous_usage_stats"
"""vLLM's: a count on every event. Without ``include_usage`` it does nothing there."""

UNASKED = ("mistral.ai", "openrouter.ai")
"""Who count unasked, or refuse to be asked: these, and what is below them."""
AZURE_SINCE = "2024-09-01"

_TRUE = msgspec.Raw(b"true")
_UNSAID = (None, msgspec.Raw(b"null"), msgspec.Raw(b"false"))

_options = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode


class Asking(NamedTuple):
    """``payload`` asks for the usage. ``everywhere``: counts on events beside the last are there for that alone."""

    payload: Payload
    everywhere: bool


def may_be_asked(upstream: Upstream, *, translated: bool) -> bool:
    """By ``Upstream.stream_usage``. Bodies that are ``translated`` are rewritten, whatever ``rewrites`` says."""
    if upstream.stream_usage != "auto":
        return upstream.stream_usage == "always"
    if (upstream.rewrites == "off" and not translated) or FIELD in upstream.drop_fields:
        return False
    if upstream.is_azure:
        return not is_older(upstream, AZURE_SINCE)
    return not any(upstream.host == name or upstream.host.endswith(f".{name}") for name in UNASKED)


def asking(payload: Payload) -> Asking | None:
    """The payload of a stream with ``include_usage``, its other options as they are. None where the client has asked,
    or says what cannot be read, which is the upstream's to refuse."""
    options: Mapping[str, msgspec.Raw] | None = None
    raw = payload.raw(FIELD)
    if raw is not None:
        try:
            options = _options(raw)
        except (msgspec.DecodeError, RecursionError):
            return None
    options = options or {}
    if options.get(ASKED) not in _UNSAID:
        return None
    others = {name: value for name, value in options.items() if name != ASKED}
    # At the end, because some readers take any case of a name and the last of two.
    asked = payload.edited(without=(FIELD,)).edited({FIELD: {**others, ASKED: _TRUE}})
    return Asking(asked, options.get(CONTINUOUS) not in _UNSAID)


def without_asking(payload: Payload) -> Payload:
    """The payload without ``include_usage``; the same one where it does not ask."""
    raw = payload.raw(FIELD)
    try:
        options = _options(raw) if raw is not None else None
    except (msgspec.DecodeError, RecursionError):
        return payload
    if not options or ASKED not in options:
        return payload
    others = {name: value for name, value in options.items() if name != ASKED}
    return payload.edited({FIELD: others}) if others else payload.edited(without=(FIELD,))
