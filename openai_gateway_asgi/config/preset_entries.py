"""Presets as they are written in the configuration's JSON: our own keys, and those of Open WebUI's models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..errors import ConfigError
from .entries import typed
from .findings import Finding
from .origin_models import is_origins, translated
from .presets import Defaults, Preset

Entry = Preset | Defaults

KINDS: dict[str, Any] = {
    "id": str,
    "base": str | list[str] | dict[str, int],
    "name": str,
    "description": str,
    "order": int,
    "tags": list[Any],
    "hidden": bool,
    "enabled": bool,
    "system": str,
    "params": dict[str, Any],
    "locked": list[str],
    "base_access": str,
}
"""The keys of a preset, each that of the field of its name, and what JSON must hold there."""
DEFAULTS_KINDS: dict[str, Any] = {"models": str | list[str], "params": dict[str, Any], "locked": list[str]}
"""The same of what holds for all models of a pattern; it is told by ``models``."""


def read_entries(where: str, value: Any) -> tuple[list[Entry], list[Finding]]:
    """The presets of a list, and what was left out of it. Raises ``ConfigError`` naming the key, as ``where.0.id``."""
    entries: list[Entry] = []
    notes: list[Finding] = []
    for index, item in enumerate(typed(where, value, list[dict[str, Any]])):
        entry, left_out = _read(f"{where}.{index}", item)
        entries.append(entry)
        notes += left_out
    return entries, notes


def write_entry(entry: Entry) -> dict[str, Any]:
    """What differs from the defaults."""
    unset = _UNSET if isinstance(entry, Preset) else _NO_DEFAULTS
    written = {}
    for spec in fields(entry):
        value = getattr(entry, spec.name)
        if value != getattr(unset, spec.name):
            written[spec.name] = _plain(value)
    return written


def _read(where: str, item: Mapping[str, Any]) -> tuple[Entry, list[Finding]]:
    own, notes = translated(where, item) if is_origins(item) else (dict(item), [])
    kinds = DEFAULTS_KINDS if "models" in own else KINDS
    values = {}
    for name, value in own.items():
        if name not in kinds:
            raise ConfigError(f"{where}.{name}", f"is unknown; known are {', '.join(kinds)}")
        if value is not None:
            values[name] = typed(f"{where}.{name}", value, kinds[name])
    if kinds is KINDS and "id" not in values:
        raise ConfigError(f"{where}.id", "is required")
    try:
        return (Defaults(**values) if kinds is DEFAULTS_KINDS else Preset(**values)), notes
    except ConfigError as error:
        raise ConfigError(f"{where}.{error.field}", error.problem) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


_UNSET = Preset("-", base="--")
_NO_DEFAULTS = Defaults("--")
