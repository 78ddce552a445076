"""Models of the host's own code, presets and filters answer both APIs through the translation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai.types.responses import Response

from openai_gateway_asgi import (
    Filter,
    FilterCall,
    FilterEvent,
    HostModel,
    ModelCall,
    Preset,
    ToolCall,
    Upstream,
    Usage,
)
from openai_gateway_asgi.testing import json_answer, stream_answer
from openai_gateway_asgi.testing.answers import DONE, sse
from tests.cases.gateways import MESSAGES, USERS, A, upstream_a, world
from tests.translate.sdk import final_response

RESPONSES = "/responses"
TURN = [
    {"role": "user", "content": "hi"},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "1"},
]


async def agent(call: ModelCall) -> AsyncIterator[object]:
    yield f"{len(call.messages)} messages"
    yield ToolCall("f", {"a": 1})
    yield Usage(input=3, output=2)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_host_model_answers_a_responses_client(stream: bool) -> None:
    async with world(host_models=[HostModel("agent", agent)]) as w:
        body = {"model": "agent", "input": TURN, "instructions": "S", "stream": stream}
        answer = await w.post(RESPONSES, body)
        assert answer.status == 200, answer.body
        told = final(answer.body) if stream else answer.json()
        record = w.records[0]
    text, call = told["output"]
    assert text["content"][0]["text"] == "4 messages"
    assert (call["name"], call["arguments"], told["model"]) == ("f", '{"a":1}', "agent")
    assert told["usage"]["total_tokens"] == 5
    assert (record.usage and record.usage.output, record.upstream_operation) == (2, "createChatCompletion")


def final(body: bytes) -> dict[str, Any]:
    events = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: {")]
    assert final_response(events).output_text == "4 messages"
    told: dict[str, Any] = events[-1]["response"]
    return told


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/chat/completions", RESPONSES])
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_preset_answers_both_apis_of_either_upstream(api: str, path: str, stream: bool) -> None:
    preset = Preset("helper", base="m1", system="Be brief.", params={"temperature": 0.25})
    said = {"input": "hi"} if path == RESPONSES else {"messages": MESSAGES[1:]}
    async with world(upstream_a(api=api), presets=[preset]) as w:
        answer = await w.post(path, {"model": "helper", "stream": stream, **said})
        assert answer.status == 200
        sent = w.sent
    assert (sent["model"], sent["temperature"]) == ("m1", 0.25)
    assert "Be brief." in json.dumps(sent)
    assert b'"m1"' not in answer.body
    assert b'"helper"' in answer.body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("api", "path"), [("chat", RESPONSES), ("responses", "/chat/completions")])
async def test_a_filter_sees_the_clients_own_api(api: str, path: str, stream: bool) -> None:
    seen: list[str] = []

    def event(call: FilterCall, event: FilterEvent) -> FilterEvent:
        if event.data is not None:
            seen.append(event.data.get("type") or event.data["object"])
        return event

    def after(call: FilterCall, answer: Any) -> None:
        seen.append(answer.text)

    said = {"input": "hi"} if path == RESPONSES else {"messages": MESSAGES[1:]}
    async with world(upstream_a(api=api), filters=[Filter(event=event if stream else None, after=after)]) as w:
        assert (await w.post(path, {"model": "m1", "stream": stream, **said})).status == 200
    assert seen[-1] == "Hello from upstream."
    if stream:
        assert (seen[0], seen[-2]) == (
            ("response.created", "response.completed") if path == RESPONSES else ("chat.completion.chunk",) * 2
        )


THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
HINTED = {
    "model": "m1",
    "input": [{"role": "user", "content": "hi"}, THOUGHT, {"role": "assistant", "content": "a"}, TURN[0]],
    "prompt_cache_key": "k",
    "safety_identifier": "s",
}


@pytest.mark.parametrize(
    ("root", "thoughts", "dropped"),
    [
        ("https://api.mistral.ai/v1", None, ("prompt_cache_key", "safety_identifier")),
        ("https://generativelanguage.googleapis.com/v1beta/openai", None, ("prompt_cache_key", "safety_identifier")),
        ("https://api.cerebras.ai/v1", "reasoning", ()),
        ("https://api.groq.com/openai/v1", None, ()),
        ("https://api.moonshot.ai/v1", "reasoning_content", ()),
        ("http://localhost:8080/v1", "reasoning_content", ()),
    ],
)
async def test_providers_that_refuse_what_they_do_not_know_are_not_told_it(
    root: str, thoughts: str | None, dropped: tuple[str, ...]
) -> None:
    async with world(Upstream(root, name="A", api_key="ka", model_ids=["m1"], api="chat")) as w:
        assert (await w.post(RESPONSES, HINTED)).status == 200
        sent, record = w.sent, w.records[0]
        explained = await w.gateway.explain(USERS["u1"], "POST", RESPONSES, body=json.dumps(HINTED).encode())
    assert record.dropped == dropped
    assert {"prompt_cache_key", "safety_identifier"} - sent.keys() == set(dropped)
    said = {name for name in sent["messages"][1] if name.startswith("reasoning")}
    assert said == ({thoughts} if thoughts else set())
    assert all(f"left out: {name} (its provider refuses it)" in str(explained) for name in dropped)


SIGNED = {"google": {"thought_signature": "c2ln"}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api_root", [A, "https://generativelanguage.googleapis.com/v1beta/openai"])
async def test_what_a_server_wants_back_with_a_call_goes_back_with_it(api_root: str, stream: bool) -> None:
    """Gemini refuses the turn behind a call without the signature that it gave with it."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": SIGNED}
    choice = {"index": 0, "finish_reason": "tool_calls"}
    whole = {"created": 7, "choices": [{**choice, "message": {"role": "assistant", "tool_calls": [call]}}]}
    piece = {"created": 7, "choices": [{**choice, "delta": {"tool_calls": [{"index": 0, **call}]}}]}
    async with world(Upstream(api_root, name="A", api_key="ka", model_ids=["m1"], api="chat")) as w:
        w.upstream.answer("/chat/completions", stream_answer([sse(piece), DONE]) if stream else json_answer(whole))
        asked = {"model": "m1", "input": [{"role": "user", "content": "hi"}], "stream": stream}
        answer = await w.post(RESPONSES, asked)
        told = answer.json() if not stream else json.loads(answer.body.rstrip().rpartition(b"data: ")[2])["response"]
        Response.model_validate(told)
        (item,) = told["output"]
        assert item["extra_content"] == SIGNED
        result = {"type": "function_call_output", "call_id": "c1", "output": "1"}
        assert (await w.post(RESPONSES, {**asked, "input": [*asked["input"], item, result]})).status == 200
        assert w.sent["messages"][1]["tool_calls"] == [call]


