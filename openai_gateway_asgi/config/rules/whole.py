"""Rules about the configuration as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..findings import Finding
from ..model_ids import is_pattern
from ..presets import Preset
from ..store import GatewayConfig
from ..upstream import Upstream
from . import identity, variables
from .setup import Setup

WholeRule = Callable[[GatewayConfig, Setup], Iterator[Finding]]


def notes(config: GatewayConfig, _setup: Setup) -> Iterator[Finding]:
    """What whoever read the configuration had to leave out."""
    yield from config.notes


def upstreams(config: GatewayConfig, setup: Setup) -> Iterator[Finding]:
    if setup.host_ids:
        return
    if not config.upstreams:
        yield Finding(
            "no_upstreams", "upstreams", "is empty: no model can be called",
            "write [Upstream(...)], unless an administrator adds some",
        )  # fmt: skip
    elif not any(upstream.enabled for upstream in config.upstreams):
        yield Finding(
            "no_enabled_upstream", "upstreams", "has none that is switched on: no model can be called",
            "write enabled=True for one",
        )  # fmt: skip


def stored_upstream(config: GatewayConfig, setup: Setup) -> Iterator[Finding]:
    name = setup.settings.stored_upstream
    if name is None or not config.upstreams:
        return
    named = {upstream.name: upstream for upstream in config.upstreams}
    if name not in named:
        known = ", ".join(sorted(named)[:8])
        yield Finding(
            "unknown_stored_upstream", "settings.stored_upstream", f"is {name!r}, which no upstream is called",
            f"write one of their names: {known}",
        )  # fmt: skip
    elif not named[name].enabled:
        yield Finding(
            "stored_upstream_disabled", "settings.stored_upstream", f"is {name!r}, which is switched off",
            "switch it on, or name another",
        )  # fmt: skip


def fallbacks(config: GatewayConfig, setup: Setup) -> Iterator[Finding]:
    """Only where every model is known without asking anybody."""
    enabled = [upstream for upstream in config.upstreams if upstream.enabled]
    if not config.fallbacks or any(not _is_static(upstream) for upstream in enabled):
        return
    served = {public for upstream in enabled for public in _public_ids(upstream)}
    served |= {*config.preset_book.by_id, *setup.host_ids}
    for model, others in config.fallbacks.items():
        for name, field in [(model, f"fallbacks.{model}"), *((each, f"fallbacks.{model}") for each in others)]:
            if name not in served:
                yield Finding(
                    "fallback_unserved", field, f"names {name!r}, which no upstream serves",
                    "write ids as users see them, with their prefix",
                )  # fmt: skip


def preset_bases(config: GatewayConfig, setup: Setup) -> Iterator[Finding]:
    """Only where every model is known without asking anybody: elsewhere a base may still come."""
    enabled = [upstream for upstream in config.upstreams if upstream.enabled]
    if not config.presets or not enabled or any(not _is_static(upstream) for upstream in enabled):
        return
    served = {public for upstream in enabled for public in _public_ids(upstream)} | set(setup.host_ids)
    book = config.preset_book
    for index, preset in enumerate(config.presets):
        if not isinstance(preset, Preset) or not preset.enabled:
            continue
        for id, inner in book.bases(preset):
            if inner is None and id not in served:
                yield Finding(
                    "preset_base_unserved", f"presets.{index}.base", f"names {id!r}, which no upstream serves",
                    "write the id of a model as users see it, with its prefix, or that of another preset",
                )  # fmt: skip


def _is_static(upstream: Upstream) -> bool:
    return bool(upstream.model_ids) and not any(map(is_pattern, upstream.model_ids))


def _public_ids(upstream: Upstream) -> Iterator[str]:
    for id in upstream.model_ids:
        yield f"{upstream.prefix_id}.{id}" if upstream.prefix_id else id


WHOLE_RULES: tuple[WholeRule, ...] = (
    notes,
    upstreams,
    stored_upstream,
    fallbacks,
    preset_bases,
    variables.secret,
    variables.context,
    identity.shared_keys,
)
