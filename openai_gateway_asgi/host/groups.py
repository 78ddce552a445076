"""Who may touch which kind of stored object."""

from __future__ import annotations

from collections.abc import Collection

from .hooks import Hook
from .users import User

AuthorizeGroupHook = Hook[[User, str], bool]


class Groups:
    """A group is open to administrators, to everyone where the settings say so, and to whom the host's own policy
    allows it. Only ``True`` allows.
    """

    def __init__(self, open: Collection[str], authorize: AuthorizeGroupHook | None = None) -> None:
        self._open = open
        self._authorize = authorize

    async def allows(self, user: User, group: str) -> bool:
        if user.is_admin or group in self._open:
            return True
        return self._authorize is not None and await self._authorize(user, group) is True
