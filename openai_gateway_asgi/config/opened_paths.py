"""Which parts of the API a configuration opens, and which models answer where a request names none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from ..api.default_models import DEFAULTING
from ..api.endpoints import OPENABLE
from ..api.passthrough import problem_of
from ..api.unmetered import FAMILIES
from ..errors import ConfigError
from . import checks
from .model_ids import MAX_ID


def groups(field: str, value: Any) -> frozenset[str]:
    return _named(field, value, OPENABLE)


def unmetered(field: str, value: Any) -> frozenset[str]:
    return _named(field, value, FAMILIES)


def _named(field: str, value: Any, known: Collection[str]) -> frozenset[str]:
    names = checks.lines(field, value)
    for index, name in enumerate(names):
        if name not in known:
            raise ConfigError(f"{field}.{index}", f"must be one of {', '.join(sorted(known))}")
    return frozenset(names)


def passthrough(field: str, value: Any) -> tuple[str, ...]:
    patterns = checks.lines(field, value)
    for index, pattern in enumerate(patterns):
        problem = problem_of(pattern)
        if problem is not None:
            raise ConfigError(f"{field}.{index}", problem)
    return patterns


def default_models(field: str, value: Any) -> Mapping[str, str | None]:
    if not isinstance(value, Mapping):
        raise ConfigError(field, "must map operations to model ids, as {'createModeration': 'my-moderation'}")
    models: dict[str, str | None] = {}
    for operation, id in value.items():
        if operation not in DEFAULTING:
            raise ConfigError(field, f"must name operations among {', '.join(sorted(DEFAULTING))}")
        models[operation] = None if id is None else checks.line(f"{field}.{operation}", id, longest=MAX_ID)
    return MappingProxyType(models)
