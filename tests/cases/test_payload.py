"""Cases 58 to 80: what becomes of a body on its way to the upstream.

Cases 74 to 79 (presets, pipelines) are not served yet. Where 58, 66 and 80 speak of dropping, this gateway forwards
bodies as they were sent, and drops only where the upstream's settings say so.
"""

from __future__ import annotations

from typing import Any

import pytest

from .gateways import MESSAGES, chat, error_of, upstream_a, world

DEVELOPER = [{"role": "developer", "content": "S"}, {"role": "user", "content": "hi"}]


async def test_case_058_the_body_arrives_as_it_was_sent() -> None:
    fields: dict[str, Any] = {"metadata": {"chat_id": "c9"}, "max_tokens": 5, "custom": 1}
    async with world() as w:
        response = await w.chat(**fields)
        assert response.status == 200
        request = w.upstream.last
        assert (request.method, request.path, request.host) == ("POST", "/v1/chat/completions", "a")
        assert request.json() == chat(**fields)
        assert request.header("content-type") == "application/json"
        assert request.header("authorization") == "Bearer ka"


async def test_case_058_metadata_can_be_kept_from_an_upstream() -> None:
    async with world(upstream_a(drop_fields=["metadata"])) as w:
        await w.chat(metadata={"chat_id": "c9"}, custom=1)
        assert w.sent == chat(custom=1)


async def test_every_value_keeps_its_bytes() -> None:
    seed = b"12345678901234567890123"
    body = b'{"model": "m1", "messages": [ {"role":"user",  "content":"\\u00e9"} ], "seed": ' + seed
    body += b', "temperature": 1.0e0, "metadata": null, "nested": {"b": 1, "a": [1.10, null]}}'
    async with world() as w:
        assert (await w.post_bytes("/chat/completions", body)).status == 200
        sent = w.upstream.last.body
    for piece in (
        seed,
        b"1.0e0",
        b"null",
        b'{"b": 1, "a": [1.10, null]}',
        b'[ {"role":"user",  "content":"\\u00e9"} ]',
    ):
        assert piece in sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [({"max_completion_tokens": 7}, 7), ({"max_tokens": 3, "max_completion_tokens": 7}, 7)],
)
async def test_case_059_other_servers_get_the_limit_they_know(given: dict[str, Any], sent: int) -> None:
    async with world() as w:
        await w.chat(**given)
        assert w.sent == chat(max_tokens=sent)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("o3", id="case-060"),
        pytest.param("gpt-6", id="case-062-gpt-6"),
        pytest.param("o5-x", id="case-062-o5-x"),
        pytest.param("us.openai.gpt-6-sol", id="case-062-bedrock"),
        pytest.param("openai/o3", id="case-064-qualified"),
    ],
)
async def test_reasoning_models_get_their_own_limit_and_role(model: str) -> None:
    async with world(upstream_a(model)) as w:
        await w.chat(model, max_tokens=5)
        assert w.sent == {"model": model, "messages": DEVELOPER, "max_completion_tokens": 5}


async def test_case_061_o1_mini_takes_instructions_from_a_user() -> None:
    async with world(upstream_a("o1-mini")) as w:
        await w.chat("o1-mini")
        assert [message["role"] for message in w.sent["messages"]] == ["user", "user"]


@pytest.mark.parametrize(
    "model",
    [
        *(pytest.param(model, id=f"case-063-{model}") for model in ("gpt-4o", "gpt-oss", "orca")),
        *(pytest.param(model, id=f"case-064-{model}") for model in ("o11y", "gpt-50")),
    ],
)
async def test_other_models_are_left_alone(model: str) -> None:
    async with world(upstream_a(model)) as w:
        await w.chat(model, max_tokens=5)
        assert w.sent == chat(model, max_tokens=5)


async def test_case_064_configuration_can_name_the_reasoning_models() -> None:
    async with world(upstream_a("mine", "o3", reasoning_models=["mine"])) as w:
        await w.chat("mine")
        assert w.sent["messages"] == DEVELOPER
        await w.chat("o3")
        assert w.sent["messages"] == MESSAGES


async def test_case_065_the_larger_of_two_limits_is_kept() -> None:
    async with world(upstream_a("o3")) as w:
        await w.chat("o3", max_tokens=5, max_completion_tokens=9)
        assert w.sent == {"model": "o3", "messages": DEVELOPER, "max_completion_tokens": 9}


async def test_case_066_messages_are_required_where_they_must_be_read() -> None:
    async with world(upstream_a("o3")) as w:
        response = await w.post("/chat/completions", {"model": "o3"})
        assert response.status == 400
        assert error_of(response)["param"] == "messages"
        assert w.upstream.requests == []


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        pytest.param("50256:-200, 11:5", {"50256": -100, "11": 5}, id="case-067"),
        pytest.param({"11": 5.5, "12": 300}, {"11": 5.5, "12": 300}, id="case-068"),
    ],
)
async def test_logit_bias_reaches_the_upstream_as_an_object(given: object, sent: object) -> None:
    async with world() as w:
        await w.chat(logit_bias=given)
        assert w.sent["logit_bias"] == sent


async def test_case_069_a_logit_bias_that_is_none_is_refused() -> None:
    async with world() as w:
        response = await w.chat(logit_bias="x")
        assert response.status == 400
        assert error_of(response)["param"] == "logit_bias"
        assert w.upstream.requests == []


