"""Calls of the gateway from the same process: the OpenAI SDK's client, wired to the gateway without a socket.

What is called is the gateway's own ASGI application: the same access, limits, filters and records hold as over a
socket, streams come as they are made, and a client that leaves is noticed by the same watch.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from ..errors import HostRefusal
from ..exchange import KEY, Exchange
from ..host.users import User
from ..http.asgi import Message, PrivateScope, RawHeaders, Receive, Scope, Send
from ..http.loop_guard import NAME as HOPS
from ..http.pipe import Pipe

T = TypeVar("T")

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BASE_URL = "http://gateway.invalid/v1"
"""Where the client believes the gateway to be (RFC 6761 keeps ``.invalid`` for names that are never found)."""

OURS = "openai_gateway_asgi"
"""The extension of answers that came this way."""

PASSED = ("retry-after", "x-should-retry")
"""Headers of a refusal of one of its parts that hold for a call."""

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


def openai_client(serve: Serve, within: Within) -> AsyncOpenAI:
    """The SDK's client, of whatever major version is installed. Raises ``RuntimeError`` where none is."""
    try:
        import openai
    except ImportError as error:
        raise RuntimeError("this takes the OpenAI SDK: pip install 'openai-gateway-asgi[openai]'") from error
    library = _library_of(openai.DefaultAsyncHttpxClient)
    transport = transport_of(library)(serve, within)
    client = library.AsyncClient(transport=transport, trust_env=False)
    made = openai.AsyncOpenAI(api_key="in-process", base_url=BASE_URL, http_client=client)
    # A part of a call is not tried again by itself: the gateway has done so, and the caller will, with all of it.
    return made if within.outer is None else made.with_options(max_retries=0)


def refusal_in(error: Exception, response: Any) -> HostRefusal | None:
    """What an error of the SDK's says that the gateway itself told; None where it is of another service."""
    told = getattr(error, "body", None)
    if OURS not in getattr(response, "extensions", {}) or not isinstance(told, Mapping):
        return None
    message, code, param = (told.get(name) for name in ("message", "code", "param"))
    headers = {name: value for name in PASSED if (value := response.headers.get(name)) is not None}
    return HostRefusal(
        response.status_code,
        message if isinstance(message, str) else "The model that this one asked refused the request.",
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) else None,
        headers=headers,
    )


def _library_of(client: type[Any]) -> Any:
    """httpx, or httpx2, of which a version of the SDK is made."""
    own = next(each for each in client.__mro__ if each.__name__ == "AsyncClient")
    return sys.modules[own.__module__.partition(".")[0]]


_classes: dict[str, type[Any]] = {}


def transport_of(library: Any) -> type[Any]:
    """The class of transports to a gateway in this process, for clients of httpx or httpx2."""
    known = _classes.get(library.__name__)
    if known is None:
        known = _classes[library.__name__] = _made_of(library)
    return known


def _made_of(library: Any) -> type[Any]:
    class Stream(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, call: _Call) -> None:
            self._call = call

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while (piece := await self._call.piece()) is not None:
                yield piece

        async def aclose(self) -> None:
            await self._call.leave()

    class InProcess(library.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, serve: Serve, within: Within) -> None:
            self._serve = serve
            self._within = within

        async def handle_async_request(self, request: Any) -> Any:
            call = _Call(self._serve, self._within, request, library)
            status, headers = await call.head()
            return library.Response(status, headers=headers, stream=Stream(call), extensions={OURS: True})

    return InProcess


_under_way: set[asyncio.Task[None]] = set()
"""The gateway at work: a task that nobody holds may vanish in its middle."""


class _Call:
    """One request, and the gateway at work on it in a task of its own."""

    def __init__(self, serve: Serve, within: Within, request: Any, library: Any) -> None:
        loop = asyncio.get_running_loop()
        self._library = library
        self._patience: float | None = (request.extensions.get("timeout") or {}).get("read")
        self._body = aiter(request.stream)
        self._sent = False
        self._left = loop.create_future()
        self._head: asyncio.Future[tuple[int, RawHeaders]] = loop.create_future()
        self._pipe = Pipe()
        scope = _scope_of(request, within)
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

    async def _in_time(self, what: Awaitable[T]) -> T:
        if self._patience is None:
            return await what
        try:
            async with asyncio.timeout(self._patience):
                return await what
        except TimeoutError as error:
            raise self._library.ReadTimeout("The gateway said nothing in time.") from error

    async def _serve(self, serving: Awaitable[None]) -> None:
        try:
            await serving
        except Exception as error:
            self._break_off(error)
        finally:
            self._break_off(None)

    def _break_off(self, error: Exception | None) -> None:
        """The gateway has ended: where that comes before its answer's end the answer is cut short."""
        cut = self._library.RemoteProtocolError("The gateway broke off its answer.")
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


def _scope_of(request: Any, within: Within) -> PrivateScope:
    scope = PrivateScope(within.scope)
    scope.pop(KEY, None)
    for name in ("path_params", "route", "endpoint", "router", "extensions"):  # of the request around it
        scope.pop(name, None)
    path = request.url.raw_path.partition(b"?")[0]
    kept = [pair for pair in within.scope.get("headers", ()) if pair[0] in OF_OUTER]
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
