"""Names that tell upstreams apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..errors import ConfigError
from .upstream import Upstream


def unique_names(upstreams: Iterable[Upstream], field: str = "upstreams.{}.name") -> tuple[Upstream, ...]:
    """The upstreams with a name each: one named after its host alone gets ``-2``, ``-3`` and so on where that is taken.

    Raises ``ConfigError`` for a chosen name that occurs twice; ``field`` is its place, with ``{}`` for the index.
    """
    given = tuple(upstreams)
    taken = _chosen_names(given, field)
    result = []
    for upstream in given:
        if upstream.name == upstream.host:
            name = _free_name(upstream.host, taken)
            taken.add(name)
            upstream = upstream if name == upstream.name else replace(upstream, name=name)
        result.append(upstream)
    return tuple(result)


def derived_names(upstreams: Sequence[Upstream]) -> frozenset[str]:
    """The names that ``unique_names`` would give again, so that they need not be written down."""
    bare = [replace(each, name="") if _looks_derived(each) and each.name != each.host else each for each in upstreams]
    if [upstream.name for upstream in unique_names(bare)] != [upstream.name for upstream in upstreams]:
        return frozenset()
    return frozenset(upstream.name for upstream in upstreams if _looks_derived(upstream))


def _chosen_names(upstreams: Sequence[Upstream], field: str) -> set[str]:
    chosen: set[str] = set()
    for index, upstream in enumerate(upstreams):
        if upstream.name in chosen:
            raise ConfigError(field.format(index), "is already another upstream's; names must differ")
        if upstream.name != upstream.host:
            chosen.add(upstream.name)
    return chosen


def _free_name(host: str, taken: set[str]) -> str:
    name, number = host, 1
    while name in taken:
        number += 1
        name = f"{host}-{number}"
    return name


def _looks_derived(upstream: Upstream) -> bool:
    return re.fullmatch(re.escape(upstream.host) + r"(-[0-9]+)?", upstream.name) is not None
