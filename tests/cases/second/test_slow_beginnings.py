"""Case 237: an upstream that is slow to begin is given up for one that may not be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from openai_gateway_asgi import GatewayConfig, Timeouts, Upstream, config_from_data, config_to_data
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.timeouts import Unchosen
from openai_gateway_asgi.rewrites.thinking import thinks_first
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import EVENTS, Call, WireScript, answer, hang, head
from tests.reliability.gateways import (
    ANN,
    at,
    chat,
    healthy,
    make_gateway,
)
from tests.reliability.gateways import (
    CHAT as CHAT_PATH,
)
from tests.support.asgi import Response, ask
from tests.support.leaks import lasting

from .streams import BOTH, CHAT, PING, RESPONSES, Api, error_event_of, stream, told_by

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.name)
EAGER = Timeouts(failover_after=0.3)
PATIENT = 5.0
"""Seconds, in place of minutes, that an upstream takes that is merely slow."""


async def head_alone(call: Call) -> None:
    await call.read_body()
    await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))))
    await call.until_peer_closes()


def after(seconds: float, then: WireScript) -> WireScript:
    async def wait(call: Call) -> None:
        await call.read_body()
        await asyncio.sleep(seconds)
        await then(call)

    return wait


@both
@pytest.mark.parametrize("fallback", [False, True], ids=["candidate", "fallback"])
@pytest.mark.parametrize("slow", [hang, head_alone], ids=["silent", "head alone"])
async def test_case_237_the_next_one_is_asked(slow: WireScript, fallback: bool, api: Api) -> None:
    async with told_by(slow, stream(*api.events), timeouts=EAGER, fallback=fallback) as told:
        async with lasting(0.3, 0.9):
            assert (await told.ask(api)).body == api.whole
        assert told.asked == [1, 1]
        await told.upstreams[0].connections[0].closed()  # without hedging
        (record,) = told.records
        first, second = record.tries
        assert first.failure is not None
        assert (first.failure.name, second.failure) == ("SLOW", None)


def test_case_237_by_default_after_twelve_seconds() -> None:
    assert Timeouts().failover_after == 12


async def test_case_237_completions_too() -> None:
    texts = Api("completions", "/v1/completions", CHAT.events, 0, {"prompt": "x"})
    async with told_by(hang, stream(*texts.events), timeouts=EAGER) as told:
        assert (await told.ask(texts)).body == texts.whole


@both
async def test_case_237_it_is_held_against_nobody(api: Api) -> None:
    async with told_by(hang, stream(*api.events), timeouts=Timeouts(failover_after=0.1)) as told:
        for _ in range(7):
            assert (await told.ask(api)).body == api.whole
        assert told.asked == [7, 7]
        assert (await healthy(told.gateway))["u0"]["breakers"] == {}


@both
async def test_case_237_the_first_comment_or_event_stops_it(api: Api) -> None:
    for first in (PING, api.events[0]):
        gate = asyncio.Event()
        slow = stream(first, *api.events, gates={1: gate})
        async with told_by(slow, stream(*api.events), timeouts=EAGER) as told:
            asyncio.get_running_loop().call_later(0.8, gate.set)
            assert (await told.ask(api)).body == first + api.whole
            assert told.asked == [1, 0]


async def asked(told: Any, path: str = CHAT_PATH, **fields: Any) -> Response:
    return await ask(told.gateway, "POST", path, json={**chat(stream=True), **fields}, headers=ANN)


WAITED_FOR = Timeouts(failover_after=0.1, first_event=0.6, answer=0.6)
"""Whoever is waited for answers in half a second."""


def late(api: Api = CHAT) -> WireScript:
    return after(0.4, stream(*api.events))


async def test_case_237_not_where_nobody_else_is_left() -> None:
    async with told_by(late(), timeouts=WAITED_FOR) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [1]
    async with told_by(hang, late(), timeouts=WAITED_FOR) as told:  # of the last one neither
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [1, 1]


async def test_case_237_not_for_what_is_no_stream() -> None:
    whole = after(0.4, answer(200, body=b'{"id": "1"}'))
    async with told_by(whole, answer(200, body=b"{}"), timeouts=WAITED_FOR) as told:
        assert (await asked(told, stream=False)).body == b'{"id": "1"}'
        assert told.asked == [1, 0]


async def test_case_237_not_for_other_operations() -> None:
    image = b'data: {"type":"image_generation.completed"}\n\n'
    async with told_by(after(0.4, stream(image)), stream(image), timeouts=WAITED_FOR) as told:
        assert (await asked(told, "/v1/images/generations", prompt="x")).body == image
        assert told.asked == [1, 0]


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_effort": "high"},
        {"thinking": {"type": "enabled", "budget_tokens": 1000}},
        {"reasoning": {"effort": "low"}},
        {"reasoning": {"max_tokens": 2000}},
        {"enable_thinking": True},
    ],
)
async def test_case_237_not_where_the_body_asks_for_thoughts(fields: dict[str, Any]) -> None:
    async with told_by(late(), stream(*CHAT.events), timeouts=WAITED_FOR) as told:
        assert (await asked(told, **fields)).body == CHAT.whole
        assert told.asked == [1, 0]


@pytest.mark.parametrize("fields", [{"reasoning_effort": "none"}, {"reasoning_effort": None}, {"reasoning": None}, {"thinking": {"type": "disabled"}}, {"reasoning": {"effort": "none"}}])  # fmt: skip
async def test_case_237_but_where_it_asks_for_none(fields: dict[str, Any]) -> None:
    async with told_by(hang, stream(*CHAT.events), timeouts=EAGER) as told:
        assert (await asked(told, **fields)).body == CHAT.whole


THINKING = """o3 o4-mini gpt-5 gpt-5.1-mini openai/o3 us.openai.gpt-6 deepseek-reasoner deepseek/deepseek-reasoner
    deepseek-r1 deepseek-r1-distill-llama-70b DeepSeek-R1 deepseek/deepseek-r1:free gemini-2.5-pro google/gemini-2.5-flash
    gemini-3-pro-preview gemini-4-flash qwq-32b qwen/qwq-32b:free qwen3-235b-a22b-thinking-2507 claude-3.7-sonnet:thinking
    grok-4 x-ai/grok-3-mini magistral-small-2506 mistralai/magistral-medium kimi-k2-thinking phi-4-reasoning""".split()
PLAIN = """gpt-4o gpt-4o-mini gpt-5-chat-latest llama-3.3-70b mistral-large gemini-2.0-flash gemini-1.5-pro deepseek-chat
    qwen-2.5-72b claude-sonnet-4 command-r-plus gpt""".split()


@pytest.mark.parametrize("model", [*THINKING, *PLAIN])
def test_case_237_which_models_think_first(model: str) -> None:
    assert thinks_first(model, None, Payload({})) is (model in THINKING)


def test_case_237_an_upstream_may_name_its_own() -> None:
    assert thinks_first("my-thinker", ("my-*",), Payload({}))
    assert thinks_first("deepseek-r1", ("my-*",), Payload({}))
    assert not thinks_first("o3", (), Payload({}))


@pytest.mark.parametrize("model", ["deepseek-r1", "gemini-2.5-pro", "o3"])
async def test_case_237_not_for_models_that_think_first(model: str) -> None:
    async with FakeUpstream(wire=[late()]) as a, FakeUpstream(wire=[stream(*CHAT.events)]) as b:
        upstreams = [at(each, name=name, models=[model]) for each, name in ((a, "a"), (b, "b"))]
        gateway = make_gateway(upstreams, timeouts=WAITED_FOR)
        body = {"model": model, "messages": [{"role": "user", "content": "x"}], "stream": True}
        assert (await ask(gateway, "POST", CHAT_PATH, json=body, headers=ANN)).body == CHAT.whole
        assert [len(each.requests) for each in (a, b)] == [1, 0]
        await gateway.aclose()


async def local(
    timeouts: Timeouts | None, own: Timeouts | None, scripts: Sequence[WireScript]
) -> tuple[Response, list[int]]:
    async with FakeUpstream(wire=[scripts[0]]) as a, FakeUpstream(wire=[scripts[1]]) as b:
        upstreams = [at(a, name="a", connection_type="local", timeouts=own), at(b, name="b")]
        gateway = make_gateway(upstreams, timeouts=timeouts or Timeouts())
        got = await ask(gateway, "POST", CHAT_PATH, json=chat(stream=True), headers=ANN)
        await gateway.aclose()
        return got, [len(each.requests) for each in (a, b)]


async def test_case_237_a_local_model_may_have_to_load_unless_it_is_set() -> None:
    brief = Timeouts(failover_after=Unchosen(0.1))
    scripts = (late(), stream(*CHAT.events))
    assert (await local(brief, None, scripts))[1] == [1, 0]
    assert (await local(Timeouts(failover_after=0.1), None, scripts))[1] == [1, 1]
    assert (await local(brief, Timeouts(failover_after=0.1), scripts))[1] == [1, 1]


async def test_case_237_none_switches_it_off() -> None:
    clocks = Timeouts(failover_after=None, first_event=0.6)
    async with told_by(late(), stream(*CHAT.events), timeouts=clocks) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [1, 0]


async def test_case_237_not_where_a_post_must_not_be_executed_twice() -> None:
    async with told_by(late(), stream(*CHAT.events), timeouts=WAITED_FOR, settings={"retry_executed": False}) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [1, 0]
    async with told_by(late(RESPONSES), stream(*RESPONSES.events), timeouts=WAITED_FOR) as told:
        assert (await told.ask(RESPONSES, background=True)).body == RESPONSES.whole
        assert told.asked == [1, 0]


async def test_case_237_not_where_the_only_other_one_is_left_alone() -> None:
    limited = answer(
        429, ((b"Content-Type", b"application/json"), (b"Retry-After", b"30")), b'{"error":{"message":"x"}}'
    )
    async with told_by([after(0.0, hang), late()], limited, timeouts=WAITED_FOR, settings={"retries": 0}) as told:
        assert (await told.ask(CHAT)).status == 429  # the other one rests from here on
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [2, 1]


async def test_case_237_with_the_early_head_of_comments_out_it_holds_as_well() -> None:
    settings = {"keepalive_comments": 0.1}
    async with told_by(hang, stream(*CHAT.events), timeouts=EAGER, settings=settings) as told:
        body = (await told.ask(CHAT)).body
        assert body.startswith(b": keep-alive")
        assert body.endswith(CHAT.whole)
    clocks = Timeouts(failover_after=0.1, first_event=0.3)
    async with told_by(hang, hang, timeouts=clocks, settings=settings) as told:
        assert error_event_of((await told.ask(CHAT)).body)["code"] == "upstream_timeout"


def test_case_237_the_wire_keeps_what_was_chosen() -> None:
    chosen = [Timeouts(failover_after=None), Timeouts(failover_after=12), Timeouts(idle=9)]
    config = GatewayConfig(True, [Upstream("http://a.test", timeouts=each) for each in chosen])
    entries = config_to_data(config)["OPENAI_API_CONFIGS"]
    kept = [entries[str(number)]["timeouts"].get("failover_after", "unchosen") for number in range(3)]
    assert kept == [None, 12, "unchosen"]
    again = config_from_data(json.loads(json.dumps(config_to_data(config))))
    for before, after_all in zip(config.upstreams, again.upstreams, strict=True):
        assert before.timeouts is not None
        assert after_all.timeouts is not None
        assert before.timeouts.failover_for("local") == after_all.timeouts.failover_for("local")
