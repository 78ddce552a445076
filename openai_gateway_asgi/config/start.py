"""What a gateway begins with: the store of its configuration, and the judge of all that comes into force."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ..errors import ConfigError
from . import checks
from .document import wire_field
from .environment import presets_from_env, read_env, variable_names
from .judge import Judge
from .rules import Setup
from .store import ConfigStore, GatewayConfig, MemoryStore
from .upstream import Upstream


def begin(setup: Setup) -> tuple[ConfigStore, Judge]:
    """Judges all that can be known at once. Raises ``ConfigError`` naming the field."""
    upstreams: Iterable[Upstream] | ConfigStore | None = setup.store
    judge = Judge(setup, _spelling(upstreams))
    if isinstance(upstreams, ConfigStore) and setup.presets:
        raise ConfigError("presets", "are the store's to keep; write MemoryStore(upstreams, presets=[...])")
    store = upstreams if isinstance(upstreams, ConfigStore) else MemoryStore.of(_config(upstreams, setup))
    peek = getattr(store, "peek", None)
    if peek is not None:
        judge.adopt(peek())
    return store, judge


def _config(upstreams: Iterable[Upstream] | None, setup: Setup) -> GatewayConfig:
    given: Any = setup.presets
    if upstreams is not None:
        return GatewayConfig(setup.settings.enabled, upstreams, presets=given)
    read, notes = read_env(os.environ)
    presets, left_out = presets_from_env(os.environ)
    presets += checks.items("presets", given)
    try:
        return GatewayConfig(setup.settings.enabled, read, notes=(*notes, *left_out), presets=presets)
    except ConfigError as error:
        raise ConfigError(wire_field(error.field), error.problem) from None


def _spelling(upstreams: Iterable[Upstream] | ConfigStore | None) -> Callable[[str], str]:
    """How fields are called where the configuration was written: in code as they are, elsewhere as on the wire."""
    if upstreams is None:
        urls, keys = variable_names(os.environ)
        return partial(wire_field, url_name=urls, key_name=keys)
    return wire_field if isinstance(upstreams, ConfigStore) and not isinstance(upstreams, MemoryStore) else str
