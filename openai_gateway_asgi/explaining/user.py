"""Whose request is asked about, where only an id is given."""

from __future__ import annotations

from ..errors import HostFailure, InvalidRequest
from ..host.hooks import Hook, logger
from ..host.users import User


async def user_of(id: str, find_user: Hook[[str], User | None] | None) -> User:
    """Asks the host. Raises ``InvalidRequest`` where it knows nobody, or was not asked to find users at all."""
    if find_user is None:
        raise InvalidRequest(
            "This gateway cannot find users by their ids; give it find_user.", param="user", code="invalid_value"
        )
    user = await find_user(id)
    if user is None:
        raise InvalidRequest("There is no user with this id.", param="user", code="invalid_value")
    given: object = user
    if not isinstance(given, User):
        logger.error("find_user returned %s; return a User, or None", type(given).__name__)
        raise HostFailure("The application failed while it handled this request.")
    return user
