"""Whether a model may think before it says anything, so that its silence is no sign of ill health."""

from __future__ import annotations

from typing import Any

import msgspec

from ..bodies.payload import Payload
from ..config.model_ids import ModelIds
from .reasoning import bare, is_reasoning_model

THINKERS = ModelIds(
    """*-r1* r1-* deepseek-reasoner gemini-2.5-* gemini-3* gemini-4* gemini-5* gemini-pro-latest gpt-oss* grok-*
    magistral* *reasoning* qvq* qwq* sonar-deep-research *thinking*""".split()
)
"""By the names that their makers give them, without who provides them; OpenAI's are known by what is rewritten.

One that is missing here is given up too early where another upstream can answer; one too many is waited for.
"""

FIELDS = ("thinking", "reasoning", "reasoning_effort", "enable_thinking")
_OFF: tuple[Any, ...] = (None, False, "none", {})


def thinks_first(upstream_id: str, reasoning_models: tuple[str, ...] | None, payload: Payload) -> bool:
    """``reasoning_models`` are those of the upstream, ``payload`` what it is asked."""
    if is_reasoning_model(upstream_id, reasoning_models) or bare(upstream_id) in THINKERS:
        return True
    return any(_asks(payload.outline.get(field)) for field in FIELDS)


def _asks(raw: msgspec.Raw | None) -> bool:
    if raw is None:
        return False
    value = msgspec.json.decode(raw)
    if isinstance(value, dict) and (value.get("effort") == "none" or value.get("type") == "disabled"):
        return False
    return value not in _OFF
