"""Which of the two APIs for conversations an upstream speaks: as it says, or as is known of its host.

Source: the providers' own pages on OpenAI compatibility.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..api.conversations import CHAT, RESPONSES
from ..errors import ConfigError
from . import checks
from .model_ids import ModelIds

AUTO = "auto"
EITHER = frozenset({CHAT, RESPONSES})
SPOKEN: Mapping[str, frozenset[str] | None] = {
    AUTO: None,
    CHAT: frozenset({CHAT}),
    RESPONSES: frozenset({RESPONSES}),
    "both": EITHER,
}
"""What ``Upstream(api=...)`` says; None: to be found out."""

Api = str | Mapping[str, str]

CHAT_ALONE = frozenset(
    """api.anthropic.com api.cerebras.ai api.cohere.ai api.cohere.com api.deepinfra.com api.mistral.ai api.moonshot.ai
    api.sambanova.ai generativelanguage.googleapis.com integrate.api.nvidia.com models.github.ai
    models.inference.ai.azure.com""".split()
)
"""Providers, by host, that have no Responses API. Of all others a 404 tells."""


def api_rule(field: str, value: Any) -> Api:
    """One for all models, or by the id of the model at the upstream, ``*`` for any run of characters."""
    if not isinstance(value, Mapping):
        return _word(field, value)
    if not value:
        raise ConfigError(field, 'must name a model; write "auto", or {"gpt-5*": "responses", "*": "chat"}')
    return MappingProxyType({checks.line(field, id): _word(f"{field}.{id}", api) for id, api in value.items()})


def _word(field: str, value: Any) -> str:
    if not isinstance(value, str) or value not in SPOKEN:
        raise ConfigError(field, f"must be one of {', '.join(SPOKEN)}")
    return value


def spoken_by(api: Api, host: str, model: str) -> frozenset[str] | None:
    """What is known of a model at an upstream of this host; None: nothing, so that only asking tells."""
    known = SPOKEN[api if isinstance(api, str) else _said_of(model, api)]
    return SPOKEN[CHAT] if known is None and host in CHAT_ALONE else known


def _said_of(model: str, apis: Mapping[str, str]) -> str:
    """By its id, or else by the first pattern that fits it."""
    exact = apis.get(model)
    if exact is not None:
        return exact
    pattern = ModelIds(apis).pattern_of(model)
    return AUTO if pattern is None else apis[pattern]
