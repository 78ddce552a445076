"""Cases 126 to 128 and 131: Responses, embeddings and the other JSON endpoints.

Nulls and metadata are forwarded as they were sent (126); an upstream that refuses them says so in its settings.
"""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from openai_gateway_asgi import Gateway, Grant, Grants, Upstream
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import CREATED, VECTOR, WORDS
from tests.support.servers import serve

from .gateways import EAGER, MESSAGES, error_of, resolve_user, upstream_a, upstream_b, world

RESPONSES = "/responses"


async def test_case_126_responses_are_routed_by_model_with_every_field() -> None:
    body = {
        "model": "pb.mb",
        "input": [{"role": "user", "content": "hi", "name": None}],
        "metadata": {"a": "b"},
        "instructions": None,
        "unknown": {"x": None},
    }
    async with world(upstream_a("m1"), upstream_b("mb", prefix_id="pb")) as w:
        response = await w.post(RESPONSES, body)
        assert (response.status, response.json()["object"]) == (200, "response")
        request = w.upstream.last
        assert (request.host, request.path, request.header("authorization")) == ("b", "/v1/responses", "Bearer kb")
        assert request.json() == {**body, "model": "mb"}


async def test_case_126_an_upstream_can_be_spared_top_level_nulls() -> None:
    async with world(upstream_a(drop_nulls=True)) as w:
        await w.post(RESPONSES, {"model": "m1", "instructions": None, "input": [{"a": None}]})
        assert w.sent == {"model": "m1", "input": [{"a": None}]}


@pytest.mark.parametrize("body", [{"input": "x"}, {"model": None}, {"model": ""}, {"model": 3}])
async def test_case_127_responses_without_a_model_are_a_400(body: dict[str, Any]) -> None:
    async with world() as w:
        response = await w.post(RESPONSES, body)
        assert (response.status, error_of(response)["param"]) == (400, "model")
        assert w.upstream.requests == []


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(RESPONSES, id="case-128"),
        pytest.param("/embeddings", id="case-131"),
        "/completions",
        "/moderations",
        "/audio/speech",
        "/images/generations",
    ],
)
async def test_an_unknown_model_is_a_404_and_reaches_nobody(path: str) -> None:
    async with world() as w:
        response = await w.post(path, {"model": "nothing", "input": "x", "prompt": "x"})
        assert (response.status, error_of(response)["code"]) == (404, "model_not_found")
        assert response.header("x-should-retry") == "false"
        assert w.upstream.requests == []


async def test_case_131_embeddings_lose_their_prefix() -> None:
    async with world(upstream_a("m1", prefix_id="pa")) as w:
        response = await w.post("/embeddings", {"model": "pa.m1", "input": ["a", "b"]})
        assert len(response.json()["data"]) == 2
        assert w.sent == {"model": "m1", "input": ["a", "b"]}
        assert w.upstream.last.path == "/v1/embeddings"


async def test_case_131_embeddings_of_azure_are_asked_of_their_deployment() -> None:
    azure = Upstream("https://r.test", api_key="k", model_ids=["ada"], provider="azure")
    async with world(azure) as w:
        assert (await w.post("/embeddings", {"model": "ada", "input": "x"})).status == 200
        assert w.upstream.last.path == "/openai/deployments/ada/embeddings"
        assert w.upstream.last.query == b"api-version=2024-10-21"
        assert w.sent == {"input": "x"}


@pytest.mark.parametrize("field", [{"models": ["m1", "secret"]}, {"tools": [{"type": "x", "model": "secret"}]}])
async def test_every_model_that_a_body_names_must_be_allowed(field: dict[str, Any]) -> None:
    grants = Grants({"m1": Grant(public=True)})
    async with world(upstream_a("m1", "secret"), authorize_model=grants) as w:
        response = await w.post(RESPONSES, {"model": "m1", **field}, headers={"x-test-user": "u1"})
        assert (response.status, error_of(response)["code"]) == (404, "model_not_found")
        assert w.upstream.requests == []


@pytest.mark.parametrize("version", ["", "/v1"])
async def test_the_real_client_reads_every_endpoint(version: str) -> None:
    upstream = FakeUpstream(["m1"])
    async with serve(upstream) as up:
        gateway = Gateway(
            [Upstream(f"{up.url}/v1", prefix_id="p", model_ids=["m1"])],
            resolve_user=resolve_user,
            authorize_model=lambda user, model: True,
            settings=EAGER,
        )
        async with gateway.lifespan(), serve(gateway) as server:
            sdk = openai.AsyncOpenAI(base_url=server.url + version, api_key="sk", max_retries=0)
            async with sdk:
                whole = await sdk.chat.completions.create(model="p.m1", messages=MESSAGES, seed=10**23 - 1)  # type: ignore[arg-type]
                assert whole.choices[0].message.content == "".join(WORDS)
                assert b'"seed":99999999999999999999999' in upstream.last.body
                stream = await sdk.chat.completions.create(model="p.m1", messages=MESSAGES, stream=True)  # type: ignore[arg-type]
                words = [chunk.choices[0].delta.content or "" async for chunk in stream]  # type: ignore[union-attr]
                assert "".join(words) == "".join(WORDS)
                assert (await sdk.completions.create(model="p.m1", prompt="x")).created == CREATED
                vectors = await sdk.embeddings.create(model="p.m1", input="x")
                assert vectors.data[0].embedding == list(VECTOR)
                assert (await sdk.moderations.create(model="p.m1", input="x")).results[0].flagged is False
                assert (await sdk.responses.create(model="p.m1", input="x")).output_text == "".join(WORDS)
                events = [
                    event.type async for event in await sdk.responses.create(model="p.m1", input="x", stream=True)
                ]
                assert (events[0], events[-1]) == ("response.created", "response.completed")
                assert [model.id async for model in sdk.models.list()] == ["p.m1"]
                audio = await sdk.audio.speech.create(model="p.m1", input="x", voice="alloy")
                assert audio.content.startswith(b"ID3")
        assert {json.loads(request.body)["model"] for request in upstream.requests} == {"m1"}
