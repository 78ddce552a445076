"""What administrators see in the place of a secret, and how a mask that comes back finds its secret again.

A mask holds a character that no header and no URL can hold, so it can never be taken for a secret.

It stands for a secret that is kept for the *same base URL* (and, for a value of a header or of the query, the same
name; for a proxy's password, the same proxy), wherever the upstream has moved in the list. Where several upstreams
share a URL the mask's own last characters choose, and if those are the same, the position among the upstreams of that
URL, as long as their number has not changed. A mask that stands for no one secret is refused, never guessed at.

Over plain http, or where certificates are not looked at, a proxy reads what it passes on, so there a mask holds only
while the proxy is the same or gone. And it holds only while the trust in certificates is the same, or the usual one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from ..errors import ConfigError
from . import addresses, query_rules
from .document import API_KEYS, CONFIGS, Row
from .upstream import Upstream, hide_userinfo

T = TypeVar("T")

MARK = "•"
MASK = MARK * 8
SHOWN = 4
LONG_ENOUGH = 12
"""Of a shorter secret four characters would be too large a part."""

NAMED_VALUES = ("headers", "query")
"""Fields that map names to values, each of which may be a secret."""
PLAIN_NAMES = frozenset({"api-version"})
"""Names, in lower case, whose values are shown."""


def mask(secret: str) -> str:
    """Empty for an empty secret, so that a missing one is seen."""
    return MASK + secret[-SHOWN:] if len(secret) >= LONG_ENOUGH else MASK * bool(secret)


def mask_proxy(proxy: str) -> str:
    return hide_userinfo(proxy, MASK)


def masked(document: dict[str, Any]) -> dict[str, Any]:
    """A written document with every secret masked."""
    entries = {index: _masked_entry(entry) for index, entry in document[CONFIGS].items()}
    return document | {API_KEYS: [mask(key) for key in document[API_KEYS]], CONFIGS: entries}


def _masked_entry(entry: dict[str, Any]) -> dict[str, Any]:
    hidden = dict(entry)
    for field in NAMED_VALUES:
        if field in entry:
            hidden[field] = {name: _masked_value(name, value) for name, value in entry[field].items()}
    if "proxy" in entry:
        hidden["proxy"] = mask_proxy(entry["proxy"])
    return hidden


def _masked_value(name: str, value: str) -> str:
    return value if name.lower() in PLAIN_NAMES else mask(value)


def unmasked(rows: Sequence[Row], stored: Iterable[Upstream]) -> list[Row]:
    """The rows with the stored secrets in the place of masks. Raises ``ConfigError`` naming a mask that holds none."""
    by_url: defaultdict[str, list[Upstream]] = defaultdict(list)
    for upstream in stored:
        by_url[upstream.base_url].append(upstream)
    kept = {url: _Kept(dict(enumerate(upstreams))) for url, upstreams in by_url.items()}
    urls = [addresses.base_url(row.place.url, query_rules.split(row.place.url, row.url)[0]) for row in rows]
    numbers, seen = Counter(urls), Counter[str]()
    result = []
    for row, url in zip(rows, urls, strict=True):
        position = seen[url] if numbers[url] == len(by_url[url]) else None
        result.append(_unmasked(row, kept.get(url, _NOTHING), position, over_http=url[:5] == "http:"))
        seen[url] += 1
    return result


def _unmasked(row: Row, kept: _Kept, position: int | None, *, over_http: bool) -> Row:
    """``position`` is that of the upstream which the row stands for if nothing else tells."""
    where, values = row.place.entry, dict(row.values)
    proxy = values.get("proxy")
    if proxy is not None:
        values["proxy"] = proxy = kept.proxies.recall(f"{where}.proxy", proxy, position)
    trust = values.get("verify_tls")
    if trust not in (None, True):
        kept = kept.trusting(trust)
    if proxy is not None and (over_http or trust is False):
        kept = kept.behind(addresses.proxy(f"{where}.proxy", proxy))
    key = kept.keys.recall(row.place.key, row.key, position)
    for field in NAMED_VALUES:
        if field in values:
            values[field] = {
                name: kept.named(field, name).recall(f"{where}.{field}.{name}", text, position)
                for name, text in values[field].items()
            }
    return replace(row, key=key, values=values)


class _Secrets:
    """Secrets of one kind by the position of their upstream; each is found by its mask at once, however many."""

    def __init__(self, secrets: Mapping[int, str], show: Callable[[str], str] = mask) -> None:
        self._at = secrets
        self._behind: defaultdict[str, set[str]] = defaultdict(set)
        for secret in secrets.values():
            if secret:
                self._behind[show(secret)].add(secret)

    def recall(self, place: str, posted: str, position: int | None) -> str:
        if MARK not in posted:
            return posted
        matching = self._behind.get(posted, set())
        if len(matching) == 1:
            return next(iter(matching))
        if position is not None and self._at.get(position) in matching:
            return self._at[position]
        raise ConfigError(place, "is a mask, but not of one secret that is kept for this URL; write the secret itself")


class _Kept:
    """The stored upstreams of one URL, by their position among these."""

    def __init__(self, upstreams: Mapping[int, Upstream]) -> None:
        self._upstreams = upstreams

    @cached_property
    def proxies(self) -> _Secrets:
        return _Secrets({at: each.proxy or "" for at, each in self._upstreams.items()}, mask_proxy)

    @cached_property
    def keys(self) -> _Secrets:
        return _Secrets({at: each.api_key.reveal() for at, each in self._upstreams.items()})

    def named(self, field: str, name: str) -> _Secrets:
        """The values under one name, whatever its case, in one of ``NAMED_VALUES``."""
        return self._named.get((field, name.lower()), _NO_SECRETS)

    @cached_property
    def _named(self) -> Mapping[tuple[str, str], _Secrets]:
        values: defaultdict[tuple[str, str], dict[int, str]] = defaultdict(dict)
        for at, each in self._upstreams.items():
            for field in NAMED_VALUES:
                for name, value in getattr(each, field).items():
                    values[field, name.lower()][at] = value
        return {place: _Secrets(of_place) for place, of_place in values.items()}

    def behind(self, proxy: str) -> _Kept:
        """Those whose secrets this proxy has seen already."""
        return self._by_proxy.get(proxy, _NOTHING)

    def trusting(self, trust: bool | str) -> _Kept:
        """Those whose certificates are looked at in this way already."""
        return self._by_trust.get(trust, _NOTHING)

    @cached_property
    def _by_proxy(self) -> Mapping[str | None, _Kept]:
        return self._by(lambda each: each.proxy)

    @cached_property
    def _by_trust(self) -> Mapping[bool | str | None, _Kept]:
        return self._by(lambda each: each.verify_tls)

    def _by(self, kind: Callable[[Upstream], T]) -> Mapping[T, _Kept]:
        found: defaultdict[T, dict[int, Upstream]] = defaultdict(dict)
        for at, each in self._upstreams.items():
            found[kind(each)][at] = each
        return {value: _Kept(upstreams) for value, upstreams in found.items()}


_NO_SECRETS = _Secrets({})
_NOTHING = _Kept({})
