"""Where a user stands with the limits that hold for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ..host.users import User
from ..models import Model, Route
from .claims import Claim, StoreDown
from .desk import Desk, away
from .limit import Limit, Subject
from .plans import drawn_on
from .told import Standing

SHOWN = 1000
"""Models that are looked at for what holds for a user."""


async def standings_of(
    desk: Desk, user: User, models: Sequence[Model], find: Callable[[str], Route | None]
) -> list[Standing]:
    """What holds for a user, used and left; ``find`` says what is behind a model. Nothing is taken; limits by upstream
    are not the user's to know.

    Raises ``GatewayBusy`` while the store is away.
    """
    found: dict[str, tuple[Limit, Claim]] = {}
    known: set[str] = set()
    """The limits whose accounts do not depend on the model, once they are found."""
    for model in models[:SHOWN]:
        limits = await desk.limits_for(user, model)
        for hops in _ways_of(model, find(model.id)):
            asked = [limit for limit in limits if not limit.per_attempt and limit.key not in known]
            for limit, key in drawn_on(asked, Subject(user, hops, model)):
                claim = limit.claim(key, 0, desk.clock())
                found.setdefault(claim.key, (limit, claim))
                if not callable(limit.by) and "model" not in limit.scopes:
                    known.add(limit.key)
        await asyncio.sleep(0)  # a model may have many accounts: others have a turn
    try:
        balances = await desk.store.balances([claim for _, claim in found.values()])
    except StoreDown as error:
        raise away() from error
    return [Standing(*pair, balance) for pair, balance in zip(found.values(), balances, strict=True)]


def _ways_of(model: Model, route: Route | None) -> list[tuple[str, ...]]:
    """The ids on each way from a model to one that may be asked for it."""
    if route is None:
        return [(model.id,)]
    if route.bases is None:
        return [route.hops]
    return [hops for base in route.bases for hops in _ways_of(model, base)]
