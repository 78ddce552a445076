"""The host's rules about models, asked in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from time import perf_counter

from ..config.rules.callables import takes_operation
from ..errors import HostFailure
from ..models import Model
from .hooks import Hook, logger
from .policies import Grants
from .users import User

Authorize = Hook[..., bool]
Visible = Hook[..., object]

AT_ONCE = 16_384
"""Models of a list that a plain policy is asked about between two turns for others."""

LISTING = "listModels"
"""The operation of lists, and of the look-up of one model."""


class Access:
    """``authorize_model`` for one model, ``visible_models`` (or ``authorize_model`` for each) for lists.

    Only ``True`` allows: a callable that forgets its ``return`` denies. ``bypass`` allows everything. A callable with a
    parameter called ``operation`` gets the operation's name by keyword, as records have it; lists ask with ``LISTING``.
    """

    def __init__(self, authorize: Authorize, visible: Visible | None = None, *, bypass: bool = False) -> None:
        self._authorize = authorize
        self._visible = visible
        self._bypass = bypass
        self._by_operation = takes_operation(authorize.plain)
        self._visible_by_operation = visible is not None and takes_operation(visible.plain)

    @property
    def is_async(self) -> bool:
        """Whether a verdict has to be waited for: ``allows`` then, else ``allows_now``."""
        return self._authorize.is_async and not self._bypass

    async def allows(self, user: User, model: Model, operation: str) -> bool:
        if not self.is_async:
            return self.allows_now(user, model, operation)
        if self._by_operation:
            return await self._authorize(user, model, operation=operation) is True
        return await self._authorize(user, model) is True

    def allows_now(self, user: User, model: Model, operation: str) -> bool:
        if self._bypass:
            return True
        if self._by_operation:
            return self._authorize.now(user, model, operation=operation) is True
        return self._authorize.now(user, model) is True

    async def visible(self, user: User, models: Sequence[Model]) -> Sequence[Model]:
        """Those of ``models`` that the user may see, in their order; ``models`` itself is never changed."""
        if self._bypass:
            return models
        if self._visible is not None:
            named = {"operation": LISTING} if self._visible_by_operation else {}
            chosen = {model.id for model in _models(await self._visible(user, models, **named))}
            return [model for model in models if model.id in chosen]
        if self._authorize.is_async:
            return [model for model in models if await self.allows(user, model, LISTING)]
        if len(models) <= AT_ONCE:
            return self._now_visible(user, models)
        seen: list[Model] = []
        for begin in range(0, len(models), AT_ONCE):
            seen += self._now_visible(user, models[begin : begin + AT_ONCE])
            await asyncio.sleep(0)
        return seen

    def _now_visible(self, user: User, models: Sequence[Model]) -> Sequence[Model]:
        policy = self._authorize.plain
        return policy.visible_to(user, models) if type(policy) is Grants else self._each(user, models)

    def _each(self, user: User, models: Sequence[Model]) -> Sequence[Model]:
        """A plain policy over a long list: one call each and nothing around it."""
        authorize = partial(self._authorize.plain, operation=LISTING) if self._by_operation else self._authorize.plain
        try:
            started = perf_counter()
            allowed = [
                model
                for model in models
                if (answer := authorize(user, model)) is True or (answer is not False and self._settles(answer))
            ]
            if perf_counter() - started > self._authorize.slow:
                self._authorize.note_slow()
        except Exception as error:
            raise self._authorize.translated(error) from error
        return allowed

    def _settles(self, answer: bool | Awaitable[bool]) -> bool:
        """What is neither True nor False is a no, or a mistake that is told of."""
        return self._authorize.settled(answer) is True


def _models(answer: object) -> list[Model]:
    if isinstance(answer, str | bytes) or not hasattr(answer, "__iter__"):
        logger.error("visible_models returned %s; return the models that may be seen", type(answer).__name__)
        raise HostFailure("The application failed while it handled this request.")
    models = list(answer)
    if not all(isinstance(model, Model) for model in models):
        logger.error("visible_models returned something that is no Model")
        raise HostFailure("The application failed while it handled this request.")
    return models
