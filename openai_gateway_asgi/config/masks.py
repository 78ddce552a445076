"""What administrators see in the place of a secret, and how a mask that comes back finds its secret again.

A mask holds a character that no header and no URL can hold, so it can never be taken for a secret.

It stands for a secret that is kept for the *same base URL* (and, for a value of a header or of the query, the same
name; for a proxy's password, the same proxy), wherever the upstream has moved in the list. Where several upstreams
share a URL the mask's own last characters choose, and if those are the same, the position among the upstreams of that
URL, as long as their number has not changed. A mask that stands for no one secret is refused, never guessed at.

And it holds only while the *way* to that URL is as it was, for whoever could change it could send the secret to an
address of his own: the proxy is the same or gone, certificates are trusted as before or as usual, and no header and no
parameter of the query that may name an address is new or has another value (``detours.py``). All masks of one upstream
stand for secrets of one upstream.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..hidden import HiddenText
from . import addresses, query_rules
from .detours import may_lead_astray
from .document import API_KEYS, CONFIGS, Row
from .query_rules import PLAIN_NAMES
from .upstream import Upstream, hide_userinfo

MARK = "•"
MASK = MARK * 8
SHOWN = 4
LONG_ENOUGH = 12
"""Of a shorter secret four characters would be too large a part."""

NAMED_VALUES = ("headers", "query")
"""Fields that map names to values, each of which may be a secret."""

_UNKNOWN = "is a mask, but not of one secret that is kept for this URL; write the secret itself"
_OTHER_WAY = (
    "is a mask, and its secret is kept only while proxy, verify_tls, headers and query stay as they are; write the "
    "secret itself"
)


Slot = tuple[str, str]
"""Where a secret stands: a field, and the name in it in lower case."""
Named = Mapping[str, Mapping[str, str]]
_KEY = ("api_key", "")
_SIGNING = ("identity_key", "")


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
    if "identity_key" in entry:
        hidden["identity_key"] = mask(entry["identity_key"])
    return hidden


def _masked_value(name: str, value: str) -> str:
    return value if name.lower() in PLAIN_NAMES else mask(value)


def unmasked(rows: Sequence[Row], stored: Iterable[Upstream]) -> list[Row]:
    """The rows with the stored secrets in the place of masks. Raises ``ConfigError`` naming a mask that holds none."""
    by_url: defaultdict[str, list[Upstream]] = defaultdict(list)
    for upstream in stored:
        by_url[upstream.base_url].append(upstream)
    kept = {url: _Kept(dict(enumerate(upstreams))) for url, upstreams in by_url.items()}
    split = [query_rules.split(row.place.url, row.url) for row in rows]
    urls = [addresses.base_url(row.place.url, url) for row, (url, _) in zip(rows, split, strict=True)]
    numbers, seen = Counter(urls), Counter[str]()
    result = []
    for row, url, (_, of_url) in zip(rows, urls, split, strict=True):
        position = seen[url] if numbers[url] == len(by_url[url]) else None
        result.append(_unmasked(row, of_url, kept.get(url, _NOTHING), position))
        seen[url] += 1
    return result


def _unmasked(row: Row, of_url: Mapping[str, str], kept: _Kept, position: int | None) -> Row:
    """``position`` is that of the upstream which the row stands for if nothing else tells."""
    where, values = row.place.entry, dict(row.values)
    if (proxy := values.get("proxy")) is not None:
        values["proxy"] = proxy = HiddenText(kept.proxies.recall(f"{where}.proxy", proxy, position))
        proxy = HiddenText(addresses.proxy(f"{where}.proxy", proxy))
    named = {"headers": values.get("headers", {}), "query": {**of_url, **values.get("query", {})}}
    memory = _Memory(kept, kept.going(proxy, values.get("verify_tls"), named), position)
    key = memory.recall(row.place.key, row.key, _KEY)
    if (signing := values.get("identity_key")) is not None:
        values["identity_key"] = memory.recall(f"{where}.identity_key", signing, _SIGNING)
    for field in NAMED_VALUES:
        if field in values:
            values[field] = {
                name: memory.recall(f"{where}.{field}.{name}", text, (field, name.lower()))
                for name, text in values[field].items()
            }
    return replace(row, key=key, values=values)


class _Memory:
    """What the masks of one row stand for: each that is found says more exactly whose they all are."""

    def __init__(self, all: _Kept, usable: _Kept, position: int | None) -> None:
        self._all = all
        self._usable = usable
        self._position = position

    def recall(self, place: str, posted: str, slot: Slot) -> str:
        if MARK not in posted:
            return posted
        if self._all.secrets(slot).knows(posted) and not self._usable.secrets(slot).knows(posted):
            raise ConfigError(place, _OTHER_WAY)
        secret = HiddenText(self._usable.secrets(slot).recall(place, posted, self._position))
        self._usable = self._usable.with_secret(slot, secret)
        return secret


class _Secrets:
    """Secrets of one kind by the position of their upstream; each is found by its mask at once, however many."""

    def __init__(self, secrets: Mapping[int, str], show: Callable[[str], str] = mask) -> None:
        self._at = secrets
        self._behind: defaultdict[str, set[str]] = defaultdict(set)
        for secret in secrets.values():
            if secret:
                self._behind[show(secret)].add(secret)

    def knows(self, posted: str) -> bool:
        return posted in self._behind

    def recall(self, place: str, posted: str, position: int | None) -> str:
        if MARK not in posted:
            return posted
        matching = self._behind.get(posted, set())
        if len(matching) == 1:
            return next(iter(matching))
        if position is not None and self._at.get(position) in matching:
            return self._at[position]
        raise ConfigError(place, _UNKNOWN)

    @cached_property
    def places(self) -> Mapping[str, list[int]]:
        """The positions of each secret."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for at, secret in self._at.items():
            found[secret].append(at)
        return found


