"""A breaker's life, seen from outside: what the upstream is asked, what clients get, what administrators see."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Gateway
from openai_gateway_asgi.testing import Answer, FakeRequest, FakeUpstream, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import chat_events, sse
from openai_gateway_asgi.testing.wire import answer
from openai_gateway_asgi.upstream import breaker
from tests.reliability.gateways import (
    ANN,
    MODEL,
    assert_error,
    at,
    call,
    chat,
    healthy,
    make_gateway,
    named,
    over,
    talk,
)
from tests.support.asgi import ask

OK = json_answer({"id": "1"})
DOWN = error_answer(503)
ONE_TRY = {"retries": 0}
COOL_DOWN = 0.2


@pytest.fixture(autouse=True)
def _short_cool_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "FIRST_COOL_DOWN", COOL_DOWN)


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


def gateway_to(upstream: FakeUpstream, *names: str, **options: Any) -> Gateway:
    """Two upstreams, unless it is said which: one without another beside it is asked whatever its breaker says."""
    return make_gateway(over(upstream, *(names or "ab")), transport=upstream.transport(), settings=ONE_TRY, **options)


async def open_breaker(gateway: Gateway, upstream: FakeUpstream) -> None:
    """Of ``a``, and of ``b`` for as long as the test lasts."""
    upstream.host("a.test").answer("/chat/completions", DOWN)
    upstream.host("b.test").answer("/chat/completions", error_answer(429, headers=[("retry-after", "60")]))
    for _ in range(breaker.FAILURES):
        await call(gateway)
    assert await breakers(gateway) == {MODEL: "open"}
    upstream.requests.clear()


async def breakers(gateway: Gateway) -> Any:
    return (await healthy(gateway))["a"]["breakers"]


async def until_half_open(gateway: Gateway) -> None:
    async with asyncio.timeout(5):
        while await breakers(gateway) != {MODEL: "half_open"}:
            await asyncio.sleep(0.005)


async def test_an_upstream_that_keeps_failing_is_left_alone(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    await open_breaker(gateway, upstream)

    answer = await call(gateway)

    assert_error(answer, 503, "upstream_unavailable")
    assert answer.header("retry-after") == "1"
    assert upstream.requests == []


async def test_the_next_upstream_answers_meanwhile(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream, "a", "c")
    await open_breaker(gateway, upstream)

    assert (await call(gateway)).status == 200
    assert [request.host for request in upstream.requests] == ["c.test"]


async def test_a_recovery_is_noticed_by_one_probe(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    await open_breaker(gateway, upstream)
    probed = asyncio.Event()

    async def slowly(request: FakeRequest) -> Answer:
        await probed.wait()
        return OK

    upstream.host("a.test").answer("/chat/completions", slowly)
    await until_half_open(gateway)

    probe = asyncio.create_task(call(gateway))
    await upstream.until_requests(1)
    others = [await call(gateway) for _ in range(5)]
    probed.set()

    assert [answer.status for answer in others] == [503] * 5
    assert (await probe).status == 200
    assert len(upstream.requests) == 1
    assert await breakers(gateway) == {}
    assert (await call(gateway)).status == 200


async def test_a_recovery_is_noticed_by_the_first_event_of_a_stream_however_long_it_lasts(
    upstream: FakeUpstream,
) -> None:
    gateway = gateway_to(upstream)
    await open_breaker(gateway, upstream)
    go_on = asyncio.Event()

    async def long() -> Any:
        events = chat_events(chat())
        yield events[0] + events[1]  # a role alone tells nothing yet
        await go_on.wait()
        for event in events[2:]:
            yield event

    upstream.host("a.test").answer("/chat/completions", lambda _: stream_answer(long()), OK)
    await until_half_open(gateway)
    async with talk(gateway) as probing:
        await probing.receive_start()

        assert (await call(gateway)).status == 200
        assert await breakers(gateway) == {}
        go_on.set()
        await probing.receive_rest()


async def test_comments_of_the_gateways_own_are_no_recovery(upstream: FakeUpstream) -> None:
    settings = {**ONE_TRY, "keepalive_comments": 0.02}
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport(), settings=settings)
    await open_breaker(gateway, upstream)

    async def silent() -> Any:
        await asyncio.Event().wait()
        yield b""

    upstream.host("a.test").answer("/chat/completions", lambda _: stream_answer(silent()))
    await until_half_open(gateway)
    async with talk(gateway) as probing:
        await probing.receive_start()
        assert await probing.receive_chunk() == b": keep-alive\n\n"
        assert await breakers(gateway) == {MODEL: "half_open"}


async def test_a_probe_that_fails_starts_the_cool_down_again(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    await open_breaker(gateway, upstream)
    await until_half_open(gateway)

    assert_error(await call(gateway), 503)

    assert await breakers(gateway) == {MODEL: "open"}
    assert_error(await call(gateway), 503)
    assert len(upstream.requests) == 1


async def test_a_probe_whose_client_leaves_decides_nothing(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    await open_breaker(gateway, upstream)

    async def never(request: FakeRequest) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    upstream.host("a.test").answer("/chat/completions", never)
    await until_half_open(gateway)
    async with talk(gateway, chat()) as probing:
        await upstream.until_requests(1)
        probing.disconnect()
        await probing.ended()

    assert await breakers(gateway) == {MODEL: "half_open"}
    upstream.host("a.test").answer("/chat/completions", OK)
    assert (await call(gateway)).status == 200
    assert await breakers(gateway) == {}


async def test_a_probe_with_a_fault_of_its_own_decides_nothing(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    await open_breaker(gateway, upstream)
    await until_half_open(gateway)
    upstream.host("a.test").answer("/chat/completions", error_answer(400))

    assert (await call(gateway)).status == 400
    assert await breakers(gateway) == {MODEL: "half_open"}


# A 403 is of the credential, and remembered as such: case 227.
@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_errors_of_callers_never_trip_it(upstream: FakeUpstream, status: int) -> None:
    gateway = gateway_to(upstream)
    upstream.answer("/chat/completions", error_answer(status))
    for _ in range(3 * breaker.FAILURES):
        assert (await call(gateway)).status == status
    assert await breakers(gateway) == {}


@pytest.mark.parametrize(
    "options", [{"headers": {**ANN, "idempotency-key": "a\0b"}}, {"query": b"x=" + b"y" * 70_000}], ids=["nul", "long"]
)
async def test_requests_that_cannot_be_sent_on_never_trip_it(options: Any) -> None:
    async with FakeUpstream(wire=[answer()]) as upstream:
        gateway = make_gateway([at(upstream, name="a")])
        for _ in range(2 * breaker.FAILURES):
            assert_error(await call(gateway, **options), 400, "invalid_header")
        assert await breakers(gateway) == {}
        assert upstream.requests == []
        await gateway.aclose()


async def test_clients_that_leave_never_trip_it(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    waiting = asyncio.Event()

    async def endless() -> Any:
        yield chat_events(chat())[1]
        await waiting.wait()

    upstream.answer("/chat/completions", lambda _: stream_answer(endless()))
    for _ in range(2 * breaker.FAILURES):
        async with talk(gateway) as talking:
            await talking.receive_start()
    assert await breakers(gateway) == {}


async def test_streams_that_are_cut_after_their_first_event_count(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)

    async def breaks() -> Any:
        yield chat_events(chat())[1]
        raise httpx.ReadError("")

    upstream.answer("/chat/completions", lambda _: stream_answer(breaks()))
    for _ in range(breaker.FAILURES):
        assert b"event: error" in (await call(gateway, chat(stream=True))).body

    assert await breakers(gateway) == {MODEL: "open"}


async def test_an_error_event_late_in_a_stream_does_not_count(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    late = [chat_events(chat())[1], sse({"error": {"message": "No.", "code": "server_error"}})]
    upstream.answer("/chat/completions", stream_answer(late))
    for _ in range(2 * breaker.FAILURES):
        assert (await call(gateway, chat(stream=True))).status == 200
    assert await breakers(gateway) == {}


async def test_an_error_event_late_in_a_stream_is_no_success_either(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    late = [chat_events(chat())[1], sse({"error": {"message": "No.", "code": "server_error"}})]
    upstream.host("a.test").answer("/chat/completions", *[DOWN] * (breaker.FAILURES - 1), stream_answer(late), DOWN)
    for _ in range(breaker.FAILURES + 1):
        await call(gateway, chat(stream=True))
    assert await breakers(gateway) == {MODEL: "open"}


async def test_it_is_of_one_model_at_one_upstream(upstream: FakeUpstream) -> None:
    models = (MODEL, "other")
    upstreams = [named("a", models=models), named("b", models=models)]
    gateway = make_gateway(upstreams, transport=upstream.transport(), settings=ONE_TRY)
    upstream.host("a.test").answer("/chat/completions", *[DOWN] * breaker.FAILURES, OK)
    for _ in range(breaker.FAILURES):
        await call(gateway)

    assert (await healthy(gateway))["a"]["breakers"] == {MODEL: "open"}
    assert (await healthy(gateway))["b"]["breakers"] == {}
    upstream.requests.clear()
    await call(gateway, chat(model="other"))
    assert [request.host for request in upstream.requests] == ["a.test"]


async def test_users_do_not_see_it(upstream: FakeUpstream) -> None:
    gateway = gateway_to(upstream)
    assert_error(await ask(gateway, "GET", "/v1/config/health", headers=ANN), 403)
