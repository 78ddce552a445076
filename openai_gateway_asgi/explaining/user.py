"""Whose request is asked about, where only an id is given."""

from __future__ import annotations

from ..errors import InvalidRequest
from ..host.hooks import Hook, found_by
from ..host.users import User


async def user_of(id: str, find_user: Hook[[str], User | None] | None) -> User:
    """Asks the host. Raises ``InvalidRequest`` where it knows nobody, or was not asked to find users at all."""
    if find_user is None:
        raise InvalidRequest(
            "This gateway cannot find users by their ids; give it find_user.", param="user", code="invalid_value"
        )
    user = await found_by(find_user, id)
    if user is None:
        raise InvalidRequest("There is no user with this id.", param="user", code="invalid_value")
    return user
