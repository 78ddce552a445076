"""Values of headers and of queries that an administrator gave: sent upstream, never shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NoReturn

from ..hidden import HIDDEN


class HiddenValues(Mapping[str, str]):
    """An immutable mapping of names to values whose ``repr`` shows the names alone."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Mapping[str, str] = {}) -> None:
        self._pairs = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._pairs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __hash__(self) -> int:
        return hash(frozenset(self._pairs.items()))

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: {HIDDEN}" for name in self._pairs) + "}"

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("these values are secret and cannot be pickled")

    def __copy__(self) -> HiddenValues:
        return self

    def __deepcopy__(self, _memo: object) -> HiddenValues:
        return self
