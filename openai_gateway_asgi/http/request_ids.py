"""Ids of requests: no two alike, whichever process gives them."""

from __future__ import annotations

import itertools
import os
import secrets
from weakref import WeakSet


class RequestIds:
    """An iterator of ids that differ from those of every other one, in this process or another."""

    __slots__ = ("__weakref__", "_count", "_own")

    def __init__(self) -> None:
        self.renew()
        _all.add(self)

    def renew(self) -> None:
        """To be called where a copy of this one may be going on elsewhere."""
        self._own = secrets.token_hex(8)
        self._count = itertools.count()

    def __next__(self) -> str:
        return f"{self._own}{next(self._count):010x}"


_all: WeakSet[RequestIds] = WeakSet()


def _renew_all() -> None:
    """In a process that was forked, as workers are from a server that has made its gateway already."""
    for ids in _all:
        ids.renew()


if hasattr(os, "register_at_fork"):  # nowhere else can a process fork
    os.register_at_fork(after_in_child=_renew_all)
