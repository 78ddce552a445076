"""Hosts' words for their users' roles. ``admin`` opens the administrators' routes; all others are the same."""

from __future__ import annotations

from collections.abc import Callable

from ..config import Finding
from .notices import shown
from .users import ADMIN

FAMILIAR = ("user", ADMIN, "")
MOST = 16
"""Unknown roles that are told of: a host that makes one for each user is told often enough by these."""


class Roles:
    """Tells once of each role that the gateway does not know: it may be an administrator's in another spelling."""

    def __init__(self, tell: Callable[[Finding], None]) -> None:
        self._tell = tell
        self._known = set(FAMILIAR)
        self._most = len(self._known) + MOST

    def see(self, role: object) -> None:
        if isinstance(role, str) and role in self._known:
            return
        text = shown(str(role))
        if text in self._known or len(self._known) >= self._most:
            return
        self._known.add(text)
        self._tell(
            Finding(
                "unknown_role",
                "User.role",
                f"is {text!r}, which opens nothing here",
                f'write "{ADMIN}" for administrators; all other users may have "user", or keep this',
            )
        )
