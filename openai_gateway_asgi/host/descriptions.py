"""What the host says of models, for lists: names, descriptions, order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from ..config import checks
from ..errors import ConfigError, HostFailure
from ..models import Catalogue, MergedModels, Model, in_order
from .hooks import Hook, logger
from .users import User

LONGEST = 4 * 1024
"""Characters of a model's description."""
AT_ONCE = 1_024
"""Models of a list that a plain callable describes between two turns for others."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What lists show of a model beside what its upstream says, or in its place. Nothing set: as it is.

    Raises ``ConfigError`` naming the field.
    """

    name: str = ""
    description: str = ""
    order: int | None = None
    """Its place in lists, smaller numbers first; None: behind all that have one."""
    hidden: bool = False
    """Lists leave it out; it can still be called, and looked up by its id."""
    context_length: int | None = None
    """In tokens."""
    capabilities: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, hash=False)
    """As ``{"vision": True}``; what JSON can hold."""

    def __post_init__(self) -> None:
        _ = checks.line("ModelInfo.name", self.name, empty=True)
        description: Any = self.description
        if not isinstance(description, str) or len(description) > LONGEST:
            raise ConfigError("ModelInfo.description", f"must be text of up to {LONGEST} characters")
        if self.order is not None:
            _ = checks.whole("ModelInfo.order", self.order)
        _ = checks.flag("ModelInfo.hidden", self.hidden)
        if self.context_length is not None:
            _ = checks.whole("ModelInfo.context_length", self.context_length, least=1)
        try:
            plain = json.loads(json.dumps(dict(self.capabilities), allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError("ModelInfo.capabilities", 'must be what JSON can hold; write {"vision": True}') from error
        object.__setattr__(self, "capabilities", MappingProxyType(plain))

    def of(self, model: Model) -> Model:
        """The model as it is listed then."""
        entry = model.metadata
        said = {
            "name": self.name, "description": self.description, "context_length": self.context_length,
            "capabilities": dict(self.capabilities),
        }  # fmt: skip
        entry |= {key: value for key, value in said.items() if value}
        return replace(
            model,
            name=self.name or model.name,
            listed=model.listed and not self.hidden,
            order=model.order if self.order is None else self.order,
            listing=_encode(entry),
        )


DescribeModel = Callable[[User, Model], ModelInfo | None | Awaitable[ModelInfo | None]]
"""What is to be shown of a model, to this user? None: what its upstream says."""

Describe = Hook[[User, Model], ModelInfo | None]


class Descriptions:
    """By a callable ``(user, model)``, or by a mapping of ids, which is worked out once for all who see the same."""

    def __init__(self, source: Describe | Mapping[str, ModelInfo]) -> None:
        self._source = source
        self._kept: WeakKeyDictionary[MergedModels, Mapping[str, Model]] = WeakKeyDictionary()

    async def of_list(self, user: User, catalogue: Catalogue, models: Sequence[Model]) -> Sequence[Model]:
        """What a list shows: ``models``, which the user may see, without those that are hidden, in their order."""
        if isinstance(self._source, Hook):
            described: list[Model] = []
            for number, model in enumerate(models, 1):
                described.append(await self._asked(self._source, user, model))
                if number % AT_ONCE == 0 and not self._source.is_async:
                    await asyncio.sleep(0)
        else:
            known = self._known(self._source, catalogue)
            described = [known.get(model.id, model) for model in models]
        shown = [model for model in described if model.listed]
        return in_order(shown)

    async def of_one(self, user: User, catalogue: Catalogue, model: Model) -> Model:
        if isinstance(self._source, Hook):
            return await self._asked(self._source, user, model)
        info = self._source.get(model.id)
        return model if info is None else info.of(model)

    async def _asked(self, describe: Describe, user: User, model: Model) -> Model:
        info = await describe(user, model) if describe.is_async else describe.now(user, model)
        if info is None:
            return model
        if not isinstance(info, ModelInfo):
            logger.error("describe_model returned %s; return a ModelInfo, or None", type(info).__name__)
            raise HostFailure("The application failed while it handled this request.")
        return info.of(model)

    def _known(self, source: Mapping[str, ModelInfo], catalogue: Catalogue) -> Mapping[str, Model]:
        known = self._kept.get(catalogue.merged)
        if known is None:
            routes = {id: catalogue.find(id) for id in source}
            known = {id: source[id].of(route.model) for id, route in routes.items() if route is not None}
            self._kept[catalogue.merged] = known
        return known


def checked_descriptions(given: Any) -> Mapping[str, ModelInfo]:
    """A host's mapping. Raises ``ConfigError`` for what is none."""
    if not isinstance(given, Mapping):
        raise ConfigError("describe_model", 'must be a callable, or map ids; write {"gpt-5": ModelInfo(name="Big")}')
    for id, info in given.items():
        if not isinstance(id, str) or not isinstance(info, ModelInfo):
            raise ConfigError(f"describe_model.{id}", 'must be a ModelInfo; write {"gpt-5": ModelInfo(name="Big")}')
    return dict(given)
