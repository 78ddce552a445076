"""What an upstream is told of a user, kept for those who asked last: it is the same from call to call."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from ..config.upstream import Upstream
from ..host.users import User

MOST_USERS = 4096
"""Users of whom it is kept what upstreams are told, each once for an upstream and what it is told there."""
LONGEST = 4 * 1024
"""Characters of what is known of a user, up to which something is kept of them."""

T = TypeVar("T")


class KeptOfUsers(Generic[T]):
    """Found by all that is known of a user, so that nobody is taken for who they were before."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        # With the upstream, whose id stays its own as long as that is kept.
        self._kept: dict[tuple[Any, ...], tuple[Upstream, T]] = {}

    def get(self, upstream: Upstream, what: str, user: User) -> T | None:
        key = (id(upstream), what, user.id, user.name, user.email, user.role, user.groups)
        found = self._kept.get(key)
        return None if found is None else found[1]

    def keep(self, upstream: Upstream, what: str, user: User, value: T) -> None:
        known = (user.id, user.name, user.email, user.role, *user.groups)
        if sum(map(len, known)) > LONGEST:
            return
        if len(self._kept) >= MOST_USERS:
            self._kept.clear()  # to find those that were not asked for costs every call
        self._kept[id(upstream), what, user.id, user.name, user.email, user.role, user.groups] = (upstream, value)

    def forget(self) -> None:
        """Of upstreams that a new configuration no longer has nothing is kept."""
        self._kept.clear()
