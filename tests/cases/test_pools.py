"""One model on several upstreams (case 139)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from openai_gateway_asgi import Gateway
from openai_gateway_asgi.testing import Answer, FakeUpstream, error_answer, stream_answer
from openai_gateway_asgi.testing.answers import chat_events
from tests.reliability.gateways import call, chat, healthy, make_gateway, over

WHOLE = chat_events(chat(stream=True))


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream()


@pytest.fixture
def gateway(upstream: FakeUpstream) -> Gateway:
    return make_gateway(over(upstream, "a", "b"), transport=upstream.transport())


def asked(upstream: FakeUpstream) -> list[str]:
    return [request.host for request in upstream.requests]


@pytest.mark.parametrize("stream", [False, True])
async def test_case_139_when_a_refuses_b_answers_and_nothing_of_a_is_seen(
    gateway: Gateway, upstream: FakeUpstream, stream: bool
) -> None:
    upstream.host("a.test").answer("/chat/completions", error_answer(401, "Of A."))

    answer = await call(gateway, chat(stream=stream))

    assert answer.status == 200
    assert asked(upstream) == ["a.test", "b.test"]
    assert b"Of A." not in answer.body
    if stream:
        assert answer.body == b"".join(WHOLE)


async def test_case_139_after_the_first_byte_nobody_else_is_asked(gateway: Gateway, upstream: FakeUpstream) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield WHOLE[1]
        raise httpx.ReadError("")

    upstream.host("a.test").answer("/chat/completions", lambda _: stream_answer(breaks()))

    answer = await call(gateway, chat(stream=True))

    assert answer.body.startswith(WHOLE[1] + b"event: error")
    assert asked(upstream) == ["a.test"]


def limited(seconds: str) -> Answer:
    return error_answer(429, headers=[("retry-after", seconds)])


async def test_case_139_a_429_for_long_is_answered_by_b_and_cools_a_down(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    upstream.host("a.test").answer("/chat/completions", limited("30"))

    assert [(await call(gateway)).status for _ in range(3)] == [200, 200, 200]
    assert asked(upstream) == ["a.test", "b.test", "b.test", "b.test"]
    assert (await healthy(gateway))["a"]["breakers"] == {"gpt": "open"}


async def test_case_139_a_429_for_a_moment_is_waited_out_at_a(gateway: Gateway, upstream: FakeUpstream) -> None:
    """The case has B tried at once; up to two seconds are waited instead, and A keeps what it has in its caches."""
    upstream.host("a.test").answer("/chat/completions", limited("0.05"), stream_answer(WHOLE))

    assert (await call(gateway, chat(stream=True))).status == 200
    assert asked(upstream) == ["a.test", "a.test"]
