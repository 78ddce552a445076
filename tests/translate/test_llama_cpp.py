"""llama.cpp's server has both APIs: what the gateway translates is held against what the server says itself.

It runs where ``xllamacpp`` is installed, with a tiny model of random weights that the test writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Upstream
from tests.cases.gateways import Served, served
from tests.translate.tiny_model import write_model

xllamacpp = pytest.importorskip("xllamacpp", reason="pip install xllamacpp")

CHAT, RESPONSES = "/chat/completions", "/responses"
GREEDY: dict[str, Any] = {"model": "m1", "temperature": 0, "cache_prompt": False}
MESSAGES = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi you"}]
AS_CHAT = {**GREEDY, "messages": MESSAGES, "max_tokens": 12}
AS_RESPONSE = {**GREEDY, "instructions": "be kind", "input": "hi you", "max_output_tokens": 12}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path: Path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_model(path)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.port, params.warmup = 1024, 1, 0, False
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


async def asked(s: Served, path: str, body: dict[str, Any]) -> httpx.Response:
    async with s.post(path, body) as answer:
        await answer.aread()
    assert answer.status_code == 200, answer.text
    return answer  # type: ignore[no-any-return]


async def both(llama: str, path: str, body: dict[str, Any], *, repair: bool = False) -> list[httpx.Response]:
    """The server's own answer, and the one that is translated from its other API."""
    found = []
    for api in ("both", "chat" if path == RESPONSES else "responses"):
        upstream = Upstream(llama, name="L", auth_type="none", model_ids=["m1"], api=api, repair_responses=repair)
        async with served(upstream) as s:
            found.append(await asked(s, path, body))
    return found


async def test_a_chat(llama: str) -> None:
    native, translated = [answer.json() for answer in await both(llama, CHAT, AS_CHAT)]
    assert said_in_chat(translated) == said_in_chat(native)
    assert translated["usage"]["total_tokens"] == native["usage"]["total_tokens"]
    assert set(translated) >= {"id", "object", "created", "model", "choices", "usage"}


async def test_a_response(llama: str) -> None:
    native, translated = [answer.json() for answer in await both(llama, RESPONSES, AS_RESPONSE)]
    assert text_of(translated) == text_of(native)
    assert translated["usage"]["total_tokens"] == native["usage"]["total_tokens"]
    assert set(translated) >= set(native) - {"completed_at"}
    assert [item["type"] for item in translated["output"]] == [item["type"] for item in native["output"]]


async def test_a_streamed_chat(llama: str) -> None:
    streams = await both(llama, CHAT, {**AS_CHAT, "stream": True, "stream_options": {"include_usage": True}})
    native, translated = [data_of(answer) for answer in streams]

    def text(chunks: list[Any]) -> str:
        return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"])

    assert text(translated) == text(native)
    assert all(chunk["model"] and chunk["created"] and chunk["id"] for chunk in translated)
    assert translated[-1]["usage"]["total_tokens"] == native[-1]["usage"]["total_tokens"]
    assert streams[1].text.endswith("data: [DONE]\n\n")


async def test_a_streamed_response(llama: str) -> None:
    streams = await both(llama, RESPONSES, {**AS_RESPONSE, "stream": True}, repair=True)
    native, translated = [data_of(answer) for answer in streams]
    kinds = [[event["type"] for event in events] for events in (native, translated)]
    ends = {"response.completed", "response.incomplete"}
    assert [kind for kind in kinds[0] if kind not in ends] == [kind for kind in kinds[1] if kind not in ends]
    assert text_of(native[-1]["response"]) == text_of(translated[-1]["response"])
    for events in (native, translated):
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        assert all("output_index" in event for event in events if "item_id" in event)


async def test_the_sdk_gathers_both(llama: str) -> None:
    for api in ("responses", "chat"):
        upstream = Upstream(llama, name="L", auth_type="none", model_ids=["m1"], api=api, repair_responses=True)
        async with served(upstream) as s, s.sdk as sdk:
            async with sdk.responses.stream(model="m1", input="hi", max_output_tokens=200) as stream:
                events = [event.type async for event in stream]
            assert events[-1] in ("response.completed", "response.incomplete")


def said_in_chat(completion: dict[str, Any]) -> tuple[str, str]:
    choice = completion["choices"][0]
    # the server's own Responses API calls an answer that ran out of tokens completed
    return choice["message"]["content"], choice["finish_reason"].replace("length", "stop")


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


def data_of(answer: httpx.Response) -> list[Any]:
    return [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: {")]
