"""The limits as the host gives them: a list for everybody, or a callable that says which hold for whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from ..errors import ConfigError
from ..host.hooks import Hook
from ..host.users import User
from ..models import Model
from .claims import LimitStore
from .guarded import Guarded
from .limit import Limit
from .memory import MemoryLimits
from .redis import RedisLimits

LimitsOfUser = Callable[[User, Model | None], "Sequence[Limit] | Awaitable[Sequence[Limit]]"]
_ALIKE = "is told from another one by its `by` alone, which is another function of the same name"

LimitsOf = Hook[[User, Model | None], Sequence[Limit]]


def checked_limits(limits: Any) -> tuple[Limit, ...]:
    """The host's list. Raises ``ConfigError`` for what is none."""
    given = tuple(limits) if isinstance(limits, Iterable) else (limits,)
    for index, limit in enumerate(given):
        if not isinstance(limit, Limit):
            raise ConfigError(f"limits.{index}", f"must be a Limit(...), not {type(limit).__name__}")
    if (place := _confusable(given)) is not None:
        raise ConfigError(f"limits.{place}", f"{_ALIKE}; give one of them a `name`")
    return given


def checked_store(store: Any, patience: float) -> LimitStore:
    """The host's store, whose methods may take ``patience`` seconds, or one in memory. Raises ``ConfigError`` for what
    is none."""
    if store is None:
        return MemoryLimits()
    if isinstance(store, type) or not isinstance(store, LimitStore):
        what = (
            f"is the class {store.__name__} itself" if isinstance(store, type) else f"is of type {type(store).__name__}"
        )
        raise ConfigError("limit_store", f"{what}; write RedisLimits('redis://...') or MemoryLimits()")
    return store if type(store) in (MemoryLimits, RedisLimits) else Guarded(store, patience)


async def asked_limits(limits_of: LimitsOf, user: User, model: Model | None) -> tuple[Limit, ...]:
    """Those that may hold for a call; without a model those that hold at all.

    Raises ``HostFailure`` where the callable gives something else: no call passes uncounted.
    """
    given: Any = await limits_of(user, model)
    limits = tuple(given) if isinstance(given, Iterable) else (given,)
    for each in limits:
        if not isinstance(each, Limit):
            raise limits_of.failed(f"returned {type(each).__name__}; return a list of Limit(...), or []")
    if _confusable(limits) is not None:
        raise limits_of.failed(f"returned a Limit that {_ALIKE}; give one of them a `name`")
    return limits


def _confusable(limits: Sequence[Limit]) -> int | None:
    """Where one stands whose accounts have the keys of another's, although another function says whose they are."""
    by: dict[str, object] = {}
    for place, limit in enumerate(limits):
        if callable(limit.by) and by.setdefault(limit.key, limit.by) != limit.by:
            return place
    return None
