"""What the host gave the gateway, as the rules see it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..settings import Settings


@dataclass(frozen=True, slots=True)
class Setup:
    """The gateway's options, unchecked: any of them may be of any kind."""

    settings: Settings = field(default_factory=Settings)
    callables: Mapping[str, Any] = field(default_factory=dict)
    """By the option's name."""
    layers: Any = ()
    speech_cache: Any = None
    transport: Any = None
    store: Any = None
    """What was given as ``upstreams``."""
    presets: Any = ()
    host_ids: Collection[str] = ()
    """The models that the host's own code answers."""

    @property
    def has_oauth_token(self) -> bool:
        return self.callables.get("oauth_token") is not None
