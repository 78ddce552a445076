"""The border between configurations and what administrators read and post. No secret leaves here whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..errors import ConfigError, InvalidRequest, PreconditionFailed
from ..hidden import hidden, shown
from .document import CONFIGS, Document, Place, Row, assemble, read_rows, refuse_unknown, write_document
from .entries import read_entry, typed
from .masks import masked, unmasked
from .store import GatewayConfig
from .upstream import Upstream

VERSION = "version"
ANSWER_ONLY = (VERSION, "shared", "fault", "warnings")
"""What the admin routes add to a configuration; an answer can be posted back as it is."""
VERIFIED = Place("url", "key", "config")
"""Where the parts of an upstream stand that is only tried out."""


def to_wire(config: GatewayConfig) -> dict[str, Any]:
    """The configuration as JSON data: the three parallel structures, the switch, and ``version``; secrets masked."""
    return masked(write_document(config)) | {VERSION: config.version}


def from_wire(body: Any, current: GatewayConfig) -> GatewayConfig:
    """The configuration that a posted body asks for, checked as a whole; its version is still the current one.

    The body is what ``to_wire`` gives, edited. Masks stand for the secrets in ``current``; a switch, fallbacks or
    presets that are left out stay as they are. Raises ``InvalidRequest`` naming the field in ``param``, and
    ``PreconditionFailed`` for the ``version`` of another configuration.
    """
    body = hidden(body)
    with refused_as_request():
        document = _object(body)
        refuse_unknown(document, ANSWER_ONLY)
        _check_version(shown(document.get(VERSION)), current)
        reading = read_rows(document | {CONFIGS: _one_form(document.get(CONFIGS))})
        return assemble(document, replace(reading, rows=unmasked(reading.rows, current.upstreams)), current)


def verify_target(body: Any, current: GatewayConfig) -> Upstream:
    """The upstream to try out, of a body ``{"url", "key", "config"?}``; masks stand for secrets in ``current``.

    Raises ``InvalidRequest`` naming the field in ``param``.
    """
    body = hidden(body)
    with refused_as_request():
        document = _object(body)
        for name in document:
            if name not in ("url", "key", "config"):
                raise ConfigError(name, "is unknown; known are url, key, config")
        config = document.get("config")
        values, _ = read_entry("config", config)
        row = Row(_text(document, "url"), _text(document, "key"), values, VERIFIED)
        return unmasked([row], current.upstreams)[0].upstream()


@contextmanager
def refused_as_request(spelled: Callable[[str], str] = str) -> Iterator[None]:
    """``ConfigError`` as the answer to whoever posted the configuration; ``spelled`` names the field as there."""
    try:
        yield
    except ConfigError as error:
        faults = [(spelled(each.field), each.problem) for each in (error, *error.others)]
        message = "\n".join(f"{field}: {problem}" for field, problem in faults)
        raise InvalidRequest(message, param=faults[0][0], code="invalid_config") from error


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidRequest("The configuration must be a JSON object.", code="invalid_config")
    return body


def _text(document: Document, name: str) -> str:
    if document.get(name) is None:
        raise ConfigError(name, "is required")
    text: str = typed(name, document[name], str)
    return text


def _check_version(version: Any, current: GatewayConfig) -> None:
    if version not in (None, current.version):
        raise PreconditionFailed("The configuration has changed since it was read.", param=VERSION)


def _one_form(configs: Any) -> Any:
    """Entries by index alone where there is any, for then those by URL are left from an older form."""
    if not isinstance(configs, dict) or not any(name.isdecimal() for name in configs):
        return configs
    return {name: entry for name, entry in configs.items() if name.isdecimal()}