class _Kept:
    """The stored upstreams of one URL, by their position among these."""

    def __init__(self, upstreams: Mapping[int, Upstream]) -> None:
        self._upstreams = upstreams

    @cached_property
    def proxies(self) -> _Secrets:
        return _Secrets({at: each.proxy or "" for at, each in self._upstreams.items()}, mask_proxy)

    def secrets(self, slot: Slot) -> _Secrets:
        return self._secrets.get(slot, _NO_SECRETS)

    @cached_property
    def _secrets(self) -> Mapping[Slot, _Secrets]:
        values: defaultdict[Slot, dict[int, str]] = defaultdict(dict)
        for at, each in self._upstreams.items():
            values[_KEY][at] = each.api_key.reveal()
            values[_SIGNING][at] = each.identity_key.reveal()
            for slot, value in _slots(_named(each)):
                values[slot][at] = value
        return {slot: _Secrets(of_slot) for slot, of_slot in values.items()}

    def with_secret(self, slot: Slot, secret: str) -> _Kept:
        """Those that have it there."""
        places = self.secrets(slot).places.get(secret, [])
        return self if len(places) == len(self._upstreams) else _Kept({at: self._upstreams[at] for at in places})

    def going(self, proxy: str | None, trust: bool | str | None, named: Named) -> _Kept:
        """Those whose secrets may go this way: it is theirs, or leaves out something of theirs."""
        way = _Way.asked(proxy, trust, named)
        same = self._by_way.get(way)
        kept = same or _Kept({at: each for theirs, of in self._by_way.items() if way.leads_like(theirs)
                              for at, each in of._upstreams.items()})  # fmt: skip
        for slot, text in _slots(named):
            # What is not masked must be what is kept: another value may look the same behind a mask.
            if MARK not in text and may_lead_astray(slot[1], text):
                kept = kept.with_secret(slot, text)
        return kept

    @cached_property
    def _by_way(self) -> Mapping[_Way, _Kept]:
        found: defaultdict[_Way, dict[int, Upstream]] = defaultdict(dict)
        for at, each in self._upstreams.items():
            found[_Way.kept(each)][at] = each
        return {way: _Kept(upstreams) for way, upstreams in found.items()}


class _Way(NamedTuple):
    """How an upstream is reached, beside its URL; the values as they are shown."""

    proxy: str | None
    trust: bool | str | None
    values: frozenset[tuple[Slot, str]]

    @classmethod
    def kept(cls, upstream: Upstream) -> _Way:
        shown = {(slot, mask(text)) for slot, text in _slots(_named(upstream)) if slot[1] not in PLAIN_NAMES}
        return cls(upstream.proxy, upstream.verify_tls, frozenset(shown))

    @classmethod
    def asked(cls, proxy: str | None, trust: bool | str | None, named: Named) -> _Way:
        """By what is masked, and what of the rest may lead astray."""
        shown = {
            (slot, text if MARK in text else mask(text))
            for slot, text in _slots(named)
            if MARK in text or may_lead_astray(slot[1], text)
        }
        return cls(proxy, trust, frozenset(shown))

    def leads_like(self, kept: _Way) -> bool:
        return (
            self.proxy in (None, kept.proxy) and self.trust in (None, True, kept.trust) and self.values <= kept.values
        )


def _named(upstream: Upstream) -> Named:
    return {field: getattr(upstream, field) for field in NAMED_VALUES}


def _slots(named: Named) -> Iterator[tuple[Slot, str]]:
    for field, values in named.items():
        yield from (((field, name.lower()), text) for name, text in values.items())


_NO_SECRETS = _Secrets({})
_NOTHING = _Kept({})
