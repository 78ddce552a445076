"""What of a body is changed on its way to an upstream, told without what users wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from .explanation import BodyChange

PLAIN = frozenset({"model", "role", "type", "effort", "reasoning_effort"})
"""Keys whose texts are words of the API, or ids."""
MOST_SHOWN = 64
"""Characters of a word of the API, or an id, that an explanation shows."""
MOST = 100
"""Changes of a body that an explanation tells."""

NAMED = "Upstream.prefix_id, GatewayConfig.fallbacks"
COUNTED = "Upstream.stream_usage"
REWRITTEN = "Upstream.provider, Upstream.rewrites"

_NOTHING = object()


def changes(before: bytes, after: bytes, by: Mapping[str, str] = {}) -> tuple[BodyChange, ...]:
    """Between two JSON bodies; both were read before. ``by`` says who decides what, by the path of a field."""
    if before == after:
        return ()
    found = _between("$", msgspec.json.decode(before), msgspec.json.decode(after))
    told = [change for change, _ in zip(found, range(MOST), strict=False)]
    return tuple([replace(change, by=_first(change.at, by) or change.by) for change in told])


def _first(at: str, by: Mapping[str, str]) -> str | None:
    """Of the field, or of what it stands in."""
    while at and at not in by:
        at = at[: max(at.rfind("."), at.rfind("["), 0)]
    return by.get(at)


def _between(at: str, before: Any, after: Any) -> Iterator[BodyChange]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from _between(f"{at}.{_name(name)}", before.get(name, _NOTHING), after.get(name, _NOTHING))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _between(f"{at}[{index}]", *pair)
    elif type(before) is not type(after) or before != after:
        yield BodyChange(at, _told(at, before), _told(at, after), _decider(at, after))


def _decider(at: str, after: Any) -> str:
    if at == "$.model":
        return NAMED
    return COUNTED if at.startswith("$.stream_options") and after is not _NOTHING else REWRITTEN


def _told(at: str, value: Any) -> str | None:
    if value is _NOTHING:
        return None
    if isinstance(value, str):
        plain = at.rpartition(".")[2] in PLAIN and len(value) <= MOST_SHOWN and value.isprintable()
        return value if plain else f"a text of {len(value)} characters"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    return msgspec.json.encode(value).decode()


def _name(name: str) -> str:
    """Names of fields are the caller's, too: ``metadata`` has what it likes."""
    return name if len(name) <= MOST_SHOWN and name.replace("_", "").replace("-", "").isalnum() else "..."
