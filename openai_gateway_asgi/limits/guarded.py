"""A store of limits that the host wrote, held to the words of ``LimitStore``: what it raises means that it is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from .claims import Balance, Change, Claim, Decision, LimitStore, StoreDown

logger = logging.getLogger("openai_gateway_asgi")

G = TypeVar("G")
T = TypeVar("T")


class Guarded:
    """``patience``: seconds that one of its methods may take."""

    def __init__(self, store: LimitStore, patience: float) -> None:
        self._store = store
        self._patience = patience

    async def take(self, claims: Sequence[Claim]) -> Decision:
        decision: object = await self._asked(self._store.take, claims)
        if not isinstance(decision, Decision):
            raise _down(f"take returned {type(decision).__name__}; return a Decision")
        return decision

    async def settle(self, changes: Sequence[Change]) -> None:
        await self._asked(self._store.settle, changes)

    async def renew(self, claims: Sequence[Claim]) -> None:
        await self._asked(self._store.renew, claims)

    async def balances(self, claims: Sequence[Claim]) -> tuple[Balance, ...]:
        return await self._asked(self._store.balances, claims)

    async def forget(self, keys: Sequence[str]) -> None:
        await self._asked(self._store.forget, keys)

    async def erase(self, mark: str) -> int:
        return await self._asked(self._store.erase, mark)

    async def aclose(self) -> None:
        await self._store.aclose()

    async def _asked(self, method: Callable[[G], Awaitable[T]], given: G) -> T:
        try:
            async with asyncio.timeout(self._patience):
                return await method(given)
        except StoreDown:
            raise
        except Exception as error:
            raise _down(f"{method.__name__} raised {type(error).__name__}", error) from error


def _down(how: str, error: Exception | None = None) -> StoreDown:
    logger.error("limit_store.%s", how, exc_info=error)
    return StoreDown(f"limit_store.{how}")
