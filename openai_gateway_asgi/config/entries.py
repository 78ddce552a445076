"""One entry of ``OPENAI_API_CONFIGS``: all that is known of an upstream but its URL and key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import msgspec

from ..errors import ConfigError
from ..hidden import HiddenText, shown
from .findings import Finding
from .foreign_keys import translated
from .secret import Secret
from .templates import from_origin
from .timeouts import OPTIONAL, Timeouts, Unchosen
from .upstream import SECRETS, Upstream


class Key(NamedTuple):
    field: str
    kind: Any


KEYS = {
    "enable": Key("enabled", bool),
    "name": Key("name", str),
    "model_ids": Key("model_ids", list[str]),
    "prefix_id": Key("prefix_id", str),
    "tags": Key("tags", list[Any]),
    "connection_type": Key("connection_type", str),
    "auth_type": Key("auth_type", str),
    "headers": Key("headers", dict[str, str | int | float]),
    "query": Key("query", dict[str, str | int | float]),
    "azure": Key("azure", bool),
    "provider": Key("provider", str),
    "api": Key("api", str | dict[str, str]),
    "api_version": Key("api_version", str),
    "timeouts": Key("timeouts", dict[str, float | None]),
    "weight": Key("weight", int),
    "priority": Key("priority", int),
    "proxy": Key("proxy", str),
    "verify_tls": Key("verify_tls", bool | str),
    "keepalive": Key("keepalive", float),
    "rewrites": Key("rewrites", str),
    "max_concurrency": Key("max_concurrency", int),
    "commit": Key("commit", str),
    "stream_usage": Key("stream_usage", str),
    "on_leave": Key("on_leave", str),
    "reports_cost": Key("reports_cost", bool),
    "reasoning_models": Key("reasoning_models", list[str]),
    "developer_role": Key("developer_role", bool),
    "route_fields": Key("route_fields", list[str]),
    "drop_fields": Key("drop_fields", list[str]),
    "drop_nulls": Key("drop_nulls", bool),
    "drop_hosted_tools": Key("drop_hosted_tools", bool),
    "images_in_tools": Key("images_in_tools", bool),
    "repair_responses": Key("repair_responses", bool),
    "flatten_tool_content": Key("flatten_tool_content", bool),
    "forward_cookies": Key("forward_cookies", list[str]),
    "identity": Key("identity", str),
    "identity_key": Key("identity_key", str),
    "identity_header": Key("identity_header", str),
    "stamp": Key("stamp", dict[str, str]),
    "list_per_user": Key("list_per_user", bool),
    "token_scope": Key("token_scope", str),
}
"""What may be written, the field of ``Upstream`` it is, and what JSON must hold there; null is as good as absent."""

_UNSET = Timeouts()
_TIMEOUTS = tuple(asdict(_UNSET))
_PLACE = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)
_DEFAULT = Upstream("http://localhost")


def read_entry(where: str, entry: Any) -> tuple[dict[str, Any], list[Finding]]:
    """The entry as arguments of ``Upstream``, and what was left out of it.

    It comes of hidden types (``hidden.py``), and what may be secret of it stays so. Raises ``ConfigError`` naming the
    key, as ``where.key``.
    """
    own, notes = translated(where, {} if entry is None else typed(where, entry, dict[str, Any]))
    values: dict[str, Any] = {}
    for name, value in own.items():
        key = KEYS.get(name)
        if key is None:
            raise ConfigError(f"{where}.{name}", f"is unknown; known are {', '.join(KEYS)}")
        if value is not None:
            known = typed(f"{where}.{name}", value, key.kind)
            values[key.field] = known if key.field in SECRETS else shown(known)
    for field in {"headers", "query"}.intersection(values):
        values[field] = {name: HiddenText(value) for name, value in values[field].items()}
    if "headers" in values:
        values["headers"] = {name: HiddenText(from_origin(value)) for name, value in values["headers"].items()}
    if "stamp" in values:
        values["stamp"] = {name: from_origin(value) for name, value in values["stamp"].items()}
    if "timeouts" in values:
        values["timeouts"] = _timeouts(f"{where}.timeouts", values["timeouts"])
    if values.pop("azure", False):
        values["provider"] = _azure(f"{where}.azure", values.get("provider"))
    return values, notes


def write_entry(upstream: Upstream) -> dict[str, Any]:
    """What differs from the defaults, secrets in clear."""
    entry: dict[str, Any] = {}
    for name, key in KEYS.items():
        if name in ("azure", "name"):
            continue
        value = getattr(upstream, key.field)
        if value != getattr(_DEFAULT, key.field):
            entry[name] = value.reveal() if isinstance(value, Secret) else _plain(value)
    return entry


def typed(where: str, value: Any, kind: Any) -> Any:
    """The value, if JSON of that kind. Raises ``ConfigError`` with the exact place."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem, path = _PLACE.fullmatch(str(error)).groups()  # type: ignore[union-attr]
        inner = re.sub(r"\[(\d+)\]", r".\1", path or "").replace("[...]", "")
        raise ConfigError(where + inner, problem[:1].lower() + problem[1:]) from None
    except UnicodeEncodeError:
        raise ConfigError(where, "has half a character, which nobody can send") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Timeouts):
        return _written(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, str):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _written(timeouts: Timeouts) -> dict[str, float | None]:
    """But for what nobody has chosen: read again it must be that still. Null switches off what is on by default."""
    limits = {name: limit for name, limit in asdict(timeouts).items() if not isinstance(limit, Unchosen)}
    return {name: limit for name, limit in limits.items() if limit is not None or getattr(_UNSET, name) is not None}


def _timeouts(where: str, limits: dict[str, float | None]) -> Timeouts:
    for name in limits:
        if name not in _TIMEOUTS:
            raise ConfigError(f"{where}.{name}", f"is unknown; known are {', '.join(_TIMEOUTS)}")
    given: dict[str, Any] = {name: limit for name, limit in limits.items() if limit is not None or name in OPTIONAL}
    try:
        return Timeouts(**given)
    except ConfigError as error:
        raise ConfigError(f"{where}.{error.field}", error.problem) from None


def _azure(where: str, provider: str | None) -> str:
    if provider and provider.lower() != "azure":
        raise ConfigError(where, "contradicts provider; write one of them")
    return "azure"
