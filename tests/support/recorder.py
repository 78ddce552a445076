"""An upstream that records what reaches it and answers as OpenAI's API would, or as a test says.

The same recorder serves as an ASGI app (over real sockets) and as an ``httpx`` transport (in the same process).
"""

from __future__ import annotations

import asyncio
import inspect
import json as jsonlib
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from starlette.types import Receive, Scope, Send

from tests.support import answers
from tests.support.answers import Answer, Chunks, bytes_answer, error_answer, json_answer, sse, stream_answer

__all__ = [
    "Answer",
    "Recorded",
    "Recorder",
    "Respond",
    "bytes_answer",
    "error_answer",
    "json_answer",
    "sse",
    "stream_answer",
]

PATIENCE = 5.0
"""Seconds after which waiting for the upstream's side of things is a failure."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it arrived, byte for byte."""

    method: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    host: str
    extensions: dict[str, Any] = field(default_factory=dict)
    """Those of the ``httpx.Request``; empty over sockets."""

    @property
    def path(self) -> str:
        return self.raw_path.decode("ascii")

    def header(self, name: str) -> str | None:
        """The value of the header, or None; a header sent twice is a failure."""
        values = self.header_values(name)
        assert len(values) <= 1, f"{len(values)} headers named {name}: {values}"
        return values[0] if values else None

    def header_values(self, name: str) -> list[str]:
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == wanted]

    def json(self) -> Any:
        return jsonlib.loads(self.body)

    def fields(self) -> dict[str, Any]:
        """The JSON object in the body; empty when there is none."""
        try:
            data = jsonlib.loads(self.body)
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}


Respond = Callable[[Recorded], Answer | Awaitable[Answer]]

_DEFAULTS: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "/chat/completions": answers.chat,
    "/completions": answers.completions,
    "/embeddings": answers.embeddings,
    "/moderations": answers.moderations,
    "/responses": answers.responses,
    "/audio/speech": answers.speech,
}


