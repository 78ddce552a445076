"""One line per change of the configuration: who made it, and what it changed. Names of fields, never their values."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields

from ..config import GatewayConfig, Upstream
from .fields import value

logger = logging.getLogger("openai_gateway_asgi.config")

WHOLE = tuple(spec.name for spec in fields(GatewayConfig) if spec.name not in ("upstreams", "version", "notes"))
"""What a configuration has beside its upstreams."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became different, by the upstreams' names."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]
    """The fields that differ, of each upstream that was there before."""
    others: tuple[str, ...]
    """What changed beside upstreams, as ``enabled``; ``order`` is that of the upstreams."""


def change_between(before: GatewayConfig, after: GatewayConfig) -> Change:
    old = {upstream.name: upstream for upstream in before.upstreams}
    new = {upstream.name: upstream for upstream in after.upstreams}
    differing = {name: _differing(old[name], new[name]) for name in new if name in old}
    others = [name for name in WHOLE if getattr(before, name) != getattr(after, name)]
    if [name for name in old if name in new] != [name for name in new if name in old]:
        others.append("order")
    return Change(
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed={name: names for name, names in differing.items() if names},
        others=tuple(others),
    )


def log_change(before: GatewayConfig, after: GatewayConfig, by: str | None) -> None:
    """``by`` is the administrator's id as the log shows it; None where the store was changed by somebody else."""
    if not logger.isEnabledFor(logging.INFO):
        return
    change = change_between(before, after)
    said = [
        *(f"added={value(name)}" for name in change.added),
        *(f"removed={value(name)}" for name in change.removed),
        *(f"changed={value(name)}:{','.join(names)}" for name, names in change.changed.items()),
        *(f"changed={name}" for name in change.others),
    ]
    logger.info(
        "configuration changed by=%s %s",
        value(by) if by is not None else "store",
        " ".join(said) or "nothing",
        extra={
            "change": {
                "by": by,
                "version": after.version,
                "added": list(change.added),
                "removed": list(change.removed),
                "changed": {name: list(names) for name, names in change.changed.items()},
                "others": list(change.others),
            }
        },
    )


def _differing(before: Upstream, after: Upstream) -> tuple[str, ...]:
    return tuple(spec.name for spec in fields(before) if getattr(before, spec.name) != getattr(after, spec.name))
