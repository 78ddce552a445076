"""What administrators see in the place of a secret, and how a mask that comes back finds its secret again.

A mask holds a character that no header and no URL can hold, so it can never be taken for a secret.

It stands for a secret that is kept for the *same base URL* (and, for a header value, the same header name; for a
proxy's password, the same proxy), wherever the upstream has moved in the list. Where several upstreams share a URL
the mask's own last characters choose, and if those are the same, the position among the upstreams of that URL, as
long as their number has not changed. A mask that stands for no one secret is refused, never guessed at.

Over plain http a proxy reads what it passes on, so there a mask holds only while the proxy is the same or gone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import ConfigError
from . import addresses
from .document import API_KEYS, CONFIGS, Row
from .upstream import Upstream, hide_userinfo

MARK = "•"
MASK = MARK * 8
SHOWN = 4
LONG_ENOUGH = 12
"""Of a shorter secret four characters would be too large a part."""


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
    if "headers" in entry:
        hidden["headers"] = {name: mask(value) for name, value in entry["headers"].items()}
    if "proxy" in entry:
        hidden["proxy"] = mask_proxy(entry["proxy"])
    return hidden


def unmasked(rows: Sequence[Row], stored: Iterable[Upstream]) -> list[Row]:
    """The rows with the stored secrets in the place of masks. Raises ``ConfigError`` naming a mask that holds none."""
    by_url: defaultdict[str, list[Upstream]] = defaultdict(list)
    for upstream in stored:
        by_url[upstream.base_url].append(upstream)
    urls = [addresses.base_url(row.place.url, row.url) for row in rows]
    numbers, seen = Counter(urls), Counter[str]()
    result = []
    for row, url in zip(rows, urls, strict=True):
        same_number = numbers[url] == len(by_url[url])
        result.append(_Kept(by_url[url], seen[url] if same_number else None).unmask(row, over_http=url[:5] == "http:"))
        seen[url] += 1
    return result


@dataclass(frozen=True, slots=True)
class _Kept:
    """The stored upstreams of one URL, and which of them a row stands for if nothing else tells."""

    upstreams: Sequence[Upstream]
    position: int | None

    def unmask(self, row: Row, *, over_http: bool) -> Row:
        where, values = row.place.entry, dict(row.values)
        if "proxy" in values:
            proxies = [upstream.proxy or "" for upstream in self.upstreams]
            values["proxy"] = self._recall(f"{where}.proxy", values["proxy"], proxies, mask_proxy)
        kept = self._behind(f"{where}.proxy", values.get("proxy")) if over_http else self
        key = kept._recall(row.place.key, row.key, [upstream.api_key.reveal() for upstream in kept.upstreams])
        if "headers" in values:
            values["headers"] = {
                name: kept._recall(f"{where}.headers.{name}", text, [_header(each, name) for each in kept.upstreams])
                for name, text in values["headers"].items()
            }
        return replace(row, key=key, values=values)

    def _behind(self, place: str, proxy: str | None) -> _Kept:
        """The same, but without the secrets that this proxy has not seen yet."""
        if proxy is None:
            return self
        same = addresses.proxy(place, proxy)
        safe = [each if each.proxy == same else replace(each, api_key="", headers={}) for each in self.upstreams]
        return replace(self, upstreams=safe)

    def _recall(self, place: str, posted: str, secrets: list[str], show: Callable[[str], str] = mask) -> str:
        if MARK not in posted:
            return posted
        matching = {secret for secret in secrets if secret and show(secret) == posted}
        if len(matching) == 1:
            return matching.pop()
        if self.position is not None and secrets[self.position] in matching:
            return secrets[self.position]
        raise ConfigError(place, "is a mask, but not of one secret that is kept for this URL; write the secret itself")


def _header(upstream: Upstream, name: str) -> str:
    return next((value for known, value in upstream.headers.items() if known.lower() == name.lower()), "")