class Recorder:
    """A scriptable upstream. ``requests`` lists what reached it (and its ``host``s), the oldest first.

    ``closed_early`` lists the requests that were abandoned before the end of their answer; ``open`` counts those whose
    answer is neither at its end nor closed.
    """

    def __init__(self, models: list[str | dict[str, Any]] | None = None) -> None:
        self.models: list[str | dict[str, Any]] = ["gpt-small", "gpt-large"] if models is None else models
        self.requests: list[Recorded] = []
        self.closed_early: list[Recorded] = []
        self.open = 0
        self._answers: dict[str, list[Answer | Respond]] = {}
        self._hosts: dict[str, Recorder] = {}
        self._parent: Recorder | None = None
        self._news = asyncio.Event()

    def answer(self, path: str, *answers: Answer | Respond) -> None:
        """Answers requests to ``path`` with these in turn, the last of them for ever.

        ``path`` is the whole path of the request, or its end: ``/v1/models`` and ``/models`` both fit
        ``/any/base/models``. A callable gets the request; what it raises is raised by the transport.
        """
        self._answers[path] = list(answers)

    def host(self, name: str) -> Recorder:
        """The recorder that plays the upstream of this host name; made when first asked for."""
        if name not in self._hosts:
            self._hosts[name] = Recorder()
            self._hosts[name]._parent = self
        return self._hosts[name]

    @property
    def last(self) -> Recorded:
        assert self.requests, "No request has reached this upstream."
        return self.requests[-1]

    def calls(self, path: str) -> list[Recorded]:
        """The requests whose path is, or ends with, ``path``."""
        return [request for request in self.requests if _fits(path, request.path)]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until ``holds`` does, looking again whenever this upstream has news (a request, a closed answer)."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._news.clear()
                await self._news.wait()

    async def until_requests(self, count: int) -> None:
        await self.until(lambda: len(self.requests) >= count)

    async def until_closed_early(self, count: int = 1) -> None:
        await self.until(lambda: len(self.closed_early) >= count)

    def transport(self) -> RecorderTransport:
        """An ``httpx`` transport that ends here; the URL's host decides which ``host`` answers."""
        return RecorderTransport(self)

    def playing(self, host: str) -> Recorder:
        """The recorder that answers for a host name: its own if ``host(name)`` was called, else this one."""
        return self._hosts.get(host, self)

    async def reply(self, request: Recorded) -> Answer:
        """Records the request and finds its answer."""
        for recorder in self._line():
            recorder.requests.append(request)
            recorder.open += 1
            recorder._news.set()
        try:
            chosen = self._choose(request)
            result = chosen if isinstance(chosen, Answer) else chosen(request)
            return await result if inspect.isawaitable(result) else result
        except BaseException as error:
            self.closed(request, early=isinstance(error, asyncio.CancelledError))
            raise

    def closed(self, request: Recorded, *, early: bool) -> None:
        """Notes that nothing more of the answer to this request will be read."""
        for recorder in self._line():
            recorder.open -= 1
            if early:
                recorder.closed_early.append(request)
            recorder._news.set()

    def _line(self) -> list[Recorder]:
        return [self] if self._parent is None else [self, *self._parent._line()]

    def _choose(self, request: Recorded) -> Answer | Respond:
        fitting = [path for path in self._answers if _fits(path, request.path)]
        if not fitting:
            return self._default(request)
        turns = self._answers[max(fitting, key=len)]
        return turns.pop(0) if len(turns) > 1 else turns[0]

    def _default(self, request: Recorded) -> Answer:
        if _fits("/models", request.path):
            return answers.models(self.models)
        fitting = [path for path in _DEFAULTS if _fits(path, request.path)]
        if not fitting:
            return error_answer(404, f"Unknown path {request.path}.", code="not_found")
        return _DEFAULTS[max(fitting, key=len)](request.fields())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"This upstream speaks HTTP only, not {scope['type']}.")
        request = _recorded(scope, await _whole_body(receive))
        recorder = self.playing(request.host)
        serving = asyncio.create_task(recorder._serve(request, send))
        leaving = asyncio.ensure_future(receive())
        try:
            await asyncio.wait([serving, leaving], return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            leaving.cancel()
            await asyncio.gather(serving, leaving, return_exceptions=True)
        if not serving.cancelled():
            serving.result()

    async def _serve(self, request: Recorded, send: Send) -> None:
        answer = await self.reply(request)
        stream = _AnswerStream(self, request, answer)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            async for chunk in stream:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await stream.aclose()


def _fits(path: str, actual: str) -> bool:
    return actual == path or actual.endswith(path.removeprefix("/v1"))


class RecorderTransport(httpx.AsyncBaseTransport):
    """Hands requests to a recorder in the same process and streams its answers chunk by chunk."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in request.stream])
        target = request.extensions.get("target", request.url.raw_path)
        raw_path, _, query = target.partition(b"?")
        headers = list(request.headers.raw)
        recorded = Recorded(request.method, raw_path, query, headers, body, request.url.host, dict(request.extensions))
        recorder = self._recorder.playing(recorded.host)
        answer = await recorder.reply(recorded)
        return httpx.Response(answer.status, headers=answer.headers, stream=_AnswerStream(recorder, recorded, answer))

    async def aclose(self) -> None:
        self.closed = True


class _AnswerStream(httpx.AsyncByteStream):
    """The body of one answer, until it has been read to its end or closed."""

    def __init__(self, recorder: Recorder, request: Recorded, answer: Answer) -> None:
        self._recorder = recorder
        self._request = request
        self._chunks = _iterated(answer.chunks)
        self._open = True

    # Not an async generator: one that is dropped half-way leaves its end to the garbage collector.
    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._close(early=False)
            raise

    async def aclose(self) -> None:
        self._close(early=True)
        await self._chunks.aclose()

    def _close(self, *, early: bool) -> None:
        if self._open:
            self._open = False
            self._recorder.closed(self._request, early=early)


async def _iterated(chunks: Chunks) -> AsyncGenerator[bytes, None]:
    if isinstance(chunks, AsyncIterable):
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            if inspect.isasyncgen(chunks):
                await chunks.aclose()
    else:
        for chunk in chunks:
            await asyncio.sleep(0)  # a real upstream lets other tasks run between its chunks
            yield chunk


def _recorded(scope: Scope, body: bytes) -> Recorded:
    headers = list(scope["headers"])
    host = next((value for name, value in headers if name == b"host"), b"").decode("latin-1")
    name = host.rpartition(":")[0] or host
    return Recorded(scope["method"], scope["raw_path"], scope["query_string"], headers, body, name)


async def _whole_body(receive: Receive) -> bytes:
    """What arrives of the body; a client that leaves in the middle leaves it short."""
    pieces = []
    more = True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(pieces)
