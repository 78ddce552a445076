"""What the gateway is configured with: plain, immutable data, checked when made."""

from __future__ import annotations

from .data import config_from_data, config_to_data
from .environment import upstreams_from_env
from .file_store import FileStore
from .findings import Finding
from .presets import Defaults, Preset
from .secret import Secret
from .settings import Settings
from .store import ConfigStore, GatewayConfig, MemoryStore, VersionConflict
from .timeouts import Timeouts
from .upstream import Upstream
from .wire import from_wire, to_wire, verify_target

__all__ = [
    "ConfigStore",
    "Defaults",
    "FileStore",
    "Finding",
    "GatewayConfig",
    "MemoryStore",
    "Preset",
    "Secret",
    "Settings",
    "Timeouts",
    "Upstream",
    "VersionConflict",
    "config_from_data",
    "config_to_data",
    "from_wire",
    "to_wire",
    "upstreams_from_env",
    "verify_target",
]
