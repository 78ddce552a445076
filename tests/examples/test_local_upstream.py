"""The local upstream of the examples, called by the real SDK over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from examples import local_upstream
from tests.support.servers import serve, serve_program

QUESTION: Any = {"model": "tiny-chat", "messages": [{"role": "user", "content": "hello"}]}
ANSWER = 'You said "hello". This is tiny-chat, answering one word at a time.'


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncOpenAI]:
    monkeypatch.setattr(local_upstream, "PAUSE", 0)
    async with serve(local_upstream.app) as server:
        async with AsyncOpenAI(base_url=server.url + "/v1", api_key="any", max_retries=0) as client:
            yield client


async def test_it_lists_its_models(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["tiny-chat", "tiny-embed", "tiny-secret"]


async def test_it_answers_a_chat(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**QUESTION)
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == len(ANSWER.split(" "))


async def test_it_streams_a_chat_word_by_word(client: AsyncOpenAI) -> None:
    chunks = [chunk async for chunk in await client.chat.completions.create(**QUESTION, stream=True)]
    assert [chunk.choices[0].delta.content for chunk in chunks[1:4]] == ["You", " said", ' "hello".']
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert not any(chunk.usage for chunk in chunks)


async def test_it_streams_usage_when_asked_to(client: AsyncOpenAI) -> None:
    options = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}}
    chunks = [chunk async for chunk in await client.chat.completions.create(**options)]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 9


async def test_a_chat_ends_with_done(client: AsyncOpenAI) -> None:
    async with client.chat.completions.with_streaming_response.create(**QUESTION, stream=True) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert (await response.text()).endswith("data: [DONE]\n\n")


async def test_content_may_come_in_parts(client: AsyncOpenAI) -> None:
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
    answer = await client.chat.completions.create(model="tiny-chat", messages=parts)
    assert answer.choices[0].message.content == ANSWER


async def test_it_answers_and_streams_responses(client: AsyncOpenAI) -> None:
    assert (await client.responses.create(model="tiny-chat", input="hello")).output_text == ANSWER
    async with client.responses.stream(model="tiny-chat", input="hello") as stream:
        deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        assert "".join(deltas) == ANSWER
        assert (await stream.get_final_response()).output_text == ANSWER


async def test_the_same_text_has_the_same_vector_in_either_encoding(client: AsyncOpenAI) -> None:
    texts = ["one", "two"]
    packed = await client.embeddings.create(model="tiny-embed", input=texts)
    floats = await client.embeddings.create(model="tiny-embed", input=texts, encoding_format="float")
    for one, other in zip(packed.data, floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding)
    assert floats.data[0].embedding != floats.data[1].embedding


async def test_it_moderates(client: AsyncOpenAI) -> None:
    results = (await client.moderations.create(input=["tea", "an attack"])).results
    assert [result.flagged for result in results] == [False, True]


async def test_an_unknown_model_is_refused_in_the_shape_of_openai(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(**{**QUESTION, "model": "gpt-9"})
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}"])
async def test_a_body_that_names_no_model_is_refused(client: AsyncOpenAI, body: bytes) -> None:
    with pytest.raises(openai.BadRequestError):
        await client.post("/chat/completions", content=body, cast_to=object)


async def test_it_runs_as_printed_with_models_of_ones_own() -> None:
    command = ("python", "examples/local_upstream.py", "--port", "0", "--models", "small,large")
    async with serve_program(*command) as program:
        async with AsyncOpenAI(base_url=program.url + "/v1", api_key="any", max_retries=0) as client:
            assert [model.id async for model in client.models.list()] == ["small", "large"]
