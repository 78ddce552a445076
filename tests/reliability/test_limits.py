"""So many calls at once per upstream, and a line in front of it that has an end."""

from __future__ import annotations

import asyncio

import pytest

from openai_gateway_asgi import Timeouts
from openai_gateway_asgi.testing import Answer, FakeRequest, FakeUpstream, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import chat_events
from tests.reliability.clients import Client, request
from tests.reliability.gateways import assert_error, call, chat, healthy, make_gateway, named, talk
from tests.support.servers import Http, serve

OK = json_answer({"id": "1"})


class Gate:
    """An upstream that answers when told to, and counts how many it had at once."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.now = self.most = 0

    async def answer(self, request: FakeRequest) -> Answer:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.opened.wait()
        finally:
            self.now -= 1
        return OK


async def test_no_more_than_the_limit_are_given_to_an_upstream_at_once() -> None:
    upstream, gate = FakeUpstream(), Gate()
    upstream.answer("/chat/completions", gate.answer)
    gateway = make_gateway([named("a", max_concurrency=3)], timeouts=Timeouts(), transport=upstream.transport())

    calls = [asyncio.create_task(call(gateway)) for _ in range(20)]
    await upstream.until_requests(3)
    assert (await healthy(gateway))["a"]["in_use"] == 3
    gate.opened.set()

    assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 20
    assert gate.most == 3
    assert (await healthy(gateway))["a"]["in_use"] == 0


async def test_who_waits_too_long_is_told_when_to_come_back() -> None:
    upstream, gate = FakeUpstream(), Gate()
    upstream.answer("/chat/completions", gate.answer)
    gateway = make_gateway(
        [named("a", max_concurrency=1)], transport=upstream.transport(), settings={"queue_time": 0.05}
    )
    first = asyncio.create_task(call(gateway))
    await upstream.until_requests(1)

    second = await call(gateway)

    assert_error(second, 503, "gateway_busy")
    assert second.header("retry-after") == "1"
    gate.opened.set()
    assert (await first).status == 200
    assert len(upstream.requests) == 1


async def test_an_upstream_at_its_limit_is_passed_over_at_once_and_not_held_against_it() -> None:
    upstream, gate = FakeUpstream(), Gate()
    upstream.host("a.test").answer("/chat/completions", gate.answer)
    gateway = make_gateway(
        [named("a", max_concurrency=1), named("b")],
        timeouts=Timeouts(),
        transport=upstream.transport(),
        settings={"queue_time": 60},
    )
    first = asyncio.create_task(call(gateway))
    await upstream.until_requests(1)

    async with asyncio.timeout(5):
        for _ in range(10):
            assert (await call(gateway)).status == 200

    assert (await healthy(gateway))["a"]["breakers"] == {}
    gate.opened.set()
    await first


async def test_where_all_are_at_their_limit_the_first_is_waited_for() -> None:
    upstream, gate = FakeUpstream(), Gate()
    upstream.answer("/chat/completions", gate.answer)
    gateway = make_gateway(
        [named("a", max_concurrency=1), named("b", max_concurrency=1)],
        timeouts=Timeouts(),
        transport=upstream.transport(),
    )
    calls = [asyncio.create_task(call(gateway)) for _ in range(3)]
    await upstream.until_requests(2)
    assert {name: state["in_use"] for name, state in (await healthy(gateway)).items()} == {"a": 1, "b": 1}
    gate.opened.set()

    assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 3
    assert [request.host for request in upstream.requests] == ["a.test", "b.test", "a.test"]


async def test_a_stream_holds_its_place_to_its_end() -> None:
    upstream, go_on = FakeUpstream(), asyncio.Event()
    events = chat_events(chat())

    async def stream():  # type: ignore[no-untyped-def]
        yield events[0] + events[1]
        await go_on.wait()
        for event in events[2:]:
            yield event

    upstream.answer("/chat/completions", lambda _: stream_answer(stream()))
    gateway = make_gateway([named("a", max_concurrency=1)], transport=upstream.transport())

    async with talk(gateway) as first:
        await first.receive_start()
        async with talk(gateway) as second:
            assert await second.quiet()
            assert len(upstream.requests) == 1
            go_on.set()
            await first.receive_rest()
            assert (await second.receive_start()).status == 200
            await second.receive_rest()


async def test_failures_and_leaving_give_the_place_back() -> None:
    upstream, gate = FakeUpstream(), Gate()
    gateway = make_gateway([named("a", max_concurrency=1)], transport=upstream.transport(), settings={"retries": 0})
    upstream.answer("/chat/completions", error_answer(400), error_answer(500), gate.answer, OK)

    assert [(await call(gateway)).status for _ in range(2)] == [400, 500]
    async with talk(gateway, chat()) as leaving:
        await upstream.until_requests(3)
        leaving.disconnect()
        await leaving.ended()

    assert (await call(gateway)).status == 200
    assert (await healthy(gateway))["a"]["in_use"] == 0


async def test_who_waits_between_two_tries_holds_no_place() -> None:
    upstream = FakeUpstream()
    slow_down = error_answer(429, headers=[("retry-after-ms", "300")])
    upstream.answer("/chat/completions", slow_down, OK)
    gateway = make_gateway([named("a", max_concurrency=1)], transport=upstream.transport())

    waiting = asyncio.create_task(call(gateway))
    await upstream.until(lambda: len(upstream.requests) == 1 and not upstream.open_answers)
    assert (await call(gateway)).status == 200

    assert not waiting.done()
    assert (await waiting).status == 200


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("sent", [b"", b'{"model": "gpt", '], ids=["nothing", "a-piece"])
async def test_a_body_that_stalls_is_a_408_and_reaches_nobody(http: Http, sent: bytes) -> None:
    upstream = FakeUpstream()
    gateway = make_gateway([named("a")], transport=upstream.transport(), settings={"upload_idle": 0.1})
    async with serve(gateway, http=http) as server:
        client = await Client.to(server)
        await client.send(request(sent, length=1000))
        assert (await client.until(b'"request_timeout"')).startswith(b"HTTP/1.1 408 ")
        await client.close()

    assert upstream.requests == []
