"""Stopping without cutting anybody off: in the process, and uvicorn told by SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openai_gateway_asgi import Gateway, Timeouts, UsageRecord, health_app
from openai_gateway_asgi.errors import GatewayDraining
from openai_gateway_asgi.testing import Answer, FakeRequest, FakeUpstream, error_answer, stream_answer
from openai_gateway_asgi.testing.answers import chat_events
from openai_gateway_asgi.testing.wire import sse
from tests.reliability.gateways import ANN, CHAT, assert_error, call, chat, healthy, make_gateway, named, over, talk
from tests.support.asgi import Conversation, ask
from tests.support.leaks import lasting
from tests.support.servers import Program, serve_program

WHOLE = chat_events(chat(stream=True))


class Slow:
    """Streams that stop after two events until ``go_on`` is set."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    def answer(self, request: FakeRequest) -> Answer:
        return stream_answer(self._events())

    async def _events(self) -> AsyncIterator[bytes]:
        for event in WHOLE[:2]:
            yield event
        await self.go_on.wait()
        for event in WHOLE[2:]:
            yield event


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def upstream(slow: Slow) -> FakeUpstream:
    recorder = FakeUpstream()
    recorder.answer(CHAT, slow.answer)
    return recorder


def gateway_to(upstream: FakeUpstream, **options: Any) -> Gateway:
    return make_gateway(over(upstream, "a"), timeouts=Timeouts(), transport=upstream.transport(), **options)


async def test_new_calls_are_refused_and_readiness_goes(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    assert (await ask(health_app(gateway.health), "GET", "/ready")).status == 200

    gateway.begin_drain(within=5)

    answer = await call(gateway)
    assert_error(answer, 503, "gateway_draining")
    assert answer.header("retry-after") == "1"
    assert upstream.requests == []
    assert (await ask(health_app(gateway.health), "GET", "/ready")).status == 503
    assert (await ask(health_app(gateway.health), "GET", "/live")).status == 200
    assert gateway.health().draining


async def test_administrators_can_still_look(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    gateway.begin_drain()
    assert "a" in await healthy(gateway)


async def test_open_streams_finish(upstream: FakeUpstream, slow: Slow) -> None:
    gateway = gateway_to(upstream)
    async with talk(gateway) as talking:
        await talking.receive_start()
        gateway.begin_drain(within=5)
        slow.go_on.set()
        assert await talking.receive_rest() == b"".join(WHOLE)


async def test_streams_that_do_not_finish_end_with_the_error_event_at_the_deadline(upstream: FakeUpstream) -> None:
    records: list[UsageRecord] = []
    gateway = gateway_to(upstream, records=records)
    async with talk(gateway) as talking:
        await talking.receive_start()
        gateway.begin_drain(within=0.1)
        async with lasting(0.09, 0.5):
            rest = await talking.receive_rest()

    assert b'"gateway_draining"' in rest
    assert b"event: error" in rest
    assert b"[DONE]" not in rest
    assert len(upstream.closed_early) == 1
    assert len(records) == 1


async def test_a_second_drain_can_only_bring_the_end_nearer(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    async with talk(gateway) as talking:
        await talking.receive_start()
        gateway.begin_drain(within=0.05)
        gateway.begin_drain(within=60)
        async with asyncio.timeout(1):
            assert b"gateway_draining" in await talking.receive_rest()


async def hanging(request: FakeRequest) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def test_calls_that_have_no_answer_yet_get_their_503_at_the_deadline(upstream: FakeUpstream) -> None:
    upstream.answer(CHAT, hanging)
    gateway = gateway_to(upstream)
    async with talk(gateway, chat()) as talking:
        await upstream.until_requests(1)
        gateway.begin_drain(within=0.05)
        assert_error(await talking.whole(), 503, "gateway_draining")


async def test_the_deadline_holds_for_those_in_line_between_tries_and_uploading(upstream: FakeUpstream) -> None:
    upstream.host("a.test").answer(CHAT, hanging)
    upstream.host("b.test").answer(CHAT, error_answer(429, headers=[("retry-after", "2")]))
    upstreams = [named("a", models=["gpt"], max_concurrency=1), named("b", models=["limited"])]
    gateway = make_gateway(upstreams, timeouts=Timeouts(), transport=upstream.transport())
    upload = Conversation(gateway, "POST", CHAT, body=None, headers={**ANN, "content-type": "application/json"})

    async with talk(gateway, chat()) as held, talk(gateway, chat()) as in_line, upload as uploading:
        await upstream.until_requests(1)
        async with talk(gateway, chat(model="limited")) as between:
            await upstream.until_requests(2)
            uploading.send_body(b'{"model"')
            gateway.begin_drain(within=0.05)
            async with asyncio.timeout(1):
                for talking in (held, in_line, between, uploading):
                    assert_error(await talking.whole(), 503, "gateway_draining")


async def test_a_signal_begins_it_and_the_handler_before_is_called_too(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    try:
        with gateway.drain_on(signal.SIGUSR1, within=1):
            signal.raise_signal(signal.SIGUSR1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert gateway.health().draining
        signal.raise_signal(signal.SIGUSR1)
        assert heard == [signal.SIGUSR1] * 2
    finally:
        signal.signal(signal.SIGUSR1, before)


async def test_the_error_is_one_that_clients_retry() -> None:
    assert (b"retry-after", b"1") in GatewayDraining("").headers


# uvicorn, told to stop


class Reader:
    """A client of one stream, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def ask(cls, program: Program, path: str = "/openai" + CHAT) -> Reader:
        import json

        reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
        body = json.dumps(chat(stream=True)).encode()
        writer.write(
            b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)
        )
        return cls(reader, writer)

    async def until(self, mark: bytes) -> bytes:
        async with asyncio.timeout(5):
            return await self._reader.readuntil(mark)

    async def rest(self) -> bytes:
        async with asyncio.timeout(5):
            data = await self._reader.read()
        self._writer.close()
        await self._writer.wait_closed()
        return data


def program(upstream: FakeUpstream, http: str, within: float) -> Any:
    env = {"UPSTREAM_URL": upstream.url, "DRAIN_WITHIN": str(within)}
    own = ("--host", "127.0.0.1", "--port", "0", "--ws", "none", "--http", http)
    return serve_program("python", "-m", "uvicorn", "tests.reliability.programs:app", *own, env=env)


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_uvicorn_told_to_stop_lets_a_stream_finish_and_exits(http: str) -> None:
    gate = asyncio.Event()
    async with FakeUpstream(wire=[sse(*WHOLE, gates={2: gate})]) as upstream, program(upstream, http, 10) as server:
        reader = await Reader.ask(server)
        await reader.until(b"\n\n")
        server.terminate()
        await server.until(lambda output: "Shutting down" in output)
        gate.set()
        assert b"data: [DONE]" in await reader.rest()
        async with asyncio.timeout(3):
            await server.process.wait()


async def test_uvicorn_told_to_stop_ends_a_stream_with_the_error_event_at_the_deadline_and_exits() -> None:
    async with FakeUpstream(wire=[sse(*WHOLE[:2], ending="open")]) as upstream, program(upstream, "h11", 0.5) as server:
        reader = await Reader.ask(server)
        await reader.until(b"\n\n")
        server.terminate()
        async with lasting(0, 2.5):
            rest = await reader.rest()
            async with asyncio.timeout(10):
                await server.process.wait()

    assert b'"gateway_draining"' in rest
    assert b"[DONE]" not in rest
