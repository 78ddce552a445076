"""A fake upstream: it answers as OpenAI's API would, or as a test says, and keeps what reached it.

    async with FakeUpstream() as fake:                      # real sockets; `with` serves from a thread of its own
        fake.script("gpt-4o", cut_after=3)                  # by model; see ``Script`` for what it can do
        gateway = Gateway([fake.upstream], ...)
        ...
        assert fake.last.model == "gpt-4o"

In process it is an ASGI application, and ``transport()`` an ``httpx`` transport that ends here.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self, TypeVar

from ..config import Upstream
from ..http.asgi import Receive, Scope, Send
from . import answers
from .answers import Answer, Says, fits
from .delivery import AnswerStream, FakeTransport, done_or_left
from .news import News
from .requests import FakeRequest, host_of
from .scripts import Script, scripted_answer
from .server import Server
from .stored_files import StoredFiles
from .threads import PATIENCE, ServingThread
from .wire import Connection, OnConnect, WireScript

IN_PROCESS = "https://fake-upstream-in-process.test"
"""The origin of a fake upstream that does not serve over sockets."""

T = TypeVar("T")
Respond = Callable[[FakeRequest], Answer | Awaitable[Answer]]


class FakeUpstream:
    """A provider for tests. ``requests`` lists what reached it (and its ``host``s), the oldest first.

    ``closed_early`` lists the requests that were abandoned before the end of their answer; ``open_answers`` counts
    those whose answer is neither at its end nor closed. Over sockets, ``connections`` lists all there were.
    """

    def __init__(
        self,
        models: list[str | dict[str, Any]] | None = None,
        *,
        wire: Sequence[WireScript] = (),
        tls: ssl.SSLContext | None = None,
        on_connect: OnConnect | None = None,
        port: int = 0,
    ) -> None:
        """
        ``models`` is what it lists. ``wire`` gives each request a script of the bytes themselves, and the last one to
        all that follow (``testing.wire``); nothing else is asked then. ``tls`` serves https; ``on_connect`` is called
        with the raw connection before anything is read; ``port`` 0 takes a free one.
        """
        self.models: list[str | dict[str, Any]] = ["gpt-small", "gpt-large"] if models is None else models
        self.requests: list[FakeRequest] = []
        self.closed_early: list[FakeRequest] = []
        self.open_answers = 0
        self._scripts: dict[str, list[Script]] = {}
        self._answers: dict[str, list[Answer | Respond]] = {}
        self._hosts: dict[str, FakeUpstream] = {}
        self._parent: FakeUpstream | None = None
        self._news = News()
        self._files = StoredFiles()
        self._server = Server(self, wire, tls=tls, on_connect=on_connect, port=port)
        self._thread: ServingThread | None = None

    @property
    def upstream(self) -> Upstream:
        """The ``Upstream`` to give to a gateway. Where this one does not serve over sockets the gateway needs
        ``transport=fake.transport()`` as well."""
        url = self.url if self._server.serves else IN_PROCESS
        return Upstream(f"{url}/v1", api_key="fake-key", name="fake")

    @property
    def url(self) -> str:
        """Its origin, while it serves over sockets."""
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def connections(self) -> list[Connection]:
        return self._server.connections

    @property
    def open_connections(self) -> int:
        """Those that the peer has not ended."""
        return sum(not connection.peer_gone.is_set() for connection in self.connections)

    @property
    def methods(self) -> Counter[str]:
        """How many requests there were of each method."""
        return Counter(request.method for request in self.requests)

    @property
    def last(self) -> FakeRequest:
        assert self.requests, "No request has reached this upstream."
        return self.requests[-1]

    def script(self, model: str = "*", *scripts: Script, **says: Any) -> None:
        """What a model does from now on: ``script("gpt-4o", cut_after=3)``, or several ``Script``s in turn, the last
        of them for ever. ``*`` is every model that has none of its own. A path, ``script("/files", status=503)``, is
        every request to it, whatever the model."""
        if scripts and says:
            raise TypeError(f"give either Scripts or {', '.join(says)}; a Script takes these itself")
        given: tuple[Any, ...] = scripts
        if strays := [type(each).__name__ for each in given if not isinstance(each, Script)]:
            raise TypeError(
                f"takes Script objects behind the model, not {', '.join(strays)}; write text='...' for what it says"
            )
        self._scripts[model] = list(scripts) or [Script(**says)]

    def answer(self, path: str, *answers: Answer | Respond) -> None:
        """Answers requests to ``path`` with these in turn, the last of them for ever.

        ``path`` is the whole path of the request, or its end: ``/v1/models`` and ``/models`` both fit
        ``/any/base/models``. A callable gets the request; what it raises is raised by the transport.
        """
        given: tuple[Any, ...] = answers
        strays = [type(each).__name__ for each in given if not isinstance(each, Answer) and not callable(each)]
        if strays or not given:
            found = ", ".join(strays) or "nothing"
            raise TypeError(f"takes an Answer, as json_answer({{...}}), or a callable that gives one, not {found}")
        self._answers[path] = list(answers)

    def host(self, name: str) -> FakeUpstream:
        """The fake that plays the upstream of this host name; made when first asked for."""
        if name not in self._hosts:
            self._hosts[name] = FakeUpstream()
            self._hosts[name]._parent = self
        return self._hosts[name]

    def calls(self, path: str) -> list[FakeRequest]:
        """The requests whose path is, or ends with, ``path``."""
        return [request for request in self.requests if fits(path, request.path)]

    async def until(self, holds: Callable[[], bool], within: float = PATIENCE) -> None:
        """Waits until ``holds`` does, looking again whenever this upstream has news (a request, a closed answer)."""
        async with asyncio.timeout(within):
            await self._news.until(holds)

    async def until_requests(self, count: int, within: float = PATIENCE) -> None:
        """Waits until so many requests have come."""
        await self.until(lambda: len(self.requests) >= count, within)

    async def until_closed_early(self, count: int = 1) -> None:
        await self.until(lambda: len(self.closed_early) >= count)

    def transport(self) -> FakeTransport:
        """An ``httpx`` transport that ends here; the URL's host decides which ``host`` answers."""
        return FakeTransport(self)

    def playing(self, host: str) -> FakeUpstream:
        """The fake that answers for a host name: its own if ``host(name)`` was called, else this one."""
        return self._hosts.get(host, self)

    def came(self, request: FakeRequest) -> None:
        """Keeps a request."""
        for fake in self._line():
            fake.requests.append(request)
            fake._news.tell()

    async def reply(self, request: FakeRequest) -> Answer:
        """The answer to a request that came."""
        for fake in self._line():
            fake.open_answers += 1
        try:
            chosen = self._choose(request)
            result = chosen if isinstance(chosen, Answer) else chosen(request)
            return await result if inspect.isawaitable(result) else result
        except BaseException as error:
            self.closed(request, early=isinstance(error, asyncio.CancelledError))
            raise

    def closed(self, request: FakeRequest, *, early: bool) -> None:
        """Notes that nothing more of the answer to this request will be read."""
        for fake in self._line():
            fake.open_answers -= 1
            if early:
                fake.closed_early.append(request)
            fake._news.tell()

    def _line(self) -> list[FakeUpstream]:
        return [self] if self._parent is None else [self, *self._parent._line()]

    def _choose(self, request: FakeRequest) -> Answer | Respond:
        fitting = [path for path in self._answers if fits(path, request.path)]
        if fitting:
            return _next_of(self._answers[max(fitting, key=len)])
        return scripted_answer(self._script(request), lambda says: self._usual(request, says))

    def _script(self, request: FakeRequest) -> Script:
        paths = [key for key in self._scripts if key.startswith("/") and fits(key, request.path)]
        if not paths and fits("/models", request.path):
            return Script()  # lists come also on the bad days of all models
        named = max(paths, key=len) if paths else request.model
        turns = self._scripts.get(named or "") or self._scripts.get("*")
        return _next_of(turns) if turns else Script()

    def _usual(self, request: FakeRequest, says: Says) -> Answer:
        if fits("/models", request.path):
            return answers.models(self.models)
        return self._files.answer(request) or answers.default(request.path, request.named(), says)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"This upstream speaks HTTP only, not {scope['type']}.")
        request = _request_of(scope, await _whole_body(receive))
        await done_or_left(self.playing(request.host)._serve(request, send), receive())

    async def _serve(self, request: FakeRequest, send: Send) -> None:
        self.came(request)
        answer = await self.reply(request)
        stream = AnswerStream(self, request, answer)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        try:
            if not answer.status:
                await stream.no_head()
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for chunk in stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await stream.aclose()

    async def __aenter__(self) -> Self:
        await self._server.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        await self._server.aclose(quietly=error is not None)

    def __enter__(self) -> Self:
        self._thread = ServingThread(self._server)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self._thread is not None
        self._thread.stop(quietly=error is not None)


def _next_of(turns: list[T]) -> T:
    return turns.pop(0) if len(turns) > 1 else turns[0]


def _request_of(scope: Scope, body: bytes) -> FakeRequest:
    headers = list(scope["headers"])
    raw_path, query = scope["raw_path"], scope["query_string"]
    target = raw_path + b"?" + query if query else raw_path
    return FakeRequest(scope["method"], raw_path, query, headers, body, host_of(headers), target=target)


async def _whole_body(receive: Receive) -> bytes:
    """What arrives of the body; a client that leaves in the middle leaves it short."""
    pieces = []
    more = True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)
