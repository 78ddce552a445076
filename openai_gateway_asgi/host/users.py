"""Who is asking, as the gateway needs to know it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class User:
    """A caller, as the host's ``resolve_user`` describes it.

    ``role == "admin"`` may use the admin routes; towards models an admin is special only where a policy says so.
    ``native`` carries the host's own object to the host's own callables; the gateway never looks at it.
    """

    id: str
    role: str = "user"
    name: str = ""
    email: str = ""
    groups: Iterable[str] = frozenset()
    native: Any = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        given: Any = self.id
        if not isinstance(given, str) or not given:
            raise TypeError("User.id must be a non-empty string; write User(id=str(account.pk))")
        if isinstance(self.groups, str):
            raise TypeError("User.groups must be a collection of names, not one string; write groups={'staff'}")
        object.__setattr__(self, "groups", frozenset(self.groups))

    @property
    def is_admin(self) -> bool:
        return self.role == ADMIN
