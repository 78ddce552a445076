"""A handler at work: in a task of its own, so that whatever it does with its time is its own."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from itertools import count
from typing import Any

import httpx

from ..causes import Failure
from ..errors import DO_NOT_RETRY, GatewayError, HostFailure
from ..host.refusals import refusal_of
from ..http.pipe import Pipe
from .chat_answer import Answer
from .in_process import refusal_in
from .pieces import NotAPiece

GATHERED = 32
"""Pieces of an answer that is given whole between two turns for others."""
CLOSING = 4.0
"""Seconds that a cancelled handler's cleaning up is waited for; then it is left to itself."""

logger = logging.getLogger("openai_gateway_asgi")

_left: set[asyncio.Task[None]] = set()
"""Those that were left to themselves: a task that nobody holds may vanish in its middle."""


class Running(httpx.AsyncByteStream):
    """One run of a handler; as a stream, what comes of it. Closing it cancels the handler and waits for its end."""

    def __init__(self, name: str, handle: Callable[[], Any], answer: Answer) -> None:
        """``handle`` calls the handler; ``name`` is the model's, for the log."""
        self._name = name
        self._handle = handle
        self._answer = answer
        self._pipe = Pipe()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._pipe.get()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def whole(self) -> bytes:
        """All of it."""
        return b"".join([piece async for piece in self])

    async def aclose(self) -> None:
        self._pipe.close()
        if self._task.done():
            return
        self._task.cancel()
        _, late = await asyncio.wait({self._task}, timeout=CLOSING)
        if late:
            logger.error("the handler of %r was cancelled and goes on all the same; it is left to itself", self._name)
            _left.add(self._task)
            self._task.add_done_callback(_left.discard)

    async def _run(self) -> None:
        pipe, turns = self._pipe, count(1)
        try:
            async with aclosing(_pieces(self._handle())) as pieces:
                async for piece in pieces:
                    if data := self._added(piece):
                        await pipe.put(data)
                    if pipe.closed:
                        return  # cancelled, and the handler goes on all the same
                    if data or not next(turns) % GATHERED:
                        await asyncio.sleep(0)  # what is made without waiting goes out as it comes, and others run
            await pipe.put(self._answer.end())
        except asyncio.CancelledError:
            if not pipe.closed:
                pipe.end(self._failure("was cancelled from within"))
            raise
        except Exception as error:
            if pipe.closed:
                logger.error("the handler of %r raised while it was cancelled", self._name, exc_info=error)
            pipe.end(self._translated(error))
        except BaseException:
            pipe.end(self._failure("ended the process"))
            raise
        else:
            pipe.end()

    def _added(self, piece: object) -> bytes:
        try:
            return self._answer.add(piece)
        except (NotAPiece, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self._failure(f"gave what is no part of an answer: {error}") from error

    def _translated(self, error: Exception) -> GatewayError:
        """What a handler raised, as an error of the gateway's. After a 429, a 5xx or a failure of the handler's own the
        next candidate is asked."""
        if isinstance(error, GatewayError):
            return error
        response = getattr(error, "response", None)  # as the SDK's errors have
        refusal = refusal_of(error) if response is None else refusal_in(error, response)
        if refusal is None:
            return self._failure(f"raised {type(error).__name__}", error)
        if refusal.status >= 500 or refusal.status == 429:
            refusal.failure = Failure.UNABLE
        return refusal

    def _failure(self, what: str, error: Exception | None = None) -> GatewayError:
        logger.error("the handler of %r %s", self._name, what, exc_info=error)
        failure = HostFailure("The application failed while it handled this request.")
        failure.failure, failure.headers = Failure.UNABLE, DO_NOT_RETRY
        return failure


async def _pieces(given: Any) -> AsyncGenerator[Any, None]:
    """What a handler gives, one piece after the other, however it gives them."""
    if inspect.isawaitable(given):
        given = await given
        if given is None:
            return
        if not hasattr(given, "__aiter__"):
            for piece in given if isinstance(given, list | tuple) else (given,):
                yield piece
            return
    try:
        async for piece in given:
            yield piece
    finally:
        close = getattr(given, "aclose", None) or getattr(given, "close", None)  # the SDK's streams have `close`
        if close is not None:
            await close()
