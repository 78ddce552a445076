"""What is wrong with a request is told in one 4xx of OpenAI's shape, on a real socket, and no upstream hears of it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from openai_gateway_asgi import Upstream
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import answer
from tests.support.servers import Http, serve
from tests.surface.world import ASKED, FILE, FORM, JSON, SERVED, field, form, surface

AUDIO, CHAT = "/v1/audio/transcriptions", "/v1/chat/completions"
MODEL = field("model", ASKED)
MIB = 1024 * 1024
CHAT_BODY = json.dumps({"model": ASKED, "messages": [{"role": "user", "content": "hi"}]}).encode()
SERVERS: tuple[Http, ...] = ("h11", "httptools")


@dataclass(frozen=True)
class Case:
    sent: bytes
    status: int
    code: str
    param: str | None = None


def request(path: str, content_type: str, body: bytes, *, length: int | None = None, who: str = "una") -> bytes:
    """``length`` promises more than there is, and the rest never comes."""
    head = f"POST /openai{path} HTTP/1.1\r\nHost: t\r\nX-Who: {who}\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


def chunked(path: str, content_type: str, *chunks: bytes) -> bytes:
    head = (
        f"POST /openai{path} HTTP/1.1\r\nHost: t\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks)


def upload(*parts: tuple[str, bytes], path: str = AUDIO, content_type: str = FORM, **options: Any) -> bytes:
    return request(path, content_type, form(*parts), **options)


ENDLESS = b'--frontier\r\nContent-Disposition: form-data; name="a"\r\n' + b"X-More: 1\r\n" * 5000
CASES = {
    "two models": Case(upload(MODEL, FILE, MODEL), 400, "invalid_field", "model"),
    "a file named model": Case(upload(('name="model"; filename="m"', b"x"), FILE), 400, "invalid_field", "model"),
    "no boundary": Case(upload(MODEL, FILE, content_type="multipart/form-data"), 400, "invalid_multipart"),
    "a boundary that never comes": Case(
        upload(MODEL, FILE, content_type=FORM.replace("frontier", "elsewhere")), 400, "invalid_multipart"
    ),
    "a field over its limit": Case(
        upload(MODEL, field("prompt", b"x" * (MIB + 1)), FILE), 413, "payload_too_large", "prompt"
    ),
    "fields over their limit": Case(
        upload(*(field(f"f{number}", b"x" * (MIB - 9)) for number in range(5)), MODEL), 413, "payload_too_large"
    ),
    "a form over its limit": Case(
        upload(('name="file"; filename="a"', bytes(7 * MIB)), MODEL), 413, "payload_too_large"
    ),
    "a thousand parts": Case(upload(*[field("a", "")] * 1001, MODEL), 400, "invalid_multipart"),
    "endless headers of a part": Case(request(AUDIO, FORM, ENDLESS), 400, "invalid_multipart"),
    "an upload that never begins": Case(request(AUDIO, FORM, b"", length=99), 408, "request_timeout"),
    "an upload that stalls before its model": Case(upload(FILE, MODEL, length=9999)[:-300], 408, "request_timeout"),
    "an upload that stalls after its model": Case(upload(MODEL, FILE, length=9999)[:-60], 408, "request_timeout"),
    "a chunked upload that stalls": Case(chunked(AUDIO, FORM, form(MODEL, FILE)[:200]), 408, "request_timeout"),
    "a JSON body that never begins": Case(request(CHAT, JSON, b"", length=9), 408, "request_timeout"),
    "a JSON body that stalls": Case(request(CHAT, JSON, CHAT_BODY[:20], length=99), 408, "request_timeout"),
    "a chunked JSON body that stalls": Case(chunked(CHAT, JSON, CHAT_BODY), 408, "request_timeout"),
    "a stored object's body that stalls": Case(
        request("/v1/batches", JSON, b"{", length=9, who="ada"), 408, "request_timeout"
    ),
    "an administrator's body that stalls": Case(
        request("/config/update", JSON, b"{", length=9, who="ada"), 408, "request_timeout"
    ),
    "a path that climbs": Case(upload(MODEL, FILE, path="/v1/audio/../files"), 400, "invalid_path"),
    "a path that climbs, encoded": Case(upload(MODEL, FILE, path="/v1/audio/..%2f..%2fadmin"), 400, "invalid_path"),
    "a path that climbs, with backslashes": Case(upload(MODEL, path="/v1/audio/..%5c..%5cadmin"), 400, "invalid_path"),
    "a path that climbs out": Case(upload(MODEL, FILE, path="/%2e%2e/admin"), 400, "invalid_path"),
}


@asynccontextmanager
async def served(http: Http, idle: float = 0.3) -> AsyncIterator[tuple[int, FakeUpstream]]:
    limits = {"upload_idle": idle, "upload_limit": 6 * MIB}
    async with FakeUpstream(wire=[answer()]) as upstream:
        one = Upstream(f"{upstream.url}/v1", name="A", api_key="ka", prefix_id="pre", model_ids=[SERVED])
        async with surface(one, transport=None, settings=limits) as gateway, serve(gateway.app, http=http) as server:
            yield server.port, upstream


async def answered(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(10):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-1])}
            return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("http", SERVERS)
async def test_each_is_refused_in_one_shape_and_no_upstream_hears_of_it(http: Http) -> None:
    async with served(http) as (port, upstream):
        answers = await asyncio.gather(*(answered(port, case.sent) for case in CASES.values()))

        for (name, case), (status, headers, body) in zip(CASES.items(), answers, strict=True):
            error = json.loads(body)["error"]
            assert error.keys() == {"message", "type", "param", "code"}, name
            assert (status, error["code"], error["param"]) == (case.status, case.code, case.param), name
            assert headers["content-type"] == "application/json", name
            assert re.match(r"[A-Z`].*\.$", error["message"]), name
        assert upstream.connections == []


@pytest.mark.parametrize("http", SERVERS)
async def test_what_is_right_passes_there(http: Http) -> None:
    """Beside the above: it is not all refused."""
    async with served(http) as (port, upstream):
        assert (await answered(port, upload(MODEL, FILE)))[0] == 200
        assert (await answered(port, request(CHAT, JSON, CHAT_BODY)))[0] == 200
        assert upstream.methods == {"POST": 2}


async def test_a_body_that_comes_slowly_but_comes_is_taken() -> None:
    async with served("httptools", idle=0.5) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        whole = request(CHAT, JSON, CHAT_BODY)
        for start in range(0, len(whole), 40):
            writer.write(whole[start : start + 40])
            await asyncio.sleep(0.1)  # what is tested is the time that passes
        async with asyncio.timeout(10):
            assert b" 200 " in await reader.readline()
        writer.transport.abort()
