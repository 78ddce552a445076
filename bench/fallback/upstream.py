"""The mock upstream of native/upstream.c in Python: ``python -m bench.fallback.upstream <models> [cert key]``.

With a certificate and its key it speaks TLS.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import time
from typing import ClassVar, cast

import httptools
import uvloop

WISH = re.compile(rb"bench events=(\d+) pace=(\d+)")
FILE = re.compile(rb"/file-(\d+)/content")
BURST = 10  # events per write of an unpaced stream, as in upstream.c
PIECE = b"x" * 262_144

USAGE = {"prompt_tokens": 12, "completion_tokens": 200, "total_tokens": 212}
SMALL_ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "bench",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "wwww " * 140}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
).encode()


def models_answer(count: int) -> bytes:
    entries = [{"id": f"model-{i}", "object": "model", "created": 1_700_000_000, "owned_by": "b"} for i in range(count)]
    return json.dumps({"object": "list", "data": entries}).encode()


def event(usage: bool = False) -> bytes:
    """One event as an HTTP chunk, with its time of writing; or the one that tells the usage."""
    choices = [] if usage else [{"index": 0, "delta": {"content": " measured"}, "finish_reason": None}]
    fields: dict[str, object] = {
        "id": f"chatcmpl-{time.monotonic_ns():019d}",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "bench",
        "choices": choices,
    }
    data = json.dumps(fields | ({"usage": USAGE} if usage else {}), separators=(",", ":"))
    text = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(text), text)


class Upstream(asyncio.Protocol):
    """One connection: parses requests and answers each as its body's beginning or its path wishes."""

    models = b""
    counts: ClassVar = {"connections": 0, "requests": 0}

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._probe = b""
        self._writable = asyncio.Event()
        self._writable.set()
        self._counted = False
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None:
            self._answering.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = self._probe = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        if len(self._probe) < 2048:
            self._probe += body[:2048]

    def on_message_complete(self) -> None:
        if self._url == b"/stats":
            return self._respond(json.dumps(self.counts).encode())
        self.counts["requests"] += 1
        self.counts["connections"] += not self._counted
        self._counted = True
        return self._answer()

    def _answer(self) -> None:
        wish, file = WISH.search(self._probe), FILE.search(self._url)
        if wish:
            tells_usage = b"include_usage" in self._probe
            self._answering = asyncio.ensure_future(self._stream(int(wish[1]), int(wish[2]) / 1000, tells_usage))
        elif file:
            self._answering = asyncio.ensure_future(self._download(int(file[1])))
        else:
            self._respond(SMALL_ANSWER if self._parser.get_method() == b"POST" else self.models)

    def _respond(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % len(body) + body)

    async def _stream(self, events: int, pace: float, tells_usage: bool) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        self._transport.write(head)
        step = 1 if pace else BURST
        for left in range(events, 0, -step):
            if pace:
                await asyncio.sleep(pace)
            await self._writable.wait()
            self._transport.write(b"".join(event() for _ in range(min(left, step))))
        if tells_usage:
            self._transport.write(event(usage=True))
        self._transport.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    async def _download(self, size: int) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % size)
        for start in range(0, size, len(PIECE)):
            await self._writable.wait()
            self._transport.write(PIECE[: size - start])


async def main(models: int, certificate: list[str]) -> None:
    Upstream.models = models_answer(models)
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certificate)
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, ssl=context, backlog=4096)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2:]))