@pytest.mark.parametrize("stream", [True, False])
async def test_case_070_stream_options_go_with_streams_only(stream: bool) -> None:
    async with world() as w:
        await w.chat(stream=stream, stream_options={"include_usage": True})
        assert ("stream_options" in w.sent) is stream


@pytest.mark.parametrize(
    ("public", "sent"),
    [
        pytest.param("pa.m1", "m1", id="case-071"),
        pytest.param("pa.pa.b.c", "pa.b.c", id="case-072"),
    ],
)
async def test_the_prefix_is_taken_off_once(public: str, sent: str) -> None:
    async with world(upstream_a("m1", "pa.b.c", prefix_id="pa")) as w:
        assert (await w.chat(public)).status == 200
        assert w.sent["model"] == sent


async def test_case_071_a_prefixed_reasoning_model_is_one() -> None:
    async with world(upstream_a("o3", prefix_id="a")) as w:
        await w.chat("a.o3", max_tokens=5)
        assert w.sent == {"model": "o3", "messages": DEVELOPER, "max_completion_tokens": 5}


async def test_case_073_the_bare_id_of_a_prefixed_model_is_unknown() -> None:
    async with world(upstream_a("m1", prefix_id="pa")) as w:
        response = await w.chat("m1")
        assert response.status == 404
        assert error_of(response)["code"] == "model_not_found"
        assert w.upstream.requests == []


TOOL_MESSAGE = {
    "role": "tool",
    "tool_call_id": "t1",
    "content": [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {"url": "data:,"}}],
}


@pytest.mark.parametrize(("flatten", "content"), [(True, "one"), (False, TOOL_MESSAGE["content"])])
async def test_case_080_tool_messages_are_flattened_where_an_upstream_asks_for_it(flatten: bool, content: Any) -> None:
    async with world(upstream_a(flatten_tool_content=flatten)) as w:
        await w.post("/chat/completions", {"model": "m1", "messages": [*MESSAGES, TOOL_MESSAGE]})
        assert w.sent["messages"][2] == {**TOOL_MESSAGE, "content": content}


async def test_without_rewrites_a_body_passes_untouched() -> None:
    fields: dict[str, Any] = {"max_tokens": 5, "logit_bias": "1:1", "stream_options": {}}
    async with world(upstream_a("o3", rewrites="off")) as w:
        await w.chat("o3", **fields)
        assert w.sent == chat("o3", **fields)


@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings", "/moderations", "/responses"])
@pytest.mark.parametrize("version", ["", "/v1"])
async def test_each_endpoint_answers_with_and_without_version(path: str, version: str) -> None:
    async with world(upstream_a("m1", prefix_id="pa")) as w:
        response = await w.post(version + path, {"model": "pa.m1", "input": "x", "prompt": "x", "extra": [1]})
        assert response.status == 200
        assert response.json()["model"] == "m1"
        assert w.upstream.last.path == f"/v1{path}"
        assert w.sent == {"model": "m1", "input": "x", "prompt": "x", "extra": [1]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        (b'"text"', None),
        (b"null", None),
        (b'{"model": "m1", "a": NaN}', None),
        (b'\xef\xbb\xbf{"model": "m1"}', None),
        (b'{"model": "m1", "a": "\xff"}', None),
        (b'{"model": "m1", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
        (b"{}", "model"),
        (b'{"model": null}', "model"),
        (b'{"model": ""}', "model"),
        (b'{"model": " m1"}', "model"),
        (b'{"model": "m\\u00001"}', "model"),
        (b'{"model": 7}', "model"),
        (b'{"model": ["m1"]}', "model"),
        (b'{"Model": "m1", "model": "m1"}', "Model"),
        (b'{"model": "m1", "stream": "yes"}', "stream"),
        (b'{"model": "m1", "api_base": "http://evil"}', "api_base"),
        (b'{"model": "m1", "fallbacks": ["m2"]}', "fallbacks"),
        (b'{"model": "m1", "models": "m2"}', "models"),
    ],
)
async def test_bad_bodies_are_refused_before_any_upstream(body: bytes, param: str | None) -> None:
    async with world() as w:
        response = await w.post_bytes("/chat/completions", body)
        assert response.status == 400
        error = error_of(response)
        assert error["type"] == "invalid_request_error"
        assert error["param"] == param
        assert param is None or param in error["message"]
        assert w.upstream.requests == []


async def test_of_two_equal_keys_the_upstream_gets_the_one_that_was_checked() -> None:
    async with world(upstream_a("m1", "secret")) as w:
        await w.post_bytes("/chat/completions", b'{"model": "secret", "messages": [], "model": "m1"}')
        assert w.upstream.last.body.count(b'"model"') == 1
        assert w.sent["model"] == "m1"


@pytest.mark.parametrize("query", ["model=secret", "MODEL=secret", "%6dodel=x", "a=1&api_base=http://evil"])
async def test_a_query_cannot_choose_another_route(query: str) -> None:
    async with world() as w:
        response = await w.post(f"/chat/completions?{query}", chat())
        assert response.status == 400
        assert "query parameter" in error_of(response)["message"]
        assert w.upstream.requests == []


async def test_other_queries_are_forwarded_as_they_are() -> None:
    async with world() as w:
        assert (await w.post("/chat/completions?beta=a%2Fb&x", chat())).status == 200
        assert w.upstream.last.query == b"beta=a%2Fb&x"


async def test_a_query_that_is_none_is_refused() -> None:
    async with world() as w:
        options = {"json": chat(), "query": b"a=\xff"}
        assert (await w.ask("POST", "/chat/completions", **options)).status == 400
        assert w.upstream.requests == []
