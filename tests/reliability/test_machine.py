"""Faults of the machine around the gateway: names that are not found, descriptors that run out, hosts that cancel."""

from __future__ import annotations

import asyncio
import shlex
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from starlette.types import Message

from openai_gateway_asgi import ConfigError, Gateway, Timeouts, Upstream
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import chat_events
from openai_gateway_asgi.testing.wire import answer, hang, sse
from tests.reliability.clients import Client, request
from tests.reliability.gateways import ANN, CHAT, assert_error, at, call, chat, healthy, make_gateway
from tests.support.asgi import make_scope
from tests.support.leaks import Holdings, lasting, settled_leaks
from tests.support.servers import free_port, serve_program

EVENTS = chat_events(chat(stream=True))
IN_TIME = 0.5


# Names


class Names:
    """The machine's look-up of names: those in ``found`` are this machine's, all others hang until ``release``."""

    def __init__(self) -> None:
        self.found = {"quick.test"}
        self.released = threading.Event()
        self.asked: list[str] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        self.asked.append(str(host))
        if host not in self.found:
            assert self.released.wait(10)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._real("127.0.0.1", port, *args, **options)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    yield names
    names.released.set()


def called(name: str, upstream: FakeUpstream) -> Upstream:
    return at(f"http://{name}.test:{upstream.port}", name=name, models=[name])


@pytest.mark.parametrize("stream", [True, False])
async def test_a_name_that_does_not_exist_is_a_502(names: Names, stream: bool) -> None:
    names.released.set()
    async with FakeUpstream(wire=[answer()]) as upstream:
        gateway = make_gateway([called("nowhere", upstream)])
        error = assert_error(await call(gateway, chat(model="nowhere", stream=stream)), 502, "upstream_unavailable")
        assert "nowhere.test" not in error["message"]
        assert upstream.connections == []
        await gateway.aclose()


async def test_names_that_are_looked_up_for_ever_cost_their_callers_the_limit_and_others_nothing(names: Names) -> None:
    hung = [f"hung{n}" for n in range(64)]
    async with FakeUpstream(wire=[answer()]) as upstream:
        limit = Timeouts(connect=0.8)
        gateway = make_gateway([called(name, upstream) for name in (*hung, "quick")], timeouts=limit)
        async with lasting(limit.connect, limit.connect + IN_TIME):
            calls = [asyncio.create_task(call(gateway, chat(model=name))) for name in hung]
            await asyncio.sleep(0.05)
            assert (await call(gateway, chat(model="quick"))).status == 200
            assert await asyncio.to_thread(lambda: "the host's own threads are free") is not None
            assert not any(each.done() for each in calls)
            for each in await asyncio.gather(*calls):
                assert_error(each, 504, "upstream_timeout")

        names.found.add("hung0.test")
        names.released.set()
        async with asyncio.timeout(5):
            while (await call(gateway, chat(model="hung0"))).status != 200:
                await asyncio.sleep(0.01)
        await gateway.aclose()


@pytest.mark.parametrize("url", ["http://u.test:99999/v1", "ftp://u.test/v1", "http://:80/v1", "u.test/v1"])
def test_an_address_that_cannot_be_one_is_refused_when_it_is_configured(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url"):
        Upstream(url)


# Descriptors


async def test_calls_without_a_descriptor_left_are_a_503_and_the_next_ones_are_served() -> None:
    gate = asyncio.Event()
    streams = sse(*EVENTS, gates={2: gate})
    uvicorn = f"{sys.executable} -m uvicorn --port 0 --ws none --loop asyncio tests.reliability.programs:app"
    async with FakeUpstream(wire=[streams]) as upstream:
        env = {"UPSTREAM_URL": upstream.url, "DRAIN_WITHIN": "1"}
        limited = f"ulimit -n 64 && exec {uvicorn}"
        async with serve_program("sh", "-c", limited, env=env) as program:
            clients = [await Client.to(program) for _ in range(48)]
            calls = [asyncio.create_task(outcome(client)) for client in clients]
            await first_done(calls)
            gate.set()
            outcomes = [await call for call in calls]
            after = await Client.to(program)
            assert await outcome(after) == (200, True)
            async with asyncio.timeout(5):
                await asyncio.gather(*[client.close() for client in (*clients, after)])

    assert {status for status, _ in outcomes} == {200, 503}
    assert all(whole for status, whole in outcomes if status == 200)


async def first_done(calls: list[asyncio.Task[Any]]) -> None:
    async with asyncio.timeout(5):
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)


