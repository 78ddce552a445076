"""The host's rules about models, asked in one place."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from time import perf_counter

from ..errors import HostFailure
from ..models import Model
from .hooks import Hook, logger
from .policies import Grants
from .users import User

Authorize = Hook[[User, Model], bool]
Visible = Hook[[User, Sequence[Model]], object]


class Access:
    """``authorize_model`` for one model, ``visible_models`` (or ``authorize_model`` for each) for lists.

    Only ``True`` allows: a callable that forgets its ``return`` denies. ``bypass`` allows everything.
    """

    def __init__(self, authorize: Authorize, visible: Visible | None = None, *, bypass: bool = False) -> None:
        self._authorize = authorize
        self._visible = visible
        self._bypass = bypass

    @property
    def is_async(self) -> bool:
        """Whether a verdict has to be waited for: ``allows`` then, else ``allows_now``."""
        return self._authorize.is_async and not self._bypass

    async def allows(self, user: User, model: Model) -> bool:
        return await self._authorize(user, model) is True if self.is_async else self.allows_now(user, model)

    def allows_now(self, user: User, model: Model) -> bool:
        return self._bypass or self._authorize.now(user, model) is True

    async def visible(self, user: User, models: Sequence[Model]) -> Sequence[Model]:
        """Those of ``models`` that the user may see, in their order; ``models`` itself is never changed."""
        if self._bypass:
            return models
        if self._visible is not None:
            chosen = {model.id for model in _models(await self._visible(user, models))}
            return [model for model in models if model.id in chosen]
        if self._authorize.is_async:
            return [model for model in models if await self._authorize(user, model) is True]
        policy = self._authorize.plain
        return policy.visible_to(user, models) if type(policy) is Grants else self._each(user, models)

    def _each(self, user: User, models: Sequence[Model]) -> Sequence[Model]:
        """A plain policy over a long list: one call each and nothing around it."""
        authorize = self._authorize.plain
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
