"""The configuration in force, and where it is kept."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from ..errors import ConfigError
from . import checks
from .converted import Converted
from .findings import Finding
from .preset_book import PresetBook
from .preset_book import checked as checked_presets
from .presets import Defaults, Preset
from .upstream import Upstream
from .upstream_names import unique_names

_NO_UPSTREAMS: Any = ()
_NO_FALLBACKS: Any = MappingProxyType({})
_NO_PRESETS: Any = ()

Presets = Iterable[Preset | Defaults]


class _Remembering:
    """Room for what follows from an heir's fields, so that it is worked out once."""


@dataclass(frozen=True, slots=True)
class GatewayConfig(_Remembering):
    """Everything an administrator can change while the gateway runs. Immutable; a request sees exactly one.

    Names of upstreams are made unique. Raises ``ConfigError`` naming the field.
    """

    enabled: bool = True
    upstreams: Converted[tuple[Upstream, ...], Iterable[Upstream]] = _NO_UPSTREAMS
    """In order: of two that list the same model, the first one's entry is shown."""
    fallbacks: Converted[Mapping[str, tuple[str, ...]], Mapping[str, Iterable[str]]] = field(
        default_factory=lambda: _NO_FALLBACKS, hash=False
    )
    """By model id: the models to try when it fails, in order."""
    version: str = ""
    """Opaque; differs whenever the content does. Empty until a store has it."""
    notes: tuple[Finding, ...] = field(default=(), compare=False, repr=False)
    """What was left out when it was read, told among the warnings."""
    presets: Converted[tuple[Preset | Defaults, ...], Presets] = _NO_PRESETS
    """Models of the host's own over others, and parameters for all models of a pattern."""

    def __post_init__(self) -> None:
        checks.flag("enabled", self.enabled)
        object.__setattr__(self, "upstreams", unique_names(_upstreams("upstreams", self.upstreams)))
        object.__setattr__(self, "fallbacks", _fallbacks("fallbacks", self.fallbacks))
        object.__setattr__(self, "presets", checked_presets("presets", self.presets))

    @cached_property
    def uses_sessions(self) -> bool:
        """Whether some upstream is called with the caller's own token."""
        return any(upstream.enabled and upstream.auth_type == "session" for upstream in self.upstreams)

    @cached_property
    def checks_bases(self) -> bool:
        """Whether some preset wants its user to be allowed to use its base as well."""
        return any(preset.base_access == "checked" for preset in self.preset_book.by_id.values())

    @cached_property
    def preset_book(self) -> PresetBook:
        return PresetBook(self.presets)

    @cached_property
    def more_routes(self) -> frozenset[str]:
        """Fields that some upstream does not get, beside those of the table."""
        entries = {entry for upstream in self.upstreams for entry in upstream.route_fields}
        return frozenset(entry for entry in entries if not entry.startswith("-"))

    def takes_route(self, name: str) -> bool:
        """Whether a request with this field may reach any of the upstreams."""
        return any(upstream.enabled and not upstream.refuses_route(name) for upstream in self.upstreams)


class VersionConflict(Exception):
    """Somebody else has saved since the configuration was read; nothing was changed."""


@runtime_checkable
class ConfigStore(Protocol):
    """Where configurations are kept; write your own to keep them in a database. Calls may overlap.

    A store that can tell at once may also have ``peek()``, a plain function that gives what ``load`` does: then the
    configuration is judged when a gateway is made, and not with its first request.
    """

    shared: bool
    """Whether other processes see what is saved here."""

    async def load(self) -> GatewayConfig:
        """What is in force. Raises ``ConfigError`` when it cannot be read; the caller goes on with what it has."""

    async def version(self) -> str:
        """The version that ``load`` would give. Asked every second or so, so it should be cheap."""

    async def save(self, config: GatewayConfig, *, replaces: str | None) -> GatewayConfig:
        """Keeps ``config`` in one step and gives it back with its new version.

        Raises ``VersionConflict`` if what is in force is not the version ``replaces``; None: whatever is in force.
        """


class MemoryStore:
    """Configurations of this process alone, gone when it ends."""

    shared: bool = False

    def __init__(
        self,
        upstreams: Iterable[Upstream] = (),
        enabled: bool = True,
        fallbacks: Mapping[str, Iterable[str]] = {},
        presets: Presets = (),
    ) -> None:
        self._config = GatewayConfig(enabled, upstreams, fallbacks, version=_new_version(), presets=presets)
        # One gateway may serve event loops on several threads.
        self._lock = threading.Lock()

    @classmethod
    def of(cls, config: GatewayConfig) -> MemoryStore:
        """One that begins with ``config``."""
        store = cls()
        store._config = replace(config, version=_new_version())
        return store

    def peek(self) -> GatewayConfig:
        """What ``load`` gives, at once."""
        return self._config

    async def load(self) -> GatewayConfig:
        return self._config

    async def version(self) -> str:
        return self._config.version

    async def save(self, config: GatewayConfig, *, replaces: str | None) -> GatewayConfig:
        with self._lock:
            if replaces not in (None, self._config.version):
                raise VersionConflict
            self._config = replace(config, version=_new_version())
            return self._config


def _new_version() -> str:
    return uuid.uuid4().hex


def _upstreams(field: str, value: Any) -> list[Upstream]:
    if isinstance(value, Upstream | str):
        raise ConfigError(field, 'must be a list; write [Upstream("https://...", api_key=...)]')
    given = checks.items(field, value)
    for index, item in enumerate(given):
        if not isinstance(item, Upstream):
            raise ConfigError(f"{field}.{index}", 'must be Upstream(...); write Upstream("https://...", api_key=...)')
    return given


def _fallbacks(field: str, value: Any) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise ConfigError(field, "must map model ids to lists of model ids")
    rule = {checks.line(field, model): checks.lines(f"{field}.{model}", others) for model, others in value.items()}
    for model, others in rule.items():
        if model in others:
            raise ConfigError(f"{field}.{model}", "must not name the model itself")
    return MappingProxyType(rule)