async def outcome(client: Client) -> tuple[int, bool]:
    """The status, and whether the stream came whole."""
    await client.send(request(chat(stream=True), path="/openai" + CHAT, close=True))
    got = await client.rest(within=20)
    if b" 503 " in got[:20]:
        assert b'"gateway_busy"' in got
        assert b"retry-after: 1" in got.lower()
    return int(got[9:12]), b"data: [DONE]" in got


# Event loops


def test_one_event_loop_after_the_other_is_served_as_the_first() -> None:
    """As a test suite's, or ``asgiref``'s: nothing of an ended loop is touched again."""
    port = free_port()
    listed = Upstream(f"http://127.0.0.1:{port}/v1", max_concurrency=1)
    gateway = make_gateway([listed], timeouts=Timeouts())

    async def serve_once() -> None:
        models = answer(200, body=b'{"data": [{"id": "gpt"}]}')
        async with FakeUpstream(wire=[models, models, sse(*chat_events(chat()))], port=port) as upstream:
            for stream in (False, True):
                assert (await call(gateway, chat(stream=stream))).status == 200
            assert upstream.open_connections == 1

    for _ in range(3):
        asyncio.run(serve_once())


# Hosts that cancel


class Talk:
    """A call whose task is the test's own to cancel."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self._asked = False

    async def receive(self) -> Message:
        if self._asked:
            await asyncio.Event().wait()
        self._asked = True
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


BODY = b'{"model": "gpt", "messages": [], "stream": true}'
SCOPE = make_scope("POST", CHAT, headers={**ANN, "content-type": "application/json"})


async def cancel_task(gateway: Gateway, talk: Talk, reached: Callable[[], Awaitable[None]]) -> None:
    task = asyncio.create_task(gateway(SCOPE, talk.receive, talk.send))
    await reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_scope(gateway: Gateway, talk: Talk, reached: Callable[[], Awaitable[None]]) -> None:
    """As Starlette and its like do: the scope cancels again and again, whatever is awaited within it."""
    async with anyio.create_task_group() as group:
        group.start_soon(gateway, SCOPE, talk.receive, talk.send)
        await reached()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("cancel", [cancel_task, cancel_scope])
@pytest.mark.parametrize("script", [hang, sse(*EVENTS[:2], ending="open")], ids=["before-headers", "between-events"])
async def test_a_call_that_its_host_cancels_leaves_nothing(cancel: Any, script: Any) -> None:
    async with FakeUpstream(wire=[script, answer()]) as upstream:
        gateway = make_gateway([at(upstream, max_concurrency=1)], timeouts=Timeouts())
        before = Holdings.of_loop()
        talk = Talk()

        async def reached() -> None:
            await upstream.until_requests(1)
            async with asyncio.timeout(5):
                while script is not hang and len(talk.sent) < 2:
                    await asyncio.sleep(0)

        await cancel(gateway, talk, reached)

        await upstream.connections[0].closed(within=0.1)
        assert await settled_leaks(before) == []
        assert (await healthy(gateway))["127.0.0.1"]["in_use"] == 0
        assert (await call(gateway)).status == 200
        await gateway.aclose()


async def test_a_server_that_cancels_its_streams_cuts_them_and_their_upstreams() -> None:
    uvicorn = shlex.split("python -m uvicorn --host 127.0.0.1 --port 0 --ws none --timeout-graceful-shutdown 1")
    async with FakeUpstream(wire=[sse(*EVENTS[:2], ending="open")]) as upstream:
        env = {"UPSTREAM_URL": upstream.url, "DRAIN_WITHIN": "60"}
        async with serve_program(*uvicorn, "tests.reliability.programs:app", env=env) as program:
            client = await Client.to(program)
            await client.send(request(chat(stream=True), path="/openai" + CHAT))
            await client.until(b"data: ")
            program.terminate()
            rest = await client.rest()
            await upstream.connections[0].closed()
            await client.close()
            async with asyncio.timeout(3):
                await program.process.wait()

    assert b"[DONE]" not in rest
    assert not rest.endswith(b"\r\n0\r\n\r\n") or b"event: error" in rest
