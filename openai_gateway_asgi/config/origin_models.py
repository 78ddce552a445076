"""Models as Open WebUI keeps and exports them (its table ``model``), as presets.

Their ``params`` hold more than parameters of the API, and texts where numbers are meant; their prompts have variables
in double braces. What means nothing here is left out and told of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from .findings import Finding
from .templates import from_origin, left_of_origin

THEIRS = frozenset({"base_model_id", "meta", "is_active"})
"""Keys by which one is told from ours."""
PLAIN = frozenset({"id", "name", "params", *THEIRS})
OF_META = frozenset({"description", "tags", "hidden"})
OF_THEIR_PAGE = frozenset(
    """stream_response stream_delta_chunk_size function_calling reasoning_tags compact_token_threshold note_id
    tool_approval_mode model_controls""".split()
)
"""Parameters that never reach an upstream."""

_NUMBERS: dict[str, type[int | float]] = {
    "temperature": float, "top_p": float, "min_p": float, "frequency_penalty": float, "presence_penalty": float,
    "max_tokens": int, "seed": int, "top_k": int,
}  # fmt: skip
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\r": "\r", '\\"': '"', "\\\\": "\\"}


def is_origins(entry: Mapping[str, Any]) -> bool:
    return not THEIRS.isdisjoint(entry)


def translated(where: str, entry: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """The entry in our own keys, and what was left out of it. Raises ``ConfigError`` for what cannot be meant."""
    meta, params = _object(f"{where}.meta", entry.get("meta")), _object(f"{where}.params", entry.get("params"))
    own: dict[str, Any] = {
        "id": entry.get("id"),
        "base": entry.get("base_model_id"),
        "name": entry.get("name"),
        "description": meta.get("description"),
        "tags": _tags(f"{where}.meta.tags", meta.get("tags")),
        "hidden": meta.get("hidden"),
        "enabled": entry.get("is_active"),
    }
    left_out = [f"{where}.{name}" for name in entry if name not in PLAIN]
    left_out += [f"{where}.meta.{name}" for name in meta if name not in OF_META]
    system = params.pop("system", None)
    if isinstance(system, str):
        own["system"] = from_origin(system)
    left_out += [f"{where}.params.{name}" for name in params if name in OF_THEIR_PAGE]
    custom = _object(f"{where}.params.custom_params", params.pop("custom_params", None))
    own["params"] = {
        name: _value(f"{where}.params.{name}", name, value)
        for name, value in params.items()
        if value is not None and name not in OF_THEIR_PAGE
    } | {name: made for name, value in custom.items() if (made := _custom(value)) is not None}
    notes = [Finding("no_effect", field, "has no effect here", "leave it out") for field in left_out]
    notes += [
        Finding(
            "no_effect", f"{where}.params.system", f"has {{{{{name}}}}}, for which nothing stands here", "take it out"
        )
        for name in left_of_origin(own.get("system") or "")
    ]
    return own, notes


def _object(where: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(where, "must be an object")
    return dict(value)


def _tags(where: str, value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise ConfigError(where, "must be a list")
    return [each.get("name", each) if isinstance(each, dict) else each for each in value or ()]


def _value(where: str, name: str, value: Any) -> Any:
    if name in _NUMBERS and isinstance(value, str):
        try:
            return _NUMBERS[name](value)
        except ValueError as error:
            raise ConfigError(where, "must be a number") from error
    if name == "stop" and isinstance(value, str | list):
        return [_unescaped(each) for each in ([value] if isinstance(value, str) else value)]
    return value


def _unescaped(text: Any) -> Any:
    """What their page has people write for a line break and the like."""
    if not isinstance(text, str) or "\\" not in text:
        return text
    for written, meant in _ESCAPES.items():
        text = text.replace(written, meant)
    return text


def _custom(value: Any) -> Any:
    """Texts that are JSON are meant as such."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
