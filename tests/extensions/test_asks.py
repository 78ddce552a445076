"""``call.ask``: what a handler asks of other models, as the same user and as parts of the call that it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import openai
import pytest

from openai_gateway_asgi import (
    AttemptFacts,
    AttemptRecord,
    CallFacts,
    Filter,
    Gateway,
    HostModel,
    Limit,
    MemoryLimits,
    ModelCall,
    Usage,
    UsageRecord,
)
from openai_gateway_asgi.testing import json_answer
from tests.cases.gateways import error_of, upstream_a, world

U1 = {"x-test-user": "u1"}
ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 0,
    "model": "m1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40},
}


def asking(model: str = "m1", times: int = 1) -> Any:
    async def asks(call: ModelCall) -> str:
        said = ""
        for _ in range(times):
            answer = await call.ask.chat.completions.create(model=model, messages=list(call.messages))  # type: ignore[arg-type]
            said += answer.choices[0].message.content or ""
        return said

    return asks


async def test_it_asks_as_the_same_user_and_each_call_is_on_record() -> None:
    async with world(host_models=[HostModel("mine", asking())]) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        response = await host.chat("mine", headers=U1)
    assert response.json()["choices"][0]["message"]["content"] == "yes"
    asked, around = host.records
    assert (asked.model, asked.user.id, asked.within) == ("m1", "u1", around.request_id)
    assert (around.model, around.user.id, around.within) == ("mine", "u1", None)


async def test_the_users_own_credentials_hold_for_it() -> None:
    own = upstream_a("m1", api_key="", auth_type="session")
    async with world(own, host_models=[HostModel("mine", asking())]) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        await host.chat("mine", headers={**U1, "authorization": "Bearer of-u1"})
    assert host.upstream.last.header("authorization") == "Bearer of-u1"


async def test_it_may_ask_only_for_what_the_user_may() -> None:
    hidden = {"authorize_model": lambda user, model: model.id == "mine"}
    async with world(host_models=[HostModel("mine", asking())], **hidden) as host:
        response = await host.chat("mine", headers=U1)
    assert (response.status, error_of(response)["code"]) == (404, "model_not_found")
    assert host.upstream.requests == []


async def test_the_gateways_refusal_is_told_and_that_of_another_service_is_not() -> None:
    async def asks_elsewhere(call: ModelCall) -> str:
        import httpx2

        request = httpx2.Request("POST", "http://elsewhere.invalid/")
        response = httpx2.Response(401, request=request)
        raise openai.AuthenticationError("Incorrect API key: sk-own", response=response, body={"message": "sk-own"})

    async with world(host_models=[HostModel("mine", asks_elsewhere)]) as host:
        response = await host.chat("mine")
    assert (response.status, error_of(response)["code"]) == (500, "host_failure")
    assert "sk-own" not in response.text


async def test_a_stream_of_another_model_passes_through() -> None:
    async def passes(call: ModelCall) -> Any:
        return await call.ask.chat.completions.create(model="m1", messages=list(call.messages), stream=True)  # type: ignore[arg-type]

    async with world(host_models=[HostModel("mine", passes)]) as host:
        response = await host.chat("mine", stream=True)
    assert response.text.endswith("data: [DONE]\n\n")
    assert '"model":"mine"' in response.text
    assert '"model":"m1"' not in response.text


# Limits


async def test_its_parts_are_inside_its_place_and_its_one_request() -> None:
    limits = [Limit(concurrent=1, by="user"), Limit(requests=1, per="day", by="user")]
    async with world(host_models=[HostModel("mine", asking(times=3))], limits=limits) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        first = await host.chat("mine")
        second = await host.chat("mine")
    assert first.json()["choices"][0]["message"]["content"] == "yesyesyes"
    assert second.status == 429


async def test_what_only_its_parts_are_under_they_take_themselves() -> None:
    limits = [Limit(requests=5, per="day", by="user"), Limit(requests=1, per="day", by="user", models="m*1")]
    async with world(host_models=[HostModel("mine", asking(times=2))], limits=limits) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        response = await host.chat("mine")
    assert response.status == 429


async def used_after(handler: Any, **more: Any) -> int:
    """Tokens of the day that one call used in all, its parts among them."""
    store = MemoryLimits()
    limits = [Limit(tokens=100_000, per="day", by="user")]
    async with world(host_models=[HostModel("mine", handler)], limits=limits, limit_store=store) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        await host.chat("mine", **more)
        standing = (await host.ask("GET", "/limits")).json()
    (limit,) = standing["data"]
    return int(limit["used"])


async def test_its_parts_are_charged_and_it_is_charged_beyond_them() -> None:
    async def tells(call: ModelCall) -> AsyncIterator[object]:
        await asking(times=2)(call)
        yield "done"
        yield Usage(input=70, output=30)

    assert await used_after(tells) == 100


async def test_usage_below_what_its_parts_were_charged_gives_nothing_back() -> None:
    async def tells_little(call: ModelCall) -> AsyncIterator[object]:
        await asking(times=2)(call)
        yield Usage(input=1, output=1)

    assert await used_after(tells_little) == 80


async def test_a_handler_that_tells_nothing_of_itself_used_what_its_parts_did() -> None:
    assert await used_after(asking(times=2)) == 80


async def test_parts_of_parts_are_counted_once() -> None:
    async def inner(call: ModelCall) -> AsyncIterator[object]:
        await asking("m1")(call)
        yield Usage(input=50, output=10)

    async def outer(call: ModelCall) -> AsyncIterator[object]:
        await asking("inner")(call)
        yield Usage(input=60, output=10)

    store, limits = MemoryLimits(), [Limit(tokens=100_000, per="day", by="user")]
    models = [HostModel("inner", inner), HostModel("outer", outer)]
    async with world(host_models=models, limits=limits, limit_store=store) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        await host.chat("outer")
        (limit,) = (await host.ask("GET", "/limits")).json()["data"]
    assert limit["used"] == 70


async def test_its_parts_use_first_what_it_has_reserved() -> None:
    limits = [Limit(tokens=1500, per="day", by="user")]  # each estimates an answer at 1,000 tokens
    async with world(host_models=[HostModel("mine", asking(times=3))], limits=limits) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        first = await host.chat("mine")
        (limit,) = (await host.ask("GET", "/limits")).json()["data"]
    assert first.json()["choices"][0]["message"]["content"] == "yesyesyes"
    assert limit["used"] == 120


@pytest.mark.parametrize(("tokens", "told", "used"), [(1500, "refused", 50), (2500, "yes", 90)])
async def test_parts_at_once_share_what_it_has_reserved_and_take_the_rest_themselves(
    tokens: int, told: str, used: int
) -> None:
    under_way, other_is_over = asyncio.Event(), asyncio.Event()

    async def slow(call: ModelCall) -> AsyncIterator[object]:
        under_way.set()
        await other_is_over.wait()
        yield Usage(input=40, output=10)

    async def at_once(call: ModelCall) -> str:
        first = asyncio.create_task(asking("slow")(call))
        await under_way.wait()
        try:
            second: str = await asking()(call)
        except openai.RateLimitError:
            second = "refused"
        other_is_over.set()
        await first
        return second

    models = [HostModel("mine", at_once), HostModel("slow", slow)]
    async with world(host_models=models, limits=[Limit(tokens=tokens, per="day", by="user")]) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        response = await host.chat("mine")
        (limit,) = (await host.ask("GET", "/limits")).json()["data"]
    assert response.json()["choices"][0]["message"]["content"] == told
    assert limit["used"] == used


async def test_parts_of_parts_use_what_the_first_call_has_reserved() -> None:
    models = [HostModel("inner", asking("m1")), HostModel("outer", asking("inner"))]
    async with world(host_models=models, limits=[Limit(tokens=1500, per="day", by="user")]) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        assert (await host.chat("outer")).status == 200
        (limit,) = (await host.ask("GET", "/limits")).json()["data"]
    assert limit["used"] == 40


async def test_what_is_asked_when_the_call_is_over_takes_places_and_requests_of_its_own() -> None:
    later: list[asyncio.Task[str]] = []

    async def goes_on(call: ModelCall) -> str:
        async def when_it_is_over() -> str:
            await over.wait()
            said: str = await asking()(call)
            return said

        later.append(asyncio.create_task(when_it_is_over()))
        return "done"

    over = asyncio.Event()
    limits = [Limit(requests=2, per="day", by="user")]
    async with world(host_models=[HostModel("mine", goes_on)], limits=limits) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        await host.chat("mine")
        over.set()
        assert await later[0] == "yes"
        assert (await host.chat("m1")).status == 429


async def test_its_parts_belong_to_the_trace_of_the_call() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    class Tracing:
        def call_started(self, call: CallFacts) -> Tracing:
            started.append(call.trace_id)
            return self

        def attempt_started(self, attempt: AttemptFacts) -> Mapping[str, str]:
            return {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"} if attempt.upstream == "host:mine" else {}

        def attempt_ended(self, attempt: AttemptRecord) -> None:
            pass

        def finished(self, record: UsageRecord) -> None:
            pass

    started: list[str | None] = []
    async with world(host_models=[HostModel("mine", asking())]) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        host.gateway.observe(Tracing())
        await host.chat("mine")
    assert started == [None, trace]


async def test_filters_see_the_call_and_its_parts() -> None:
    seen: list[str] = []
    looks = Filter(before=lambda call: seen.append(call.model))
    async with world(host_models=[HostModel("mine", asking())], filters=[looks]) as host:
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        await host.chat("mine")
    assert seen == ["mine", "m1"]


# Where it must stop


async def test_a_handler_that_asks_itself_is_a_508() -> None:
    async with world(host_models=[HostModel("mine", asking("mine"))]) as host:
        response = await host.chat("mine")
    assert (response.status, error_of(response)["code"]) == (508, "loop_detected")


async def test_through_others_or_by_the_gateways_client_it_is_one_too() -> None:
    gateways: list[Gateway] = []

    async def through_the_gateway(call: ModelCall) -> str:
        client = gateways[0].openai(call.user)
        answer = await client.chat.completions.create(model="c", messages=list(call.messages))
        return answer.choices[0].message.content or ""

    models = [HostModel("a", asking("b")), HostModel("b", asking("a")), HostModel("c", through_the_gateway)]
    async with world(host_models=models) as host:
        gateways.append(host.gateway)
        assert [(await host.chat(id)).status for id in "abc"] == [508, 508, 508]


@pytest.mark.parametrize(("deep", "status"), [(8, 200), (9, 508)])
async def test_a_chain_of_handlers_has_a_depth(deep: int, status: int) -> None:
    async def last(call: ModelCall) -> str:
        return "here"

    models = [HostModel(f"h{number}", asking(f"h{number + 1}")) for number in range(1, deep)]
    async with world(host_models=[*models, HostModel(f"h{deep}", last)]) as host:
        response = await host.chat("h1")
    assert response.status == status


async def test_the_same_handler_twice_side_by_side_is_no_loop() -> None:
    async def twice(call: ModelCall) -> str:
        return "".join(await asyncio.gather(asking("h")(call), asking("h")(call)))

    async def helper(call: ModelCall) -> str:
        await asyncio.sleep(0)
        return "x"

    async with world(host_models=[HostModel("mine", twice), HostModel("h", helper)]) as host:
        response = await host.chat("mine")
    assert response.json()["choices"][0]["message"]["content"] == "xx"


async def test_what_was_let_in_before_the_drain_may_still_ask() -> None:
    gateways: list[Gateway] = []

    async def drains(call: ModelCall) -> str:
        gateways[0].begin_drain(5)
        said: str = await asking()(call)
        return said

    async with world(host_models=[HostModel("mine", drains)]) as host:
        gateways.append(host.gateway)
        host.upstream.answer("/chat/completions", json_answer(ANSWER))
        response = await host.chat("mine")
        refused = await host.chat("mine")
    assert (response.status, refused.status) == (200, 503)


async def test_when_the_call_is_left_its_parts_end() -> None:
    ended = asyncio.Event()

    async def never(call: ModelCall) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    models = [HostModel("outer", asking("inner")), HostModel("inner", never)]
    async with world(host_models=models) as host:
        async with host.conversation("/chat/completions", {"model": "outer", "messages": [{"role": "user"}]}) as talk:
            await asyncio.sleep(0.05)
            talk.disconnect()
            await asyncio.wait_for(ended.wait(), 1)
    assert [record.model for record in host.records] == ["inner", "outer"]