@pytest.mark.parametrize("root", ["https://api.openai.com/v1", "https://api.mistral.ai/v1"])
async def test_what_one_server_wants_back_is_not_told_to_one_that_refuses_it(root: str) -> None:
    items = [TURN[0], {**TURN[1], "extra_content": SIGNED}, TURN[2]]
    async with world(Upstream(root, name="A", api_key="ka", model_ids=["m1"], api="chat")) as w:
        assert (await w.post(RESPONSES, {"model": "m1", "input": items})).status == 200
        assert "extra_content" not in json.dumps(w.sent)


SCHEMA = {"type": "object", "properties": {}}
FUNCTION = {"name": "f", "parameters": SCHEMA}
NESTED = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    "tools": [
        {"type": "function", "function": FUNCTION},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"syntax": "lark"}}}},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
}
FLAT = {
    "response_format": {"type": "json_schema", "name": "n", "schema": SCHEMA},
    "tools": [
        {"type": "function", **FUNCTION, "strict": False},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
}


@pytest.mark.parametrize("path", ["/chat/completions", RESPONSES])
@pytest.mark.parametrize("params", [NESTED, FLAT], ids=["nested", "flat"])
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_what_a_preset_says_of_tools_and_formats_is_said_as_the_upstreams_api_writes_it(
    api: str, params: dict[str, Any], path: str
) -> None:
    said = {"input": "hi"} if path == RESPONSES else {"messages": MESSAGES[1:]}
    async with world(upstream_a(api=api), presets=[Preset("helper", base="m1", params=params)]) as w:
        assert (await w.post(path, {"model": "helper", **said})).status == 200
        sent = w.sent
    if api == "responses":
        assert (sent["text"]["format"], sent["tools"], sent["tool_choice"]) == tuple(FLAT.values())
    else:
        function = {"type": "function", "function": {**FUNCTION, **({"strict": False} if params is FLAT else {})}}
        assert sent["tools"] == [function, NESTED["tools"][1]]
        assert (sent["response_format"], sent["tool_choice"]) == (NESTED["response_format"], NESTED["tool_choice"])


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_what_has_one_form_is_said_as_the_preset_says_it(api: str) -> None:
    params = {"response_format": {"type": "json_object"}, "tools": [{"type": "web_search"}], "tool_choice": "auto"}
    async with world(upstream_a(api=api), presets=[Preset("helper", base="m1", params=params)]) as w:
        assert (await w.post(RESPONSES, {"model": "helper", "input": "hi"})).status == 200
        sent = w.sent
    form = sent["text"]["format"] if api == "responses" else sent["response_format"]
    assert {"response_format": form, "tools": sent["tools"], "tool_choice": sent["tool_choice"]} == params


SHOWN: list[dict[str, Any]] = [
    *TURN[:2],
    {
        "type": "function_call_output",
        "call_id": "c1",
        "output": [
            {"type": "input_text", "text": "seen"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
        ],
    },
]


async def test_case_339_an_image_that_a_tool_gave_passes_where_the_upstream_takes_it() -> None:
    async with world(upstream_a(api="chat", images_in_tools=True)) as w:
        assert (await w.post(RESPONSES, {"model": "m1", "input": SHOWN})).status == 200
        assert w.sent["messages"][-1] == {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [
                {"type": "text", "text": "seen"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
            ],
        }
    async with world(upstream_a(api="chat")) as w:
        answer = await w.post(RESPONSES, {"model": "m1", "input": SHOWN})
        assert (answer.status, answer.json()["error"]["param"]) == (400, "input[2].output[1].type")
