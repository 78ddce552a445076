"""What a client meets is the same wherever the gateway is: the official SDK, over sockets, in every host and place."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from openai import AuthenticationError, NotFoundError, OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from openai_gateway_asgi import Gateway
from openai_gateway_asgi.testing import FakeUpstream
from tests.hosts.apps import HOSTS, Place, Placement, served

HELLO: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Hello?"}]


async def test_a_chat_is_answered_whole(place: Place, upstream: FakeUpstream) -> None:
    async with place.client("bob-token") as client:
        answer = await client.chat.completions.create(model="tiny-chat", messages=HELLO)

    assert answer.choices[0].message.content == "Hello from upstream."
    assert upstream.last.path == "/v1/chat/completions"
    assert upstream.last.header("authorization") == "Bearer sk-upstream"


async def test_a_chat_is_streamed(place: Place) -> None:
    async with place.client("bob-token") as client:
        stream = await client.chat.completions.create(model="tiny-chat", messages=HELLO, stream=True)
        words = [chunk.choices[0].delta.content async for chunk in stream]

    assert words == ["", "Hello", " from", " upstream", ".", None]


async def test_each_user_sees_the_models_that_are_theirs(place: Place) -> None:
    async with place.client("ada-token") as ada, place.client("bob-token") as bob:
        assert [model.id async for model in ada.models.list()] == ["tiny-chat", "org/large", "secret"]
        assert [model.id async for model in bob.models.list()] == ["tiny-chat", "org/large"]


async def test_a_model_with_a_slash_is_found_encoded_or_not(place: Place) -> None:
    async with place.client("bob-token") as client:
        encoded = await client.models.retrieve("org/large")
        as_it_is = await client.get("/models/org/large", cast_to=httpx.Response)

    assert encoded.id == as_it_is.json()["id"] == "org/large"


async def test_a_stranger_is_refused(place: Place, upstream: FakeUpstream) -> None:
    async with place.client("stolen-token") as client:
        with pytest.raises(AuthenticationError):
            await client.chat.completions.create(model="tiny-chat", messages=HELLO)

    assert upstream.requests == []


async def test_a_denied_model_is_not_found(place: Place, upstream: FakeUpstream) -> None:
    async with place.client("bob-token") as client:
        with pytest.raises(NotFoundError) as refusal:
            await client.chat.completions.create(model="secret", messages=HELLO)

    assert refusal.value.code == "model_not_found"
    assert upstream.calls("/chat/completions") == []


async def test_paths_and_methods_the_api_does_not_have_are_refused_in_its_own_shape(place: Place) -> None:
    async with httpx.AsyncClient(
        verify=False, trust_env=False, headers={"authorization": "Bearer ada-token"}
    ) as client:
        unknown = await client.get(f"{place.url}/nothing")
        wrong_method = await client.get(f"{place.url}/embeddings")

    assert unknown.status_code == 404
    assert wrong_method.status_code == 405
    assert wrong_method.headers["allow"] == "POST"
    for answer in (unknown, wrong_method):
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


async def test_the_blocking_client_is_answered_as_well(gateway: Gateway) -> None:
    async with served(Placement(HOSTS[0], "prefix", "h11"), gateway) as place:

        def ask() -> str | None:
            with OpenAI(base_url=place.url, api_key="bob-token", max_retries=0) as client:
                return client.chat.completions.create(model="tiny-chat", messages=HELLO).choices[0].message.content

        assert await asyncio.to_thread(ask) == "Hello from upstream."
