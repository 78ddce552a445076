"""One model, as the host's policies and the clients' lists see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Model:
    """A model under its public id.

    ``upstream`` is the name of the upstream that serves it first; ``listing`` is its entry in ``GET /models``, encoded.
    """

    id: str
    upstream: str
    name: str
    connection_type: str = "external"
    tags: tuple[Any, ...] = ()
    listed: bool = True
    """Whether ``GET /models`` shows it; what is not shown can still be asked for by its id."""
    listing: bytes = field(default=b"", repr=False, compare=False)
    order: int | None = field(default=None, repr=False, compare=False)
    """Its place in lists, smaller numbers first; None: behind all that have one."""
    is_preset: bool = field(default=False, compare=False)
    """Whether it is the host's own, over others."""
    label: str = field(default="", repr=False, compare=False)
    """What stands for it where values must be few, as in metrics, if not its id: the pattern of ``model_ids`` that
    routes it, or ``other`` for one that only its caller's own list has."""

    @property
    def metadata(self) -> dict[str, Any]:
        """Everything the upstream said of this model, decoded anew on each access."""
        entry: dict[str, Any] = msgspec.json.decode(self.listing)
        return entry


def in_order(models: Sequence[Model]) -> Sequence[Model]:
    """Those that have an order first, all else as it was."""
    if all(model.order is None for model in models):
        return models
    return sorted(models, key=lambda model: (model.order is None, model.order or 0))
