"""Callables that use Django's ORM, off the event loop: in Django's own thread, or in threads of the gateway's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import close_old_connections
from django.http import Http404

from ...errors import GatewayError, InvalidRequest, NotFound
from ...errors import PermissionDenied as Denied
from .orm_threads import OrmThreads, in_kept_connections

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

P = ParamSpec("P")
T = TypeVar("T")

own_threads: ContextVar[OrmThreads | None] = ContextVar("openai_gateway_orm_threads", default=None)
"""Those of the mount that serves the request at hand; None: Django's one thread for synchronous code."""

REFUSALS: tuple[tuple[type[Exception], type[GatewayError]], ...] = (
    (PermissionDenied, Denied),
    (Http404, NotFound),
    (BadRequest, InvalidRequest),
    (SuspiciousOperation, InvalidRequest),
)
"""Exceptions that Django answers with a status of their own, and ours of the same."""


def orm_safe(call: Callable[P, T]) -> Callable[P, Awaitable[T]]:
    """Makes a plain ``def`` that uses Django's ORM safe to give to the gateway.

    It runs in Django's one thread for synchronous code, so that slow queries delay one another and never the event
    loop; connections that the database has closed, or that are past ``CONN_MAX_AGE``, are dropped around it, as Django
    does around each of its own requests. Where the gateway was mounted with ``orm_threads`` it runs in one of those,
    side by side with others, on connections that stay open from call to call.

    Django's ``PermissionDenied``, ``Http404`` and ``BadRequest`` become the gateway's errors of the same status.
    """
    if inspect.iscoroutinefunction(call):
        raise TypeError("orm_safe() takes a plain `def`; write the queries without `await`")
    call = _told_in_our_words(call)
    in_django_thread = sync_to_async(_with_fresh_connections(call), thread_sensitive=True)
    kept = in_kept_connections(call)

    @functools.wraps(call)
    async def safe(*args: P.args, **kwargs: P.kwargs) -> T:
        threads = own_threads.get()
        if threads is None:
            return await in_django_thread(*args, **kwargs)
        executor = cast("ThreadPoolExecutor", threads)  # any executor does
        return await sync_to_async(kept, thread_sensitive=False, executor=executor)(*args, **kwargs)

    return safe


def _with_fresh_connections(call: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(call)
    def fresh(*args: P.args, **kwargs: P.kwargs) -> T:
        close_old_connections()
        try:
            return call(*args, **kwargs)
        finally:
            close_old_connections()

    return fresh


def _told_in_our_words(call: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(call)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except StopIteration as error:  # no future can hold one: whoever waits would wait for ever
            raise RuntimeError(f"{getattr(call, '__name__', 'the callable')} raised StopIteration") from error
        except tuple(kind for kind, _ in REFUSALS) as error:
            ours = next(ours for kind, ours in REFUSALS if isinstance(error, kind))
            raise ours(str(error) or "The application refused this request.") from error

    return told
