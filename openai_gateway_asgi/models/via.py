"""What the configuration puts between the id that is asked for and the model that serves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..config.presets import Defaults, Preset


@dataclass(frozen=True, slots=True, eq=False)
class Via:
    presets: tuple[Preset, ...]
    """Those on the way, the one that was asked for first."""
    defaults: tuple[Defaults, ...]
    """Those that hold for one of the ids on the way."""
    hops: tuple[str, ...]
    """The ids on the way: of each preset, and of the model at its end."""
    preset: str | None = field(init=False)
    """What the client asked for, and what answers are to name; None where that is the model itself."""

    plans: dict[str, Any] = field(init=False, default_factory=dict)
    """What is to be done on this way, by operation, once that was worked out (``presets/plan.py``)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "preset", self.presets[0].id if self.presets else None)
