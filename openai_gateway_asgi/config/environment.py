"""Upstreams from the environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import ConfigError
from ..hidden import HiddenText, hidden
from .document import API_KEYS, BASE_URLS, CONFIGS, PRESETS, decode_document, join
from .findings import Finding
from .preset_entries import Entry, read_entries
from .upstream import Upstream
from .upstream_names import unique_names

BASE_URL = "OPENAI_API_BASE_URL"
API_KEY = "OPENAI_API_KEY"
OFFICIAL = "https://api.openai.com/v1"

_NAMES = (BASE_URLS, BASE_URL, API_KEYS, API_KEY, CONFIGS)

logger = logging.getLogger("openai_gateway_asgi")


def upstreams_from_env(environ: Mapping[str, str] = os.environ) -> tuple[Upstream, ...]:
    """Those of ``OPENAI_API_BASE_URLS`` and ``OPENAI_API_KEYS`` (``;`` between them) and ``OPENAI_API_CONFIGS`` (JSON).

    The singular names count where the plural ones are not set; without any there is OpenAI's own, without a key.
    What has no effect is logged. Raises ``ConfigError`` naming the variable.
    """
    environ = hidden({name: environ[name] for name in _NAMES if name in environ})
    upstreams, notes = read_env(environ)
    for note in notes:
        logger.warning("configuration: %s", note)
    return upstreams


def read_env(environ: Mapping[str, str]) -> tuple[tuple[Upstream, ...], tuple[Finding, ...]]:
    """The upstreams, and what the variables say in vain."""
    environ = hidden({name: environ[name] for name in _NAMES if name in environ})
    url_name, key_name = variable_names(environ)
    urls = _parts(environ.get(url_name) or OFFICIAL)
    keys = _parts(environ.get(key_name, ""))
    reading = join(urls, keys, _configs(environ.get(CONFIGS)), url_name=url_name, key_name=key_name)
    return unique_names((row.upstream() for row in reading.rows), CONFIGS + ".{}.name"), reading.notes


def presets_from_env(environ: Mapping[str, str] = os.environ) -> tuple[list[Entry], list[Finding]]:
    """Those of ``MODEL_PRESETS``, a JSON list, and what was left out of it. Raises ``ConfigError`` naming the key."""
    text = environ.get(PRESETS, "").strip()
    if not text:
        return [], []
    try:
        return read_entries(PRESETS, msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):
        pass
    raise ConfigError(PRESETS, 'must be a JSON list, such as [{"id": "fast", "base": "gpt-4o-mini"}]')


def variable_names(environ: Mapping[str, str]) -> tuple[str, str]:
    """Of the variables that base URLs and keys are read from."""
    return BASE_URLS if environ.get(BASE_URLS) else BASE_URL, API_KEYS if environ.get(API_KEYS) else API_KEY


def _parts(text: str) -> list[str]:
    return [HiddenText(part.strip()) for part in text.split(";")]


def _configs(text: str | None) -> dict[str, Any]:
    if not text or not text.strip():
        return {}
    configs = decode_document(text)
    if configs is None:
        raise ConfigError(CONFIGS, 'must be a JSON object, such as {"0": {"prefix_id": "p"}}')
    return configs
