"""The two names of the answer's token limit, of which most upstreams know one.

OpenAI deprecated ``max_tokens`` for ``max_completion_tokens`` and refuses the old name for reasoning models; most
servers that speak its API know the old name only.
"""

from __future__ import annotations

import msgspec

from ..bodies.payload import Payload
from ..config.upstream import Upstream
from .azure import is_older
from .reasoning import is_reasoning_model

LIMITS = OLD, NEW = "max_tokens", "max_completion_tokens"


def token_limit(payload: Payload, upstream: Upstream, model: str) -> Payload:
    """The limit under the one name that the upstream takes for this model; the larger one where a body has both."""
    has_old, has_new = OLD in payload.outline, NEW in payload.outline
    if not (has_old or has_new):
        return payload
    if is_reasoning_model(model, upstream.reasoning_models):
        keep, drop, needed = NEW, OLD, has_old
    elif upstream.is_openai or (upstream.is_azure and not is_older(upstream, "2024-09-01")):  # those know both names
        keep, drop, needed = NEW, OLD, has_old and has_new
    else:
        keep, drop, needed = OLD, NEW, has_new
    return payload.edited({keep: _larger(payload)}, without=(drop,)) if needed else payload


def _larger(payload: Payload) -> msgspec.Raw:
    """The larger limit as it was written; a null is no limit."""
    given = [name for name in (NEW, OLD) if name in payload]
    if len(given) == 1:
        return payload.outline[given[0]]
    return payload.outline[max(given, key=lambda name: payload.read(name, float) or 0)]
