"""The query parameters that an upstream gets with every request, also those that stand in its base URL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ..errors import ConfigError
from ..hidden import HiddenDict, HiddenList, hidden
from . import checks
from .hidden_values import HiddenValues

API_VERSION = "api-version"
PLAIN_NAMES = frozenset({API_VERSION})
"""Names, in lower case, whose values are no secrets."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_LONGEST = 4096
"""Characters of a fixed parameter's value."""


def split(field: str, url: Any) -> tuple[Any, Mapping[str, str]]:
    """A base URL without its query, and the query's parameters. What is no text is left to the URL's own rule."""
    if not isinstance(url, str) or "?" not in url:
        return url, {}
    base, _, text = hidden(url.partition("?"))
    if "#" in text:
        raise ConfigError(field, "must not have a fragment; leave out everything from # on")
    pairs = _parsed(text)
    if pairs is None:
        raise ConfigError(field, "has a query that is none; write it as query={'name': 'value'}")
    return base, _checked(field, pairs)


def _parsed(text: str) -> HiddenList[tuple[str, str]] | None:
    """None where it is no query. Why is not told: the error repeats it."""
    try:
        return HiddenList(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict"))
    except ValueError:
        return None


def fixed_query(field: str, value: Any) -> HiddenValues:
    """Names once each, whatever their case, and one line of text for each."""
    if not isinstance(value, Mapping):
        raise ConfigError(field, "must map names to values, such as {'api-version': 'preview'}")
    return _checked(field, HiddenList(value.items()))


def joined(field: str, own: Mapping[str, str], of_url: Mapping[str, str]) -> HiddenValues:
    """Both together. A name that the base URL gives another value is refused."""
    known = HiddenDict({name.lower(): value for name, value in own.items()})
    for name in of_url:
        if known.get(name.lower(), of_url[name]) != of_url[name]:
            raise ConfigError(f"{field}.{name}", "has another value in the base URL; write one of them")
    return HiddenValues({**{name: value for name, value in of_url.items() if name.lower() not in known}, **own})


def is_dated(version: str) -> bool:
    """Whether an api-version is one of classic Azure's, such as ``2024-10-21``; v1 knows ``preview`` and its like."""
    return _DATE.match(version) is not None


def encoded(pairs: Mapping[str, str]) -> bytes:
    return urlencode(dict(pairs)).encode("ascii")


def _checked(field: str, pairs: Iterable[tuple[Any, Any]]) -> HiddenValues:
    checked: HiddenDict[str, str] = HiddenDict()
    seen: set[str] = set()
    for name, given in pairs:
        text = hidden(given)
        del given
        checks.line(field, name)
        if name.lower() == "model":
            raise ConfigError(field, "must not name a model: the upstream would choose one that nobody was allowed")
        if name.lower() in seen:
            raise ConfigError(f"{field}.{name}", "is given twice; names of a fixed query do not differ by case")
        seen.add(name.lower())
        checked[name] = str(checks.line(f"{field}.{name}", text, longest=_LONGEST, empty=True))
    return HiddenValues(checked)
