"""All presets of one configuration: what leads where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import ConfigError
from . import checks
from .presets import Defaults, Preset

MOST_HOPS = 8
"""Presets on the way from an id to a model."""
MOST_WAYS = 64
"""Models that one preset leads to in all, through presets that have several bases."""


class PresetBook:
    """The presets that are enabled, by id, and what holds for all models of a pattern."""

    __slots__ = ("_behind", "by_id", "defaults")

    def __init__(self, entries: Iterable[Preset | Defaults] = ()) -> None:
        entries = tuple(entries)
        self.by_id: Mapping[str, Preset] = {
            each.id: each for each in entries if isinstance(each, Preset) and each.enabled
        }
        self._behind: dict[str, tuple[str, ...]] = {}
        self.defaults = tuple([each for each in entries if isinstance(each, Defaults)])

    def __bool__(self) -> bool:
        return bool(self.by_id or self.defaults)

    def bases(self, preset: Preset) -> Iterator[tuple[str, Preset | None]]:
        """The ids of its bases, each with the preset that it is; its own id is the model beneath it."""
        for id in preset.bases:
            yield id, None if id == preset.id else self.by_id.get(id)

    def leaves(self, id: str) -> tuple[str, ...]:
        """The ids of the models behind an id: itself, where it is no preset's."""
        if id not in self.by_id:
            return (id,)
        if id not in self._behind:
            self._behind[id] = tuple(dict.fromkeys(self._leaves(self.by_id[id])))
        return self._behind[id]

    def _leaves(self, preset: Preset) -> Iterator[str]:
        for id, inner in self.bases(preset):
            if inner is None:
                yield id
            else:
                yield from self._leaves(inner)


def checked(where: str, value: Any) -> tuple[Preset | Defaults, ...]:
    """The entries of a configuration. Raises ``ConfigError`` for one that is none, an id that is there twice, presets
    that lead back to themselves, and those that lead too far."""
    if isinstance(value, Preset | Defaults):
        raise ConfigError(where, 'must be a list; write [Preset("fast", base="gpt-4o-mini")]')
    entries = checks.items(where, value)
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, Preset | Defaults):
            raise ConfigError(f"{where}.{index}", 'must be Preset(...) or Defaults(...); write Preset("a", base=...)')
        if isinstance(entry, Preset) and seen.setdefault(entry.id, index) != index:
            raise ConfigError(f"{where}.{index}.id", f"is already that of preset {seen[entry.id]}; ids must differ")
    book = PresetBook(entries)
    ways: dict[str, int] = {}
    for id in book.by_id:
        _follow(book, book.by_id[id], (), ways, lambda preset: f"{where}.{seen[preset.id]}.base")
    return tuple(entries)


def _follow(book: PresetBook, preset: Preset, trail: Sequence[str], ways: dict[str, int], field: Any) -> int:
    """To how many models it leads."""
    if preset.id in trail:
        circle = " -> ".join([*trail[trail.index(preset.id) :], preset.id])
        raise ConfigError(field(preset), f"leads back to it: {circle}; let one of them name a model")
    if len(trail) >= MOST_HOPS:
        raise ConfigError(field(preset), f"is reached through more than {MOST_HOPS} presets; name the model itself")
    if preset.id in ways and not trail:
        return ways[preset.id]
    trail = (*trail, preset.id)
    found = sum(1 if inner is None else _follow(book, inner, trail, ways, field) for _, inner in book.bases(preset))
    if found > MOST_WAYS:
        raise ConfigError(field(preset), f"leads to more than {MOST_WAYS} models; name fewer bases")
    ways[preset.id] = found
    return found
