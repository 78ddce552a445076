"""Names that tell upstreams apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count

from ..errors import ConfigError
from .upstream import Upstream

FIELD = "upstreams.{}.name"


def unique_names(upstreams: Iterable[Upstream], field: str = FIELD) -> tuple[Upstream, ...]:
    """The upstreams with a name each: one named after its host alone gets ``-2``, ``-3`` and so on where that is taken.

    Raises ``ConfigError`` for a chosen name that occurs twice; ``field`` is its place, with ``{}`` for the index.
    """
    given = tuple(upstreams)
    names = _unique([upstream.name for upstream in given], [upstream.host for upstream in given], field)
    return tuple(
        [each if each.name == name else replace(each, name=name) for each, name in zip(given, names, strict=True)]
    )


def derived_names(upstreams: Sequence[Upstream]) -> frozenset[str]:
    """The names that ``unique_names`` would give again, so that they need not be written down."""
    names, hosts = [upstream.name for upstream in upstreams], [upstream.host for upstream in upstreams]
    derived = [_looks_derived(name, host) for name, host in zip(names, hosts, strict=True)]
    bare = [host if plain else name for name, host, plain in zip(names, hosts, derived, strict=True)]
    if _unique(bare, hosts, FIELD) != names:
        return frozenset()
    return frozenset([name for name, plain in zip(names, derived, strict=True) if plain])


def _unique(names: Sequence[str], hosts: Sequence[str], field: str) -> list[str]:
    taken = _chosen(names, hosts, field)
    free = {host: _numbered(host) for host in hosts}  # each goes on where it stopped: what is taken stays so
    result = []
    for name, host in zip(names, hosts, strict=True):
        if name == host:
            name = next(each for each in free[host] if each not in taken)
            taken.add(name)
        result.append(name)
    return result


def _numbered(host: str) -> Iterator[str]:
    yield host
    for number in count(2):
        yield f"{host}-{number}"


def _chosen(names: Sequence[str], hosts: Sequence[str], field: str) -> set[str]:
    chosen: set[str] = set()
    for index, (name, host) in enumerate(zip(names, hosts, strict=True)):
        if name in chosen:
            raise ConfigError(field.format(index), "is already another upstream's; names must differ")
        if name != host:
            chosen.add(name)
    return chosen


def _looks_derived(name: str, host: str) -> bool:
    if not name.startswith(host):
        return False
    number = name[len(host) :]
    return number == "" or (number[0] == "-" and number.isascii() and number[1:].isdigit())
