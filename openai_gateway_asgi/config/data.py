"""A whole configuration as plain data and back, for hosts that keep it in a place of their own."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..hidden import hidden, shown
from .document import Document, assemble, read_rows, refuse_unknown, write_document
from .entries import typed
from .store import GatewayConfig

VERSION = "version"


def config_to_data(config: GatewayConfig) -> dict[str, Any]:
    """The configuration as JSON can hold it, **with every secret in clear**: keys, header values, proxies' passwords.

    It is meant for a host's own database, encrypted there as its other secrets are; never for an answer or a log. The
    form is that of ``GET /config``, and ``config_from_data`` reads it again.
    """
    return write_document(config) | {VERSION: config.version}


def config_from_data(data: Document) -> GatewayConfig:
    """The configuration that ``config_to_data`` wrote, checked as a whole, with the version it had.

    Raises ``ConfigError`` naming the field, as ``OPENAI_API_CONFIGS.0.prefix_id``.
    """
    if not isinstance(data, dict):
        raise ConfigError("data", "must be a dict, as config_to_data gives it")
    data = hidden(data)
    refuse_unknown(data, (VERSION,))
    version = shown(typed(VERSION, data.get(VERSION, ""), str))
    return assemble(data, read_rows(data), GatewayConfig(version=version))
