"""Models that the host's own code serves."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from ..config import Timeouts, Upstream
from ..config.model_ids import MAX_ID, is_pattern
from ..config.rules.callables import innermost, misfit
from ..config.upstream import INSIDE
from ..errors import ConfigError
from ..models import Listing, host_listing
from .model_call import ModelCall

Handler = Callable[[ModelCall], "AsyncIterable[object] | Awaitable[object]"]
"""Answers a call: gives the pieces of the answer as they come, or returns the answer."""

_WRITE = "write `async def answer(call)`, which yields the pieces of its answer or returns it"


@dataclass(frozen=True, slots=True)
class HostModel:
    """A model that a function of the host's answers. It is listed, checked, limited and recorded as any other.

    The handler is an ``async def`` with one argument, the ``ModelCall``. It yields texts, ``Reasoning``, ``ToolCall``,
    ``Usage``, chunks and usage of the OpenAI SDK's (or mappings that say the same), or returns one of these, a whole
    completion, a list of them, or what iterates over them asynchronously. Where it is cancelled its ``finally`` runs at
    once. A ``GatewayError`` that it raises is the client's; whatever else fails in it is logged, and the next candidate
    or fallback is asked.

    Raises ``ConfigError`` naming the field.
    """

    id: str
    handler: Handler
    _: KW_ONLY
    name: str = ""
    """Shown in lists; the id where it is empty."""
    tags: Sequence[Any] = ()
    timeouts: Timeouts | None = None
    """None: those of the settings."""
    upstream: Upstream = field(init=False, repr=False, compare=False)
    """What stands for it among the upstreams; its requests go nowhere."""

    def __post_init__(self) -> None:
        id: Any = self.id
        if not isinstance(id, str) or not id or not id.isprintable() or id != id.strip() or len(id) > MAX_ID:
            raise ConfigError("host_models.id", f"must be one line of up to {MAX_ID} characters, such as 'my-agent'")
        if is_pattern(id):
            raise ConfigError("host_models.id", f"must name one model; {id!r} has a wildcard")
        _check_handler(self.handler)
        object.__setattr__(self, "name", self.name or id)
        object.__setattr__(self, "upstream", _stand_in(self))

    def listing(self, index: int) -> Listing:
        return host_listing(self.upstream, index, self.id, self.name)


def checked_host_models(given: Any) -> tuple[HostModel, ...]:
    """The host's models. Raises ``ConfigError`` for what is none, and for an id that stands there twice."""
    models = tuple(given) if isinstance(given, Iterable) else (given,)
    seen: set[str] = set()
    for index, model in enumerate(models):
        if not isinstance(model, HostModel):
            raise ConfigError(f"host_models.{index}", f"must be a HostModel(...), not {type(model).__name__}")
        if model.id in seen:
            raise ConfigError(f"host_models.{index}", f"is a second model {model.id!r}; give each an id of its own")
        seen.add(model.id)
    return models


def _check_handler(handler: Any) -> None:
    if not callable(handler) or inspect.isclass(handler):
        raise ConfigError("host_models.handler", f"is {type(handler).__name__}; {_WRITE}")
    function = innermost(handler)
    if inspect.isgeneratorfunction(function):
        raise ConfigError("host_models.handler", f"is a plain generator, which blocks the event loop; {_WRITE}")
    if not (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        raise ConfigError("host_models.handler", f"is a plain function, which blocks the event loop; {_WRITE}")
    if (taken := misfit(handler, 1)) is not None:
        raise ConfigError("host_models.handler", f"takes ({taken}) and is called with (call); {_WRITE}")


def _stand_in(model: HostModel) -> Upstream:
    """RFC 6761 keeps ``.invalid`` for names that are never found."""
    return Upstream(
        f"http://{hashlib.blake2b(model.id.encode(), digest_size=16).hexdigest()}{INSIDE}",
        name=f"host:{model.id}",
        model_ids=[model.id],
        auth_type="none",
        connection_type="local",
        rewrites="off",
        api="chat",
        stream_usage="never",
        tags=model.tags,
        timeouts=model.timeouts,
    )
