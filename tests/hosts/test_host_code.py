"""Models, filters and calls of a host's own code, on every host: through the official SDK and through the gateway's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from openai_gateway_asgi import (
    Filter,
    FilterCall,
    FilterEvent,
    Gateway,
    HostModel,
    ModelCall,
    PermissionDenied,
    Reasoning,
    Upstream,
    Usage,
    UsageRecord,
    everyone,
)
from openai_gateway_asgi.testing import FakeUpstream
from tests.hosts.apps import HOSTS, PLACEMENTS, USERS, resolve_user, served

ASKED: Any = [{"role": "user", "content": "hello you"}]
ADA = USERS["ada-token"]
BY_NAME = [placement for placement in PLACEMENTS if placement.how == "prefix"]


async def agent(call: ModelCall) -> AsyncIterator[object]:
    yield Reasoning("Hm. ")
    yield f"{call.user.id} said "
    for word in call.messages[-1]["content"].split():
        await asyncio.sleep(0)
        yield word + " "
    yield Usage(input=3, output=5)


async def asks(call: ModelCall) -> AsyncIterator[object]:
    stream = await call.ask.chat.completions.create(
        model="agent", messages=call.messages, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        yield chunk


def shouts(call: FilterCall, event: FilterEvent) -> FilterEvent:
    return event.with_texts(str.upper)


def refuses(call: FilterCall) -> None:
    if any("forbidden" in text for text in call.texts()):
        raise PermissionDenied("Not that.", code="refused_prompt")


def make(records: list[UsageRecord]) -> Gateway:
    return Gateway(
        [Upstream("http://upstream.test/v1", api_key="sk-upstream", model_ids=["tiny-chat"])],
        resolve_user=resolve_user,
        authorize_model=everyone,
        host_models=[HostModel("agent", agent), HostModel("asks", asks)],
        filters=[Filter(before=refuses), Filter("asks", event=shouts)],
        record_usage=records.append,
        transport=FakeUpstream(["tiny-chat"]).transport(),
    )


@pytest.fixture(params=[*(host.name for host in HOSTS), "in process"])
async def clients(request: pytest.FixtureRequest) -> AsyncIterator[tuple[openai.AsyncOpenAI, list[UsageRecord]]]:
    records: list[UsageRecord] = []
    gateway = make(records)
    if request.param == "in process":
        async with gateway.lifespan():
            yield gateway.openai(ADA), records
        return
    placement = next(each for each in BY_NAME if each.host.name == request.param)
    async with served(placement, gateway) as place, place.client("ada-token") as client:
        yield client, records


Clients = tuple[openai.AsyncOpenAI, list[UsageRecord]]


@pytest.mark.parametrize(("model", "text"), [("agent", "ada said hello you "), ("asks", "ADA SAID HELLO YOU ")])
async def test_a_chat_is_answered_whole_and_streamed(clients: Clients, model: str, text: str) -> None:
    client, records = clients
    whole = await client.chat.completions.create(model=model, messages=ASKED)
    pieces, usage = [], None
    async for chunk in await client.chat.completions.create(
        model=model, messages=ASKED, stream=True, stream_options={"include_usage": True}
    ):
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        usage = chunk.usage or usage
    assert whole.choices[0].message.content == "".join(pieces) == text
    assert whole.usage is not None
    assert usage is not None
    assert (whole.usage.total_tokens, usage.total_tokens) == (8, 8)
    assert len(pieces) > 4
    assert {(record.user.id, record.outcome) for record in records} == {("ada", "completed")}


async def test_a_response_is_answered_whole_and_streamed(clients: Clients) -> None:
    client, _ = clients
    whole = await client.responses.create(model="agent", input="hello you")
    said = ""
    async for event in await client.responses.create(model="agent", input="hello you", stream=True):
        said += event.delta if event.type == "response.output_text.delta" else ""
    assert whole.output_text == said == "ada said hello you "


async def test_models_of_the_hosts_own_are_listed(clients: Clients) -> None:
    client, _ = clients
    assert [model.id async for model in client.models.list()] == ["agent", "asks", "tiny-chat"]


@pytest.mark.parametrize("model", ["agent", "tiny-chat"])
async def test_a_refusal_of_a_filters_is_the_sdks_error(clients: Clients, model: str) -> None:
    client, records = clients
    with pytest.raises(openai.PermissionDeniedError) as raised:
        await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "forbidden"}])
    assert raised.value.code == "refused_prompt"
    assert records[-1].attempts == 0


async def test_who_stops_reading_ends_the_handler(clients: Clients) -> None:
    client, records = clients
    stream = await client.chat.completions.create(model="agent", messages=ASKED, stream=True)
    with contextlib.suppress(StopAsyncIteration):
        await anext(aiter(stream))
    await stream.close()
    async with asyncio.timeout(5):
        while not records:
            await asyncio.sleep(0.01)
    assert len(records) == 1
