"""Requests to the gateway from its own process: the ASGI application is called, and what it sends is the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import unquote

from ..exchange import KEY, Exchange
from ..host.users import User
from ..http.asgi import Message, PrivateScope, RawHeaders, Receive, Scope, Send
from ..http.guarded import in_time
from ..http.loop_guard import NAME as HOPS
from ..http.pipe import Pipe

T = TypeVar("T")

OURS = "openai_gateway_asgi"
"""The extension of answers that came this way."""

LEAVING = 5.0
"""Seconds in which a call has ended whose caller has left."""

OF_SDK = frozenset({b"authorization", b"host", b"connection", b"accept-encoding", b"content-length"})
"""Headers of the SDK's that are about a connection, or that say who asks: which is known."""

OF_OUTER = frozenset({b"authorization", b"api-key", b"x-api-key", b"cookie", b"traceparent", b"tracestate", HOPS})
"""Headers of the request within which a call is made that hold for it as well."""

Serve = Callable[[PrivateScope, Receive, Send, User, Exchange | None], Awaitable[None]]
"""The gateway, called by this user, within the call of that exchange."""


@dataclass(frozen=True, slots=True, repr=False)
class Within:
    """Whose calls these are."""

    user: User
    scope: Scope = field(default_factory=dict)
    """Of the request that they are made in: its session and state, and the credentials that are its user's own."""
    outer: Exchange | None = None
    """The call that they are parts of."""


_under_way: set[asyncio.Task[None]] = set()
"""The gateway at work: a task that nobody holds may vanish in its middle."""


class WholeCall:
    """One request whose answer is wanted whole. The gateway works on it in the caller's own task."""

    def __init__(self, request: Any, library: Any) -> None:
        self._library = library
        self._request = request
        self._began = monotonic()
        self._patience = _patience(request)
        self._body = aiter(request.stream)
        self._read = self._over = False
        self._head: tuple[int, RawHeaders] | None = None
        self._pieces: list[bytes] = []

    async def taken(self, serving: Awaitable[None]) -> Any:
        try:
            await (serving if self._patience is None else in_time(serving, self._patience, self._too_late))
        except (self._library.TransportError, asyncio.CancelledError):
            raise
        except Exception as error:
            raise _broken_off(self._library) from error
        if self._head is None or not self._over:
            raise _broken_off(self._library)
        status, headers = self._head
        answer = self._library.Response(
            status, headers=headers, content=b"".join(self._pieces), request=self._request, extensions={OURS: True}
        )
        answer.elapsed = timedelta(seconds=monotonic() - self._began)
        return answer

    async def receive(self) -> Message:
        if not self._read:
            piece = await anext(self._body, None)
            if piece is not None:
                return {"type": "http.request", "body": piece, "more_body": True}
            self._read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.get_running_loop().create_future()  # a caller that leaves cancels all of it
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message["status"], list(message.get("headers", ()))
            return
        if body := message.get("body", b""):
            self._pieces.append(body)
        self._over = not message.get("more_body", False)

    def _too_late(self) -> Exception:
        return _too_late(self._library)


class StreamedCall:
    """One request, and the gateway at work on it in a task of its own."""

    def __init__(self, serve: Serve, within: Within, request: Any, library: Any) -> None:
        loop = asyncio.get_running_loop()
        self._library = library
        self._patience = _patience(request)
        self._body = aiter(request.stream)
        self._sent = False
        self._left = loop.create_future()
        self._head: asyncio.Future[tuple[int, RawHeaders]] = loop.create_future()
        self._pipe = Pipe()
        scope = scope_of(request, within)
        self._task = loop.create_task(self._serve(serve(scope, self._receive, self._send, within.user, within.outer)))
        _under_way.add(self._task)
        self._task.add_done_callback(_under_way.discard)

    async def head(self) -> tuple[int, RawHeaders]:
        try:
            return await self._in_time(self._head)
        except BaseException:
            await self.leave()
            raise

    async def piece(self) -> bytes | None:
        return await self._in_time(self._pipe.get())

    async def leave(self) -> None:
        """The caller wants no more of it: the gateway is told so, and is waited for unless it has told everything."""
        self._pipe.close()
        if not self._left.done():
            self._left.set_result(None)
        if self._task.done() or self._pipe.over:
            return
        _, late = await asyncio.wait({self._task}, timeout=LEAVING)
        if late:
            self._task.cancel()

    def _in_time(self, what: Awaitable[T]) -> Awaitable[T]:
        return what if self._patience is None else in_time(what, self._patience, self._too_late)

    def _too_late(self) -> Exception:
        return _too_late(self._library)

    async def _serve(self, serving: Awaitable[None]) -> None:
        try:
            await serving
        except Exception as error:
            self._break_off(error)
        finally:
            self._break_off(None)

    def _break_off(self, error: Exception | None) -> None:
        """The gateway has ended: where that comes before its answer's end the answer is cut short."""
        cut = _broken_off(self._library)
        cut.__cause__ = error
        if not self._head.done():
            self._head.set_exception(cut)
            self._head.exception()  # it may be that nobody waits for it any more
        self._pipe.end(cut)

    async def _receive(self) -> Message:
        if not self._sent:
            piece = await anext(self._body, None)
            if piece is not None:
                return {"type": "http.request", "body": piece, "more_body": True}
            self._sent = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.wait({self._left})
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if not self._head.done():
                self._head.set_result((message["status"], list(message.get("headers", ()))))
            return
        if body := message.get("body", b""):
            await self._pipe.put(body)
        if not message.get("more_body", False):
            self._pipe.end()


def _patience(request: Any) -> float | None:
    """Seconds that the client waits for something to come."""
    timeout: dict[str, float | None] = request.extensions.get("timeout") or {}
    return timeout.get("read")


def _too_late(library: Any) -> Exception:
    error: Exception = library.ReadTimeout("The gateway said nothing in time.")
    return error


def _broken_off(library: Any) -> Exception:
    error: Exception = library.RemoteProtocolError("The gateway broke off its answer.")
    return error


def scope_of(request: Any, within: Within) -> PrivateScope:
    scope = PrivateScope(within.scope)
    scope.pop(KEY, None)
    for name in ("path_params", "route", "endpoint", "router", "extensions"):  # of the request around it
        scope.pop(name, None)
    path = request.url.raw_path.partition(b"?")[0]
    traced = () if within.outer is None else within.outer.attempt_headers  # a part of its attempt
    others = OF_OUTER.difference([name for name, _ in traced])
    kept = [pair for pair in within.scope.get("headers", ()) if pair[0] in others]
    kept += [pair for pair in traced if pair[1]]
    names = {name for name, _ in kept}
    own = [(name.lower(), value) for name, value in request.headers.raw]
    scope.update(
        type="http",
        asgi=scope.get("asgi") or {"version": "3.0", "spec_version": "2.4"},
        http_version="1.1",
        method=request.method,
        scheme="http",
        server=("gateway.invalid", 80),
        client=scope.get("client"),
        root_path="",
        path=unquote(path.decode("ascii")),
        raw_path=path,
        query_string=request.url.query,
        headers=[*kept, *(pair for pair in own if pair[0] not in OF_SDK and pair[0] not in names)],
    )
    return scope
