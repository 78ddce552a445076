"""Talk to an ASGI app message by message, with the protocol's rules checked on both sides.

``Conversation`` is the server's end of one request, in the hands of a test; ``Lint`` is a layer that fails on any
rule of the ASGI HTTP specification (version 2.3) that the app inside it, or the server outside it, breaks.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from tests.support.lint import Lint

__all__ = ["Conversation", "Lint", "Response", "ask", "make_scope"]

PATIENCE = 30.0
"""Seconds after which a test that waits for a message fails instead of hanging."""

Headers = Mapping[str, str] | Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; ``body`` holds what had arrived when it was made (nothing yet, after ``receive_start``)."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The value of the header, or None; several of one name are a failure, use ``headers`` for those."""
        values = [value for key, value in self.headers if key.lower() == name.lower().encode()]
        assert len(values) <= 1, f"{len(values)} headers named {name}: {values}"
        return values[0].decode("latin-1") if values else None

    def json(self) -> Any:
        return jsonlib.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


def make_scope(
    method: str = "GET",
    path: str = "/",
    *,
    headers: Headers = (),
    query: bytes = b"",
    root_path: str = "",
    raw_path: bytes | None = None,
    **more: Any,
) -> Scope:
    """An HTTP scope as uvicorn makes it.

    ``path`` is what follows the ``root_path`` in the request line, percent-escapes and ``?query`` included; the
    ``root_path`` is put in front of both paths, as uvicorn does. ``raw_path`` stands for the whole raw path, where
    the two are to differ. ``more`` adds or replaces any other key.
    """
    path, _, tail = path.partition("?")
    if raw_path is None:
        raw_path = (root_path + path).encode("ascii")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 54321),
        "scheme": "http",
        "method": method,
        "root_path": root_path,
        "path": root_path + unquote(path),
        "raw_path": raw_path,
        "query_string": query or tail.encode("ascii"),
        "headers": _raw_headers(headers),
        "state": {},
        **more,
    }


def _raw_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    if isinstance(headers, Mapping):
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return list(headers)


