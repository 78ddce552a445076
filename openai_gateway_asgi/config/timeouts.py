"""How long a request may take, step by step."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..errors import ConfigError
from . import checks


class Unchosen(float):
    """A default that nobody has written: what is right for most upstreams may not be for some."""


COMMITS = ("told", "whole")
"""When a stream is the client's for good, so that nobody else is asked any more."""

OPTIONAL = frozenset({"total", "failover_after"})
"""Those that None switches off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds, each above zero. Raises ``ConfigError`` naming the field."""

    connect: float = 5.0
    """To a connection, TLS included: a healthy server takes well under one, even around the world."""
    first_event: float = 300.0
    """From the request's start until the upstream shows anything of a stream, its head apart: reasoning models think
    for minutes before it."""
    failover_after: float | None = Unchosen(12.0)
    """The same where somebody else may be asked for a stream of chat, completions or responses, and the model does not
    think first: most have begun by then. Not for upstreams whose ``connection_type`` is ``local``, which may have to
    load the model, unless it is written. None: off."""
    answer: float = 600.0
    """From the request's start to the end of an answer that is not streamed, and to the first event of a stream that
    tells something where comments or start-up events came before: what the OpenAI SDKs wait."""
    idle: float = 300.0
    """Between two events that tell something: reasoning models are silent for minutes between them as well."""
    stall: float = 30.0
    """The same for a stream that is held until it is whole (``commit="whole"``), once text of its answer or arguments
    of a tool came: then nobody thinks for long."""
    total: float | None = None
    """For everything; None sets no bound: a stream that moves is one that somebody reads."""

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if value is not None or spec.name not in OPTIONAL:
                checks.seconds(spec.name, value)

    def failover_for(self, connection_type: str) -> float | None:
        """``failover_after`` as it holds for upstreams of this type."""
        after = self.failover_after
        if after is None or (isinstance(after, Unchosen) and connection_type == "local"):
            return None
        return float(after)


def timeout_rule(field: str, value: Any) -> Timeouts:
    if not isinstance(value, Timeouts):
        raise ConfigError(field, "must be Timeouts(...)")
    return value
