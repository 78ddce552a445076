"""What administrators ask of limits: where a user stands, and to begin anew."""

from __future__ import annotations

from urllib.parse import parse_qs

import msgspec

from ..errors import InvalidRequest
from ..host.hooks import Hook, found_by
from ..host.users import User
from ..limits.claims import StoreDown
from ..limits.desk import Desk, away
from ..limits.limit import mark_of
from ..limits.standings import standings_of
from ..limits.told import encoded
from ..models import Catalogue


class Reset(msgspec.Struct, forbid_unknown_fields=True):
    """What begins anew: one account by its ``key``, or all that belongs to a ``user``."""

    key: str | None = None
    user: str | None = None


async def limits_of(
    desk: Desk | None, query: bytes, catalogue: Catalogue, find_user: Hook[[str], User | None] | None
) -> bytes:
    """Where the user of the query stands. What groups an id has, the host knows: limits by groups are left out where it
    does not tell.

    Raises ``InvalidRequest`` without a ``user``.
    """
    ids = parse_qs(query.decode("ascii", "replace")).get("user", [])
    if len(ids) != 1:
        raise InvalidRequest("Name one `user` in the query.", param="user", code="missing_field")
    if desk is None:
        return encoded(())
    user = None if find_user is None else await found_by(find_user, ids[0])
    if user is not None:
        return encoded(await standings_of(desk, user, catalogue.models, catalogue.find))
    standings = await standings_of(desk, User(ids[0]), catalogue.models, catalogue.find)
    return encoded([each for each in standings if "user_groups" not in each.limit.scopes])


async def reset(desk: Desk | None, body: bytes) -> bytes:
    """Makes accounts as good as new; says how many there were. Raises ``InvalidRequest`` naming the field."""
    try:
        asked = msgspec.json.decode(body, type=Reset)
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"Send `key` or `user`: {error}.", code="invalid_json") from error
    if (asked.key is None) == (asked.user is None):
        raise InvalidRequest("Send one of `key` and `user`.", param="key", code="missing_field")
    count = 0
    if desk is not None:
        try:
            if asked.user is not None:
                count = await desk.store.erase(mark_of(asked.user))
            elif asked.key is not None:
                await desk.store.forget([asked.key])
                count = 1
        except StoreDown as error:
            raise away() from error
    return msgspec.json.encode({"reset": count})
