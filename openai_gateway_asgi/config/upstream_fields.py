"""What may stand in each field of an ``Upstream``, and the form in which it is kept; what fields must be together is
said in ``upstream.py``."""

from __future__ import annotations

import re
from typing import Any

from ..api.route_fields import KNOWN as KNOWN_ROUTES
from ..api.route_fields import ROUTE_FIELDS
from ..errors import ConfigError
from ..hidden import HiddenText
from . import addresses, checks, header_rules, query_rules, stamps
from .apis import api_rule
from .secret import Secret
from .timeouts import COMMITS, timeout_rule
from .trust import verify_tls

AUTH_TYPES = ("bearer", "none", "session", "system_oauth", "azure_ad", "microsoft_entra_id")
ENTRA = "microsoft_entra_id"
DEFAULT_API_VERSION = "2024-10-21"
"""The newest version of the classic Azure API that is generally available, and the last."""


def _api_key(name: str, value: Any) -> Secret:
    if value is None:
        raise ConfigError(name, 'is None, as an environment variable that is not set; write the key, or "" for none')
    if not isinstance(value, Secret | str):
        raise ConfigError(name, "must be text, or a Secret")
    key = Secret(value)
    checks.visible_ascii(name, HiddenText(key.reveal()))
    return key


def is_private_key(text: str) -> bool:
    return text.lstrip().startswith("-----BEGIN")


def _identity_key(name: str, value: Any) -> Secret:
    """A key in PEM has lines."""
    if value is None or not isinstance(value, Secret | str):
        raise ConfigError(name, 'must be text, or a Secret; "" for none')
    key = Secret(Secret(value).reveal().strip())
    if not is_private_key(HiddenText(key.reveal())):
        checks.visible_ascii(name, HiddenText(key.reveal()))
    return key


def _auth_type(name: str, value: Any) -> str:
    known = checks.choice(name, "bearer" if value in (None, "") else value, AUTH_TYPES)
    return ENTRA if known == "azure_ad" else known


def api_version(name: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", value):
        raise ConfigError(name, f"must be letters, digits, dots and dashes, such as {DEFAULT_API_VERSION}")
    return value


def _drop_fields(name: str, value: Any) -> tuple[str, ...]:
    names = checks.lines(name, value)
    if "model" in names:
        raise ConfigError(name, "must not contain model: the upstream would choose one that nobody was allowed to use")
    return names


def _route_fields(name: str, value: Any) -> tuple[str, ...]:
    entries = checks.lines(name, value)
    for index, entry in enumerate(entries):
        field = entry.removeprefix("-")
        if not re.fullmatch(r"[a-z0-9_.:-]+\*?", field):
            raise ConfigError(f"{name}.{index}", "must be a field's name in small letters, such as -api_version")
        if field in ("model", "models", "messages", "input", "stream"):
            raise ConfigError(f"{name}.{index}", "must be a field that chooses a route; this one is part of the API")
        if entry.startswith("-") and field not in KNOWN_ROUTES and field not in ROUTE_FIELDS:
            raise ConfigError(f"{name}.{index}", f"takes nothing out: refused are {', '.join(ROUTE_FIELDS)}")
    return entries


def _text(name: str, value: Any) -> str:
    return checks.line(name, value, empty=True)


def _count(name: str, value: Any) -> int:
    return checks.whole(name, value, least=1)


RULES: dict[str, checks.Rule] = {
    "base_url": addresses.base_url,
    "api_key": _api_key,
    "name": _text,
    "enabled": checks.flag,
    "model_ids": checks.lines,
    "prefix_id": _text,
    "tags": checks.plain_data,
    "connection_type": lambda name, value: _text(name, value) or "external",
    "auth_type": _auth_type,
    "headers": header_rules.custom_headers,
    "query": query_rules.fixed_query,
    "provider": lambda name, value: _text(name, value).lower(),
    "api": api_rule,
    "api_version": api_version,
    "timeouts": checks.optional(timeout_rule),
    "weight": checks.optional(_count),
    "priority": checks.whole,
    "proxy": checks.optional(lambda name, value: HiddenText(addresses.proxy(name, value))),
    "verify_tls": checks.optional(verify_tls),
    "keepalive": checks.optional(checks.seconds),
    "rewrites": lambda name, value: checks.choice(name, value, ("auto", "off")),
    "max_concurrency": checks.optional(_count),
    "commit": checks.optional(lambda name, value: checks.choice(name, value, COMMITS)),
    "stream_usage": lambda name, value: checks.choice(name, value, ("auto", "always", "never")),
    "on_leave": lambda name, value: checks.choice(name, value, ("cancel", "finish")),
    "reports_cost": checks.optional(checks.flag),
    "reasoning_models": checks.optional(checks.lines),
    "developer_role": checks.optional(checks.flag),
    "route_fields": _route_fields,
    "drop_fields": _drop_fields,
    "drop_nulls": checks.flag,
    "drop_hosted_tools": checks.flag,
    "images_in_tools": checks.flag,
    "repair_responses": checks.flag,
    "flatten_tool_content": checks.flag,
    "forward_cookies": checks.tokens,
    "identity": lambda name, value: checks.choice(name, "" if value is None else value, ("", "jwt")),
    "identity_key": _identity_key,
    "identity_header": header_rules.identity_name,
    "stamp": stamps.stamp,
    "list_per_user": checks.flag,
    "token_scope": lambda name, value: addresses.scope(name, value) if value != "" else "",
}
