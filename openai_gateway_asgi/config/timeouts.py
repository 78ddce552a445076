"""How long a request may take, step by step."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..errors import ConfigError
from . import checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds, each above zero. Raises ``ConfigError`` naming the field."""

    connect: float = 5.0
    """To a connection, TLS included: a healthy server takes well under one, even around the world."""
    first_event: float = 300.0
    """From the request's start until the upstream shows anything of a stream, its head apart: reasoning models think
    for minutes before it."""
    answer: float = 600.0
    """From the request's start to the end of an answer that is not streamed, and to the first event of a stream that
    tells something where comments or start-up events came before: what the OpenAI SDKs wait."""
    idle: float = 300.0
    """Between two events that tell something: reasoning models are silent for minutes between them as well."""
    total: float | None = None
    """For everything; None sets no bound: a stream that moves is one that somebody reads."""

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if not (spec.name == "total" and value is None):
                checks.seconds(spec.name, value)


def timeout_rule(field: str, value: Any) -> Timeouts:
    if not isinstance(value, Timeouts):
        raise ConfigError(field, "must be Timeouts(...)")
    return value
