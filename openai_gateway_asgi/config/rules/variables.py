"""Rules about the variables of texts: whether what they stand for can be known."""

from __future__ import annotations

from collections.abc import Iterator

from ..findings import Finding
from ..presets import Preset
from ..store import GatewayConfig
from ..templates import Template
from .setup import Setup


def secret(config: GatewayConfig, setup: Setup) -> Iterator[Finding]:
    if setup.settings.identity_secret is None:
        for field, template in _templates(config):
            if template.needs_secret:
                yield Finding(
                    "no_identity_secret", field, "has {user.id:hmac}, and there is nothing to hide ids with",
                    "write Settings(identity_secret=...)",
                )  # fmt: skip


def context(config: GatewayConfig, setup: Setup) -> Iterator[Finding]:
    asking = [(field, template.context_keys[0]) for field, template in _templates(config) if template.context_keys]
    given = setup.callables.get("context") is not None
    if given and not asking and not setup.settings.forward_user_info:
        yield Finding(
            "context_unused", "context", "is never asked",
            "write Settings(forward_user_info=True) with it, or a variable such as {context.chat_id}",
        )  # fmt: skip
    if not given:
        for field, key in asking:
            yield Finding(
                "context_missing", field, f"has {{context.{key}}}, and nobody gives contexts",
                "give the gateway a context callable",
            )  # fmt: skip


def _templates(config: GatewayConfig) -> Iterator[tuple[str, Template]]:
    """Each text with variables, by its field."""
    for index, preset in enumerate(config.presets):
        if isinstance(preset, Preset) and preset.enabled and preset.prompt is not None:
            yield f"presets.{index}.system", preset.prompt
    for index, upstream in enumerate(config.upstreams):
        if upstream.enabled:
            for field, template in upstream.templates.items():
                yield f"upstreams.{index}.{field}", template
