"""Case 273: whatever the gateway sends, a client that takes no bytes of it is given up after ``send_timeout``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openai_gateway_asgi import Gateway, Outcome, Settings, Timeouts, Upstream, UsageRecord, User, health_app
from openai_gateway_asgi.http.whole_answers import PIECE
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import Answer, bytes_answer
from tests.cases.gateways import world
from tests.reliability.clients import request
from tests.reliability.deaf import DeafClient, Watched
from tests.reliability.processes import OTHERS, run, said_at
from tests.support.asgi import Conversation
from tests.support.servers import Http, serve

MIB = 1024 * 1024
PATIENCE = 0.3
MODELS = [{"id": f"m{number}", "description": "d" * 200} for number in range(8_000)]
"""Their list is longer than all buffers on the way."""


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


SPEECH = request({"model": "tts", "input": "x", "voice": "y"}, path="/v1/audio/speech")
CHAT = request({"model": "m1", "messages": []})
STREAM = request({"model": "m1", "messages": [], "stream": True})
REFUSED = request({"model": "refused", "messages": []})

ASKED = {
    "a list": get("/v1/models"),
    "many lists on one connection": get("/v1/models") * 3,
    "many small answers": get("/v1/models/m1") * 1_000,
    "the configuration, again and again": get("/v1/config") * 20,
    "an error of an upstream's, again and again": REFUSED * 4,
    "an error of the gateway's, again and again": get("/v1/nothing") * 1_000,
    "speech from the cache": SPEECH * 2,
    "a long answer": CHAT,
    "answers on one connection": CHAT * 8,
    "a stream": STREAM,
}


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b'data: {"choices": [{"index": 0, "delta": {"content": "' + b"x" * 50_000 + b'"}}]}\n\n'
        await asyncio.sleep(0)


def answer(came: Any) -> Answer:
    if came.model == "refused":
        return bytes_answer(b'{"error": {"message": "' + b"x" * 500_000 + b'"}}', "application/json", 400)
    if came.fields().get("stream"):
        return Answer(endless(), 200, [("content-type", "text/event-stream")])
    pieces = [b'{"choices": [], "x": "', *[b"x" * 65536] * 20, b'"}']
    return Answer(pieces, 200, [("content-type", "application/json"), ("content-length", f"{sum(map(len, pieces))}")])


class Host:
    def __init__(self) -> None:
        self.fake = FakeUpstream(list(MODELS))
        self.fake.answer("/chat/completions", answer)
        self.fake.answer("/audio/speech", bytes_answer(bytes(MIB), "audio/mpeg"))
        self.records: list[UsageRecord] = []
        others = [Upstream(f"http://b/v1/{number}", model_ids=["x"]) for number in range(500)]
        named = Upstream("http://a/v1", name="A", model_ids=["tts", "refused", "m*"])
        self.gateway = Gateway(
            [named, *others],
            resolve_user=lambda _: User("ann", role="admin"),
            authorize_model=lambda *_: True,
            record_usage=self.records.append,
            transport=self.fake.transport(),
            settings=Settings(send_timeout=PATIENCE, timeouts=Timeouts(idle=PATIENCE / 3, answer=PATIENCE / 3)),
        )
        self.app = Watched(self.gateway)


@asynccontextmanager
async def asked(port: int, data: bytes) -> AsyncIterator[None]:
    """By a client that takes nothing."""
    async with DeafClient(port) as client:
        sending = asyncio.create_task(client.send(data))
        yield
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("what", ASKED)
async def test_case_273_a_client_that_takes_no_bytes_is_given_up(what: str, http: Http) -> None:
    host = Host()
    async with serve(host.app, http=http, send_buffer=8192) as server, asked(server.port, ASKED[what]):
        await host.app.stalled_and_over(PATIENCE, within=20)
    health = host.gateway.health().upstreams["A"]
    assert (health.breakers, health.in_use) == ({}, 0)
    assert {record.outcome for record in host.records} <= {Outcome.CLIENT_GONE, Outcome.COMPLETED, Outcome.REJECTED}
    assert host.fake.open_answers == 0


async def test_case_273_a_server_is_given_no_more_than_a_piece_that_nobody_takes() -> None:
    """What a server has been given it keeps, for a client that takes nothing as well."""
    named = Upstream("http://many/v1", model_ids=[f"model-{number}" for number in range(5_000)])
    async with world(named, settings=Settings(send_timeout=0.1)) as w:
        async with Conversation(w.app, "GET", "/openai/models", read_ahead=False, strict=False) as talk:
            start = await talk.receive_start()
            first = await talk.receive_chunk()
            assert first is not None
            assert len(first) <= PIECE
            with pytest.raises(AssertionError, match="without completing"):  # upon which its server cuts it off
                await talk.ended()
        async with Conversation(w.app, "GET", "/openai/models", strict=False) as talk:
            whole = await talk.whole()
        assert start.header("content-length") == whole.header("content-length") == str(len(whole.body))
        assert len(json.loads(whole.body)["data"]) == 5_000


@pytest.mark.parametrize("path", ["/live", "/ready"])
async def test_case_273_neither_is_the_health_waited_for(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai_gateway_asgi.observe.health.SEND_TIMEOUT", 0.05)
    app = health_app(Host().gateway.health)
    async with Conversation(app, "GET", path, read_ahead=False) as talk:
        with pytest.raises(AssertionError, match="without"):
            await talk.ended()


@pytest.mark.soak
@pytest.mark.parametrize("server", ["h11", "httptools", *OTHERS])
async def test_case_273_on_every_server(server: str) -> None:
    async with FakeUpstream() as fake, run(server, "deaf", {"UPSTREAM_URL": fake.url}) as program:
        for path in ("/openai/v1/models", "/openai/v1/models"):
            async with asked(program.port, request_of(path)):
                async with asyncio.timeout(30):
                    while (await said_at(program, "/watch/"))["running"] == 0:
                        await asyncio.sleep(0.01)
                    while (seen := await said_at(program, "/watch/"))["running"]:
                        await asyncio.sleep(0.05)
        assert seen["over"] == 2
        assert 0.5 <= seen["longest"] < 10


def request_of(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann\r\n\r\n".encode()
