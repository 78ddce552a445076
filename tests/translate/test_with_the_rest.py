"""Models of the host's own code, presets and filters answer both APIs through the translation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openai_gateway_asgi import (
    Filter,
    FilterCall,
    FilterEvent,
    HostModel,
    ModelCall,
    Preset,
    ToolCall,
    Usage,
)
from tests.cases.gateways import MESSAGES, upstream_a, world
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
