"""``gateway.openai(user)``: the SDK's client, wired to the gateway without a socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import openai
import pytest
from starlette.requests import Request

from openai_gateway_asgi import HostModel, Limit, ModelCall, Outcome, Upstream, User
from openai_gateway_asgi.extensions.in_process import BASE_URL, client_of
from openai_gateway_asgi.extensions.inner_calls import Within
from openai_gateway_asgi.testing import json_answer
from tests.cases.gateways import EAGER, MESSAGES, upstream_a, world
from tests.support.asgi import make_scope

ASKS: Any = MESSAGES
ADA = User(id="ada")


async def test_a_call_is_answered_as_over_a_socket_and_is_on_record_as_the_users() -> None:
    async with world() as host:
        answer = await host.gateway.openai(ADA).chat.completions.create(model="m1", messages=ASKS)
    assert answer.choices[0].message.content
    (record,) = host.records
    assert (record.user, record.model, record.outcome) == (ADA, "m1", Outcome.COMPLETED)


async def test_a_stream_comes_as_it_is_made() -> None:
    turn = asyncio.Semaphore(0)

    async def in_turns(call: ModelCall) -> AsyncIterator[str]:
        for word in ("one", "two"):
            yield word
            await turn.acquire()

    async with world(host_models=[HostModel("mine", in_turns)]) as host:
        stream = await host.gateway.openai(ADA).chat.completions.create(model="mine", messages=ASKS, stream=True)
        said = []
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                said.append(chunk.choices[0].delta.content)
                turn.release()
    assert said == ["one", "two"]


async def test_who_stops_reading_stops_the_upstream() -> None:
    ended = asyncio.Event()

    async def never(call: ModelCall) -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with world(host_models=[HostModel("mine", never)]) as host:
        stream = await host.gateway.openai(ADA).chat.completions.create(model="mine", messages=ASKS, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
        assert ended.is_set()
        assert host.records[0].outcome is Outcome.CLIENT_GONE


@pytest.mark.parametrize("streamed", [True, False])
async def test_who_is_cancelled_stops_the_upstream(streamed: bool) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def never(call: ModelCall) -> AsyncIterator[str]:
        try:
            began.set()
            await asyncio.Event().wait()
            yield ""
        finally:
            ended.set()

    async with world(host_models=[HostModel("mine", never)]) as host:
        client = host.gateway.openai(ADA)
        call: Any = client.chat.completions.create(model="mine", messages=ASKS, stream=streamed)
        asking = asyncio.ensure_future(call)
        await began.wait()
        cancelled_at = asyncio.get_running_loop().time()
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(ended.wait(), 1)
        assert asyncio.get_running_loop().time() - cancelled_at < 0.15


async def test_the_sdks_time_limit_holds() -> None:
    async def never(call: ModelCall) -> str:
        await asyncio.Event().wait()
        return ""

    async with world(host_models=[HostModel("mine", never)]) as host:
        client = host.gateway.openai(ADA).with_options(timeout=0.05, max_retries=0)
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="mine", messages=ASKS)


async def test_access_holds_and_lists_show_what_the_user_may_call() -> None:
    async with world(upstream_a("m1", "m2"), authorize_model=lambda user, model: model.id == "m1") as host:
        client = host.gateway.openai(ADA)
        listed = [model.id async for model in client.models.list()]
        with pytest.raises(openai.NotFoundError) as raised:
            await client.chat.completions.create(model="m2", messages=ASKS)
    assert listed == ["m1"]
    assert raised.value.code == "model_not_found"


async def test_limits_hold() -> None:
    async with world(limits=[Limit(requests=1, per="hour", by="user")]) as host:
        client = host.gateway.openai(ADA).with_options(max_retries=0)
        await client.chat.completions.create(model="m1", messages=ASKS)
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="m1", messages=ASKS)


async def test_an_error_after_text_is_the_sdks_error() -> None:
    async def fails(call: ModelCall) -> AsyncIterator[str]:
        yield "so far"
        raise ValueError

    async with world(host_models=[HostModel("mine", fails)]) as host:
        stream = await host.gateway.openai(ADA).chat.completions.create(model="mine", messages=ASKS, stream=True)
        with pytest.raises(openai.APIError) as raised:
            async for _ in stream:
                pass
    assert raised.value.code == "host_failure"


async def test_files_are_uploaded_as_they_are_read() -> None:
    async with world(upstream_a("whisper-1")) as host:
        host.upstream.answer("/audio/transcriptions", json_answer({"text": "hi"}))
        heard = await host.gateway.openai(ADA).audio.transcriptions.create(
            model="whisper-1", file=("a.wav", b"x" * 100_000)
        )
    assert heard.text == "hi"
    assert len(host.upstream.last.body) > 100_000


async def test_nothing_of_the_sdks_own_goes_upstream() -> None:
    """Its stand-in for a key above all: an upstream that is called with its caller's own token gets none."""
    async with world(Upstream("http://a/v1", auth_type="session", model_ids=["m1"]), settings=EAGER) as host:
        with pytest.raises(openai.AuthenticationError):
            await host.gateway.openai(ADA).chat.completions.create(model="m1", messages=ASKS)
        assert host.upstream.requests == []


async def test_within_a_request_its_own_credentials_are_the_users() -> None:
    scope = make_scope("GET", "/page", headers={"authorization": "Bearer of-ada", "accept": "text/html"})
    async with world(Upstream("http://a/v1", auth_type="session", model_ids=["m1"])) as host:
        client = host.gateway.openai(ADA, request=Request(scope))
        await client.chat.completions.create(model="m1", messages=ASKS)
    assert host.upstream.last.header("authorization") == "Bearer of-ada"
    assert "text/html" not in (host.upstream.last.header("accept") or "")


@pytest.mark.parametrize("library", [httpx, httpx2])
async def test_clients_of_httpx_and_of_httpx2_are_served_alike(library: Any) -> None:
    """Which of them the SDK is made of depends on its version."""
    async with world() as host:
        body = {"model": "m1", "messages": MESSAGES, "stream": True}
        async with client_of(library)(host.gateway._serve_inside, Within(ADA)) as client:
            async with client.stream("POST", BASE_URL + "/chat/completions", json=body) as answer:
                events = [line async for line in answer.aiter_lines() if line]
            missing = await client.get(BASE_URL + "/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert len(events) > 3
    assert events[-1] == "data: [DONE]"
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


async def test_who_is_no_user_gets_no_client() -> None:
    async with world() as host:
        with pytest.raises(TypeError, match="User"):
            host.gateway.openai("ada")  # type: ignore[arg-type]


async def test_a_gateway_that_breaks_off_is_a_lost_connection() -> None:
    """As over a socket: what was cut short never looks like an end."""
    async with world() as host:
        host.upstream.answer("/audio/speech", json_answer({}))
        host.upstream.script(cut_after=1)
        stream = host.gateway.openai(ADA).chat.completions.create(model="m1", messages=ASKS, stream=True)
        with pytest.raises(openai.APIError):
            async for _ in await stream:
                pass