class Conversation:
    """One request to ``app``; use it as an async context manager.

    The body is ``json`` encoded, or ``body``; ``body=None`` leaves it to ``send_body``. After the body, ``receive``
    blocks until ``disconnect`` or the end of the answer, and what the app sends after ``disconnect`` is dropped:
    both as on uvicorn. Leaving the context disconnects, and fails if the app goes on or raises.

    With ``read_ahead=False`` the client reads nothing unasked: each ``send`` of the app returns when the test has
    taken its message. ``strict=False`` lets the app write into the scope, as Starlette and its kin do.
    """

    def __init__(
        self,
        app: ASGIApp,
        method: str = "GET",
        path: str = "/",
        *,
        headers: Headers = (),
        body: bytes | None = b"",
        json: Any = None,
        read_ahead: bool = True,
        strict: bool = True,
        **scope: Any,
    ) -> None:
        raw = _raw_headers(headers)
        if json is not None:
            body = jsonlib.dumps(json).encode()
            _set_default(raw, b"content-type", b"application/json")
        if body:
            _set_default(raw, b"content-length", b"%d" % len(body))
        self.scope = make_scope(method, path, headers=raw, **scope)
        self.received: list[Message] = []
        """The messages that the app has taken."""
        self.late: list[Message] = []
        """The messages that the app sent after the client had left."""
        self._app = Lint(app, strict=strict)
        self._read_ahead = read_ahead
        self._to_app: deque[Message] = deque()
        self._from_app: deque[Message] = deque()
        self._news = asyncio.Event()
        self._gone = False
        self._answered = False
        self._all_read = False
        self._failure_told = False
        self._task: asyncio.Task[None] | None = None
        if body is not None:
            self.send_body(body, more=False)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._app(self.scope, self._receive, self._send), name="conversation")
        self._task.add_done_callback(lambda _: self._news.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()
        task = self._running()
        await asyncio.wait([task], timeout=PATIENCE)
        noticed = task.done()
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if kind is not None:
            return
        assert noticed, f"The app was still running {PATIENCE} s after its client had left."
        if isinstance(outcome, Exception) and not self._failure_told:
            raise outcome

    def send_body(self, chunk: bytes, more: bool = True) -> None:
        """Lets a piece of the request body arrive; ``more=False`` makes it the last."""
        self._to_app.append({"type": "http.request", "body": chunk, "more_body": more})
        self._news.set()

    def disconnect(self) -> None:
        """The client leaves. What the app had sent before can still be read."""
        self._gone = True
        self._news.set()

    async def receive_start(self) -> Response:
        """The status and headers; raises what the app raises before them."""
        message = await self._next()
        assert message["type"] == "http.response.start", message
        return Response(message["status"], list(message.get("headers", ())))

    async def receive_chunk(self) -> bytes | None:
        """The next piece of the body as the app sent it; None after the last."""
        while not self._all_read:
            message = await self._next()
            assert message["type"] == "http.response.body", message
            self._all_read = not message.get("more_body", False)
            body: bytes = message.get("body", b"")
            if body or not self._all_read:
                return body
        return None

    async def receive_rest(self) -> bytes:
        """What is left of the body."""
        pieces = []
        while (piece := await self.receive_chunk()) is not None:
            pieces.append(piece)
        return b"".join(pieces)

    async def whole(self) -> Response:
        """The complete answer, once the app has returned as well."""
        start = await self.receive_start()
        body = await self.receive_rest()
        await self.ended()
        return Response(start.status, start.headers, body)

    async def ended(self) -> None:
        """Waits for the app to return; raises what it raises."""
        await self._until(self._running().done, "The app did not return")
        self._failure_told = True
        self._running().result()

    @property
    def running(self) -> bool:
        """Whether the app is still at work."""
        return not self._running().done()

    async def quiet(self, turns: int = 20) -> bool:
        """Whether nothing of the app's waits to be read, so many turns of the event loop from now."""
        for _ in range(turns):
            await asyncio.sleep(0)
        return not self._from_app

    def _running(self) -> asyncio.Task[None]:
        assert self._task is not None, "Enter the conversation first: async with Conversation(...)"
        return self._task

    async def _next(self) -> Message:
        task = self._running()
        await self._until(lambda: bool(self._from_app) or task.done(), "The app sent nothing")
        if not self._from_app:
            await self.ended()
            raise AssertionError("The app returned without sending what the test waits for.")
        self._news.set()
        return self._from_app.popleft()

    async def _until(self, ready: Callable[[], bool], complaint: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._wait(ready)
        except TimeoutError:
            raise AssertionError(f"{complaint} within {PATIENCE} s.") from None

    async def _wait(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self._news.clear()
            await self._news.wait()

    async def _receive(self) -> Message:
        await self._wait(lambda: bool(self._to_app) or self._gone or self._answered)
        over = self._gone or self._answered
        message = {"type": "http.disconnect"} if over else self._to_app.popleft()
        self.received.append(message)
        return message

    async def _send(self, message: Message) -> None:
        if self._gone:
            self.late.append(message)
            return
        self._from_app.append(message)
        self._answered = message["type"] == "http.response.body" and not message.get("more_body", False)
        self._news.set()
        if not self._read_ahead:
            await self._wait(lambda: self._gone or all(waiting is not message for waiting in self._from_app))


def _set_default(headers: list[tuple[bytes, bytes]], name: bytes, value: bytes) -> None:
    if not any(key.lower() == name for key, _ in headers):
        headers.append((name, value))


async def ask(app: ASGIApp, method: str = "GET", path: str = "/", **options: Any) -> Response:
    """One request and its whole answer; the options are those of ``Conversation``."""
    async with Conversation(app, method, path, **options) as talk:
        return await talk.whole()
