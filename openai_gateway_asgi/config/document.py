"""The three parallel structures that the environment, the wire and the file share, read and written at one place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import msgspec

from ..errors import ConfigError
from ..hidden import HiddenBytes, HiddenDict, hidden, shown
from .entries import KEYS, read_entry, typed, write_entry
from .findings import Finding
from .preset_entries import read_entries as read_presets
from .preset_entries import write_entry as write_preset
from .store import GatewayConfig
from .upstream import Upstream
from .upstream_names import derived_names, unique_names

ENABLED = "ENABLE_OPENAI_API"
BASE_URLS = "OPENAI_API_BASE_URLS"
API_KEYS = "OPENAI_API_KEYS"
CONFIGS = "OPENAI_API_CONFIGS"
FALLBACKS = "MODEL_FALLBACKS"
PRESETS = "MODEL_PRESETS"

Document = Mapping[str, Any]

_WRITTEN_AS = {key.field: name for name, key in KEYS.items()}


class Place(NamedTuple):
    """Where the parts of a row stand, for errors."""

    url: str
    key: str
    entry: str

    @classmethod
    def at(cls, index: int | str, url_name: str = BASE_URLS, key_name: str = API_KEYS) -> Place:
        return cls(f"{url_name}.{index}", f"{key_name}.{index}", f"{CONFIGS}.{index}")

    def of(self, field: str) -> str:
        """Where a field of ``Upstream`` stands, such as ``headers.X-A``."""
        name, dot, rest = field.partition(".")
        if name == "base_url":
            return self.url + dot + rest
        if name == "api_key":
            return self.key
        return f"{self.entry}.{_WRITTEN_AS[name]}{dot}{rest}"


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """What the structures say of one upstream."""

    url: str
    key: str
    values: Mapping[str, Any]
    """Further arguments of ``Upstream``."""
    place: Place

    def upstream(self) -> Upstream:
        """Raises ``ConfigError`` naming the place as its writer knows it."""
        try:
            return Upstream(self.url, api_key=self.key, **self.values)
        except ConfigError as error:
            raise ConfigError(self._written(error.field), error.problem) from None

    def _written(self, field: str) -> str:
        return self.place.of(field)


def decode_document(content: bytes | str) -> HiddenDict[str, Any] | None:
    """A JSON object, of hidden types. None where it is none: some errors that say why hold what they cannot read."""
    try:
        content = HiddenBytes(content.encode()) if isinstance(content, str) else content
        return cast("HiddenDict[str, Any]", hidden(msgspec.json.decode(content, type=dict[str, Any])))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def write_document(config: GatewayConfig) -> dict[str, Any]:
    """The whole configuration with its secrets in clear; entries that say nothing are left out."""
    derived = derived_names(config.upstreams)
    entries = {
        str(index): ({} if upstream.name in derived else {"name": upstream.name}) | write_entry(upstream)
        for index, upstream in enumerate(config.upstreams)
    }
    document: dict[str, Any] = HiddenDict(
        {
            ENABLED: config.enabled,
            BASE_URLS: [upstream.base_url for upstream in config.upstreams],
            API_KEYS: [upstream.api_key.reveal() for upstream in config.upstreams],
            CONFIGS: {index: entry for index, entry in entries.items() if entry},
        }
    )
    if config.fallbacks:
        document[FALLBACKS] = {model: list(others) for model, others in config.fallbacks.items()}
    if config.presets:
        document[PRESETS] = [write_preset(entry) for entry in config.presets]
    return document


@dataclass(frozen=True, slots=True)
class Reading:
    """What the structures say of all upstreams, and what they say in vain."""

    rows: list[Row]
    notes: tuple[Finding, ...] = ()


def read_rows(document: Document) -> Reading:
    """Raises ``ConfigError`` for a missing structure and for what is wrong in one. The document is of hidden types."""
    for name in (BASE_URLS, API_KEYS, CONFIGS):
        if document.get(name) is None:
            raise ConfigError(name, "is required")
    urls = typed(BASE_URLS, document[BASE_URLS], list[str])
    keys = typed(API_KEYS, document[API_KEYS], list[str])
    configs = typed(CONFIGS, document[CONFIGS], dict[str, Any])
    return join(urls, keys, configs)


def join(
    urls: list[str], keys: list[str], configs: Mapping[str, Any], *, url_name: str = BASE_URLS, key_name: str = API_KEYS
) -> Reading:
    """One row per URL. Missing keys are empty, surplus ones dropped.

    An entry belongs to a URL by its index ("0") or, in the legacy form, by the URL itself; the index wins.
    """
    given = keys[: len(urls)] + [""] * (len(urls) - len(keys))
    by_url = {name.rstrip("/"): name for name in configs if not name.isdecimal()}
    rows, notes = [], []
    for index, (url, key) in enumerate(zip(urls, given, strict=True)):
        name = str(index) if str(index) in configs else by_url.get(url.rstrip("/"))
        place = Place.at(index, url_name, key_name)
        values, left_out = ({}, []) if name is None else read_entry(place.entry, configs[name])
        rows.append(Row(url, key, values, place))
        notes += left_out
    return Reading(rows, (*notes, *_surplus(urls, keys, configs, key_name)))


def assemble(document: Document, reading: Reading, absent: GatewayConfig) -> GatewayConfig:
    """The configuration of these rows; what the document leaves open, and the version, are those of ``absent``."""
    upstreams = unique_names((row.upstream() for row in reading.rows), CONFIGS + ".{}.name")
    enabled = document.get(ENABLED)
    fallbacks, written = shown(document.get(FALLBACKS)), shown(document.get(PRESETS))
    presets, left_out = (absent.presets, []) if written is None else read_presets(PRESETS, written)
    try:
        return GatewayConfig(
            absent.enabled if enabled is None else typed(ENABLED, enabled, bool),
            upstreams,
            absent.fallbacks if fallbacks is None else typed(FALLBACKS, fallbacks, dict[str, list[str]]),
            absent.version,
            (*reading.notes, *left_out),
            presets,
        )
    except ConfigError as error:
        raise ConfigError(wire_field(error.field), error.problem) from None


def wire_field(field: str, url_name: str = BASE_URLS, key_name: str = API_KEYS) -> str:
    """A field as the rules name it (``upstreams.2.prefix_id``) by the name that it has in these structures."""
    of_upstream = re.fullmatch(r"upstreams\.(\d+)\.(.+)", field)
    if of_upstream:
        return Place.at(of_upstream[1], url_name, key_name).of(of_upstream[2])
    name, dot, rest = field.partition(".")
    return {"upstreams": url_name, "fallbacks": FALLBACKS, "presets": PRESETS}.get(name, name) + dot + rest


def refuse_unknown(document: Document, known: Iterable[str]) -> None:
    known = (ENABLED, BASE_URLS, API_KEYS, CONFIGS, FALLBACKS, PRESETS, *known)
    for name in document:
        if name not in known:
            raise ConfigError(name, f"is unknown; known are {', '.join(known)}")


def _surplus(urls: list[str], keys: list[str], configs: Mapping[str, Any], key_name: str) -> Iterator[Finding]:
    if len(keys) > len(urls):
        yield Finding(
            "surplus_keys", key_name, f"has {len(keys)} keys for {len(urls)} base URLs: the last ones are dropped",
            "write as many as there are base URLs",
        )  # fmt: skip
    known = {str(index) for index in range(len(urls))} | {url.rstrip("/") for url in urls}
    strangers = [name for name in configs if name.rstrip("/") not in known]
    if strangers:
        # A URL may hold a password, and need not be valid: only indexes are shown.
        shown = ", ".join(name if name.isdecimal() else "a URL" for name in strangers[:8])
        yield Finding(
            "surplus_entries", CONFIGS, f"has entries that belong to no base URL, and were dropped: {shown}",
            "name each by the index of its base URL",
        )  # fmt: skip
