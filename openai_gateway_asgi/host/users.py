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
    A role, a name or an email of None is none. ``native`` carries the host's own object to the host's own callables;
    the gateway never looks at it.
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
        if not type(self.role) is type(self.name) is type(self.email) is str:  # as nearly always, and for each call
            for about, default in (("role", "user"), ("name", ""), ("email", "")):
                object.__setattr__(self, about, _told(about, getattr(self, about), default))
        if isinstance(self.groups, str):
            raise TypeError("User.groups must be a collection of names, not one string; write groups={'staff'}")
        groups = frozenset(self.groups)
        if not all(isinstance(group, str) for group in groups):
            raise TypeError("User.groups must be names; write groups={group.name for group in ...}")
        object.__setattr__(self, "groups", groups)

    @property
    def is_admin(self) -> bool:
        return self.role == ADMIN


def _told(about: str, value: object, default: str) -> str:
    """Hosts have None where they know nothing. Whatever else is no text could be anything where it is told."""
    if value is None:
        return default
    if not isinstance(value, str):
        raise TypeError(f"User.{about} must be a string, got {type(value).__name__}; write {about}=str(...)")
    return value
