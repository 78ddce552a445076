"""The host's filters, and which of them concern a call."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from ..api.endpoints import ENDPOINTS
from ..config.model_ids import ModelIds
from ..config.rules.callables import innermost, misfit
from ..errors import ConfigError
from ..host.hooks import Hook
from .filter_call import FilterCall
from .filter_event import FilterEvent
from .told_answer import ToldAnswer

Before = Callable[[FilterCall], "Awaitable[None] | None"]
Events = FilterEvent | Iterable[FilterEvent] | None
OnEvent = Callable[[FilterCall, FilterEvent], "Awaitable[Events] | Events"]
After = Callable[[FilterCall, ToldAnswer], "Awaitable[None] | None"]

_OPERATIONS = frozenset(endpoint.operation for endpoint in ENDPOINTS)
_TAKES = {"before": ("call",), "event": ("call", "event"), "after": ("call", "answer")}


@dataclass(frozen=True, slots=True)
class Filter:
    """Rules of the host's for what goes to models and comes from them. Filters run in the order of their list.

    ``before(call)`` may change the body or refuse, by raising a ``GatewayError`` such as ``PermissionDenied``.
    ``event(call, event)`` gives back the event, another, several, or None, which leaves it out. ``after(call, answer)``
    sees what was told, once. Each may be ``async def`` or ``def``; what raises, or takes longer than
    ``Settings(filter_timeout)``, ends the call.

    Raises ``ConfigError`` naming the field.
    """

    models: str | Sequence[str] = "*"
    """Ids, with ``*`` for any run of characters. They hold where any id on the way is meant: the one asked for, those
    behind a preset, and every fallback."""
    _: KW_ONLY
    operations: Sequence[str] | None = None
    """OpenAI's ``operationId``s, as ``createChatCompletion``. None: all."""
    before: Before | None = None
    event: OnEvent | None = None
    after: After | None = None
    unseen: Literal["refuse", "allow"] = "refuse"
    """Whether calls pass that it cannot look into: realtime, ``background: true``, batches, evals, fine-tuning; and,
    where it has ``event`` or ``after``, reading answers that were stored."""
    patterns: ModelIds = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given: Any = self.models
        patterns = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else ()
        if not patterns or not all(isinstance(each, str) and each for each in patterns):
            raise ConfigError("filters.models", "must be patterns of model ids, such as 'gpt-*'")
        operations: Any = self.operations
        if isinstance(operations, str) or not (operations is None or all(isinstance(each, str) for each in operations)):
            raise ConfigError("filters.operations", "must be a list of operations, such as ['createChatCompletion']")
        for unknown in sorted(set(operations or ()) - _OPERATIONS):
            raise ConfigError("filters.operations", f"has {unknown!r}, which no operation is called; {_meant(unknown)}")
        if self.before is None and self.event is None and self.after is None:
            raise ConfigError("filters", "give a Filter at least one of before, event and after")
        for name, takes in _TAKES.items():
            _check(name, getattr(self, name), takes)
        if self.unseen not in ("refuse", "allow"):
            raise ConfigError("filters.unseen", "must be 'refuse' or 'allow'")
        object.__setattr__(self, "patterns", ModelIds(patterns))
        object.__setattr__(self, "operations", None if operations is None else frozenset(operations))

    def covers(self, operation: str) -> bool:
        return self.operations is None or operation in self.operations

    def concerns(self, ids: Iterable[str]) -> bool:
        """Whether one of them is meant; where none is known, any could be."""
        known = False
        for id in ids:
            known = True
            if id in self.patterns:
                return True
        return not known

    @property
    def sees_answers(self) -> bool:
        return self.event is not None or self.after is not None


@dataclass(frozen=True, slots=True)
class Hooked:
    """A filter, and its callables under the one policy for calling them."""

    filter: Filter
    before: Hook[..., None] | None
    event: Hook[..., Events] | None
    after: Hook[..., None] | None


def hooked(given: Any, *, slow: float, patience: float) -> tuple[Hooked, ...]:
    """The host's filters. Raises ``ConfigError`` for what is none."""
    filters = tuple(given) if isinstance(given, Iterable) else (given,)
    for index, each in enumerate(filters):
        if not isinstance(each, Filter):
            raise ConfigError(f"filters.{index}", f"must be a Filter(...), not {type(each).__name__}")

    def hook(index: int, name: str, call: Any) -> Any:
        return None if call is None else Hook(f"filters.{index}.{name}", call, slow=slow, patience=patience)

    return tuple(
        Hooked(each, *[hook(index, name, getattr(each, name)) for name in _TAKES]) for index, each in enumerate(filters)
    )


def _meant(unknown: str) -> str:
    from difflib import get_close_matches

    by_name = {operation.lower(): operation for operation in sorted(_OPERATIONS)}
    near = get_close_matches(unknown.lower(), by_name, n=1)
    return f"write {by_name[near[0]]!r}" if near else "write an operationId of OpenAI's, such as 'createChatCompletion'"


def _check(name: str, call: Any, takes: tuple[str, ...]) -> None:
    write = f"write a function ({', '.join(takes)})"
    if call is None:
        return
    if not callable(call) or inspect.isclass(call):
        raise ConfigError(f"filters.{name}", f"is {type(call).__name__}; {write}")
    if inspect.isasyncgenfunction(innermost(call)):
        raise ConfigError(f"filters.{name}", f"has a `yield`; {write} that returns what it gives")
    if inspect.isgeneratorfunction(innermost(call)) and name != "event":
        raise ConfigError(f"filters.{name}", f"has a `yield`, so that calling it does nothing; {write}")
    if (taken := misfit(call, len(takes))) is not None:
        raise ConfigError(f"filters.{name}", f"takes ({taken}) and is called with ({', '.join(takes)}); {write}")
