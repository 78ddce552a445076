"""What an upstream's bodies are stamped with: fields that say who asks, and where they may stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..api.parameters import NOT_PARAMETERS, PARAMETERS, canonical
from ..errors import ConfigError
from .hidden_values import HiddenValues
from .templates import Template

MOST = 8
"""Fields that one upstream's bodies are stamped with."""
LONGEST_KEY = 64
"""Characters of a key of ``metadata`` (OpenAI's description of its API)."""

_FIELD = re.compile(rf"[a-z][a-z0-9_]*(?:\.[A-Za-z0-9_-]{{1,{LONGEST_KEY}}})?")


def stamp(where: str, value: Any) -> Mapping[str, str]:
    """Fields, at most one object down, to texts with variables."""
    if not isinstance(value, Mapping):
        raise ConfigError(where, 'must map fields to texts; write {"safety_identifier": "{user.id:hmac}"}')
    if len(value) > MOST:
        raise ConfigError(where, f"must not have more than {MOST} fields")
    for name, text in value.items():
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            raise ConfigError(where, "must name fields such as safety_identifier or metadata.team")
        if name.partition(".")[0] in NOT_PARAMETERS:
            raise ConfigError(f"{where}.{name}", "is what a call is about; name a field that says who asks, as user")
        if not _takes_text(name):
            raise ConfigError(f"{where}.{name}", "takes no text in the API; name another field, as metadata.team")
        if not isinstance(text, str) or not text:
            raise ConfigError(f"{where}.{name}", "must be text, such as {user.id:hmac}")
        _ = Template(text, f"{where}.{name}")
    return HiddenValues(dict(value))


def _takes_text(name: str) -> bool:
    """Whether the API takes a text there; what stands in no table is the host's own to know."""
    known = PARAMETERS.get(canonical(name))
    if known is None:
        return True
    try:
        msgspec.convert("", known.kind)
    except msgspec.ValidationError:
        return False
    return True
