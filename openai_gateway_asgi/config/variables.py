"""The environment variables behind ``Settings``, typed. An empty number, name or path counts as not set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import ConfigError


class Variable(NamedTuple):
    name: str
    field: str
    parse: Callable[[str, str], Any]


def read(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values by field, and by field the variable each came from. Raises ``ConfigError`` naming the variable."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for variable in VARIABLES:
        text = environ.get(variable.name)
        if text is None or (not text.strip() and variable.parse is not flag):
            continue
        value = variable.parse(variable.name, text)
        if value is not None:
            values[variable.field] = value
            sources[variable.field] = variable.name
    return values, sources


def flag(name: str, text: str) -> bool:
    """An empty one is refused: it is as likely to be meant as false as to be left out."""
    if text.lower() not in ("true", "false"):
        raise ConfigError(name, "must be true or false")
    return text.lower() == "true"


def number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(name, "must be a number of seconds, or empty for the default") from error


def plain(_name: str, text: str) -> str:
    return text.strip()


def off_or_path(_name: str, text: str) -> bool | str | None:
    """None for true, which says no more than the default and leaves a file named elsewhere in force."""
    return {"true": None, "false": False}.get(text.strip().lower(), text.strip())


# Of two variables for one field the later wins.
VARIABLES = (
    Variable("ENABLE_OPENAI_API", "enabled", flag),
    Variable("AIOHTTP_CLIENT_TIMEOUT", "total", number),
    Variable("AIOHTTP_CLIENT_STREAM_IDLE_TIMEOUT", "idle", number),
    Variable("AIOHTTP_CLIENT_TIMEOUT_OPENAI_MODEL_LIST", "model_list_timeout", number),
    Variable("AIOHTTP_CLIENT_TIMEOUT_MODEL_LIST", "model_list_timeout", number),
    Variable("MODELS_CACHE_TTL", "model_list_lifetime", number),
    Variable("BYPASS_MODEL_ACCESS_CONTROL", "bypass_model_access", flag),
    Variable("ENABLE_FORWARD_USER_INFO_HEADERS", "forward_user_info", flag),
    Variable("FORWARD_USER_INFO_HEADER_USER_NAME", "user_name_header", plain),
    Variable("FORWARD_USER_INFO_HEADER_USER_ID", "user_id_header", plain),
    Variable("FORWARD_USER_INFO_HEADER_USER_EMAIL", "user_email_header", plain),
    Variable("FORWARD_USER_INFO_HEADER_USER_ROLE", "user_role_header", plain),
    Variable("FORWARD_SESSION_INFO_HEADER_CHAT_ID", "chat_id_header", plain),
    Variable("AIOHTTP_CLIENT_SSL_CERT_FILE", "verify_tls", plain),
    Variable("AIOHTTP_CLIENT_SESSION_SSL", "verify_tls", off_or_path),
)
