"""Keys of an entry that Open WebUI's connections page saves and that mean something else here, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from .findings import Finding

COOKIES = "forward_cookies"
API_TYPE = "api_type"
WITHOUT_EFFECT = {"passthrough_params": "has no effect: it belongs to a translation from Anthropic's API"}
"""What is read past, and told of."""


def translated(where: str, entry: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """The entry in our own keys, and what was left out of it. Raises ``ConfigError`` for what cannot be meant here."""
    own = dict(entry)
    notes = [
        Finding("no_effect", f"{where}.{name}", seen, "leave it out")
        for name, seen in WITHOUT_EFFECT.items()
        if own.pop(name, None) is not None
    ]
    if own.get(COOKIES) is True:
        raise ConfigError(f"{where}.{COOKIES}", 'must be the list of the cookies that may cross, such as ["theme"]')
    if own.get(COOKIES) is False:
        del own[COOKIES]
    _take_api(f"{where}.{API_TYPE}", own)
    return own, notes


def _take_api(field: str, own: dict[str, Any]) -> None:
    """Empty is that page's default, which says no more than that nothing was chosen."""
    api_type = own.pop(API_TYPE, None)
    if api_type in (None, ""):
        return
    if api_type not in ("chat", "responses"):
        raise ConfigError(field, "must be chat, responses or empty; `api` takes more than these")
    if own.setdefault("api", api_type) != api_type:
        raise ConfigError(field, "contradicts api; write one of them")
