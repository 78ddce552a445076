"""Which parts of the API a configuration opens."""

from __future__ import annotations

from typing import Any

from ..api.endpoints import OPENABLE
from ..api.passthrough import problem_of
from ..errors import ConfigError
from . import checks


def groups(field: str, value: Any) -> frozenset[str]:
    names = checks.lines(field, value)
    for index, name in enumerate(names):
        if name not in OPENABLE:
            raise ConfigError(f"{field}.{index}", f"must be one of {', '.join(sorted(OPENABLE))}")
    return frozenset(names)


def passthrough(field: str, value: Any) -> tuple[str, ...]:
    patterns = checks.lines(field, value)
    for index, pattern in enumerate(patterns):
        problem = problem_of(pattern)
        if problem is not None:
            raise ConfigError(f"{field}.{index}", problem)
    return patterns
