"""The host's callables: what each is asked, and the one policy for calling them.

A callable may be ``async def`` or ``def``; which one is settled once, when the gateway is made. A ``def`` runs inline
and must not block (``in_thread`` makes a blocking one safe). When one raises:

* a ``GatewayError`` passes as it is;
* an exception with an integer ``status_code`` of 400 or more (Starlette's and FastAPI's ``HTTPException``) becomes
  that status in OpenAI shape, with its ``detail`` and headers (``refusals.py``);
* anything else is logged and becomes a 500 in OpenAI shape.

It never becomes an unauthenticated or unfiltered call.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Generic, ParamSpec, Protocol, TypeVar, cast

from starlette.requests import Request

from ..config import Upstream
from ..config.rules.callables import innermost
from ..errors import GatewayError, HostFailure
from ..http.guarded import in_time
from ..models import Model
from .records import UsageRecord
from .refusals import refusal_of
from .users import User

P = ParamSpec("P")
T = TypeVar("T")

ResolveUser = Callable[[Request], User | None | Awaitable[User | None]]
"""Who is asking? None is a 401. The request's headers, cookies, session and state are there; its body is ours."""


class AuthorizeOperation(Protocol):
    """``authorize_model`` by operation: ``createChatCompletion``, ``createSpeech``; ``listModels`` for lists."""

    def __call__(self, user: User, model: Model, *, operation: str) -> bool | Awaitable[bool]: ...


AuthorizeModel = Callable[[User, Model], bool | Awaitable[bool]] | AuthorizeOperation
"""May this user call, and see, this model? With a third parameter, ``operation``: for this operation?"""

VisibleModels = Callable[[User, Sequence[Model]], Collection[Model] | Awaitable[Collection[Model]]]
"""The bulk form of ``AuthorizeModel`` for lists: which of these models may this user see?"""

AuthorizeGroup = Callable[[User, str], bool | Awaitable[bool]]
"""May this user touch stored objects of this kind, as ``"files"``? Behind one upstream key they are everyone's."""

OAuthToken = Callable[[User, Request, Upstream], str | None | Awaitable[str | None]]
"""The user's own access token for an upstream with ``auth_type="system_oauth"``. None is a 502."""

SessionToken = Callable[[User, Request], str | None | Awaitable[str | None]]
"""The caller's own token for upstreams with ``auth_type="session"``, where the request's bearer token is not it."""

RequestContext = Callable[[User, Request], Mapping[str, str] | Awaitable[Mapping[str, str]]]
"""Facts of the host's own about this call, such as ``{"chat_id": "..."}``, for the user-info headers."""

FindUser = Callable[[str], User | None | Awaitable[User | None]]
"""Which user has this id? None: nobody. Asked for administrators only, by ``POST /config/explain`` and
``GET /config/limits``."""

RecordUsage = Callable[[UsageRecord], None | Awaitable[None]]
"""Takes one record per model call, also when the client left."""

logger = logging.getLogger("openai_gateway_asgi")


class Hook(Generic[P, T]):
    """One callable of the host's, under its name, called by the policy above."""

    __slots__ = ("_call", "_patience", "_warned", "is_async", "name", "slow")

    def __init__(self, name: str, call: Callable[P, T | Awaitable[T]], *, slow: float, patience: float = 60.0) -> None:
        """In seconds: a ``def`` that takes longer than ``slow`` is named once in a warning, an ``async def`` that takes
        longer than ``patience`` has hung, and is cancelled.
        """
        self.name = name
        self._call = call
        self.is_async = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(innermost(call))
        self.slow = slow
        self._patience = patience
        self._warned = False

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            if self.is_async:
                return await in_time(cast("Awaitable[T]", self._call(*args, **kwargs)), self._patience, self._hung)
        except GatewayError:
            raise
        except Exception as error:
            raise self.translated(error) from error
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise self.failed("waited for something that was cancelled") from error
        return self.now(*args, **kwargs)

    def now(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a ``def``, by the same policy, for those who need not wait: ``is_async`` tells."""
        started = perf_counter()
        try:
            result = self._call(*args, **kwargs)
            if hasattr(result, "__await__"):
                result = self.settled(result)
        except Exception as error:
            raise self.translated(error) from error
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise self.failed("waited for something that was cancelled") from error
        if perf_counter() - started > self.slow:
            self.note_slow()
        return result

    def settled(self, result: T | Awaitable[T]) -> T:
        """The result of a ``def``, which cannot be one that is still to be awaited."""
        if hasattr(result, "__await__"):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(f"{self.name} is a plain function that returned an awaitable; make it `async def`")
        return result

    @property
    def plain(self) -> Callable[P, T | Awaitable[T]]:
        """The callable itself, for the one place that calls it for each of many models."""
        return self._call

    def note_slow(self) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "%s blocked the event loop for more than %.0f ms; make it async, or wrap it: %s=in_thread(...)",
                self.name, self.slow * 1000, self.name,
            )  # fmt: skip

    def _hung(self) -> HostFailure:
        logger.error("%s took longer than %.1f s and was cancelled", self.name, self._patience)
        return _failure()

    def failed(self, how: str) -> HostFailure:
        """For a result that is none; the log says how."""
        logger.error("%s %s", self.name, how)
        return _failure()

    def translated(self, error: Exception) -> GatewayError:
        if isinstance(error, GatewayError):
            return error
        if (refusal := refusal_of(error)) is not None:
            return refusal
        logger.error("%s raised %s", self.name, type(error).__name__, exc_info=error)
        return _failure()


def _is_cancelled() -> bool:
    """Whether this call is being cancelled, and not something that a callable waited for, which must not look so."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _failure() -> HostFailure:
    return HostFailure("The application failed while it handled this request.")


async def found_by(find_user: Hook[[str], User | None], id: str) -> User | None:
    """Raises ``HostFailure`` where the host gives what is no user."""
    given: object = await find_user(id)
    if given is None or isinstance(given, User):
        return given
    raise find_user.failed(f"returned {type(given).__name__}; return a User, or None")


def in_thread(call: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Makes a callable that blocks safe to give to the gateway: it runs in a worker thread."""

    @functools.wraps(call)
    async def threaded(*args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(call, *args, **kwargs)

    with suppress(TypeError, ValueError):  # some have none that can be read
        threaded.__signature__ = inspect.signature(call)  # type: ignore[attr-defined]
    return threaded
