"""Presets beside what else a gateway does: translation, host models, Azure's paths, defaults of operations."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from openai_gateway_asgi import HostModel, ModelCall, Preset, Price, Settings
from tests.bodies.multipart.forms import CONTENT_TYPE, FILE, form
from tests.cases.gateways import MESSAGES, upstream_a, world

LAWYER = Preset("lawyer", base="m1", system="SYS", params={"max_tokens": 7, "temperature": 0}, locked=["temperature"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_translated_call_has_what_the_preset_sets_and_names_it(stream: bool) -> None:
    async with world(upstream_a("m1", api="responses"), presets=[LAWYER]) as it:
        answer = await it.chat("lawyer", temperature=1, stream=stream)
        assert answer.status == 200
        sent = it.sent
        assert it.upstream.last.path.endswith("/responses")
        assert (sent["model"], sent["temperature"], sent["max_output_tokens"]) == ("m1", 0, 7)
        assert json.dumps(sent).count("SYS") == 1
        assert b'"lawyer"' in answer.body
        assert b'"m1"' not in answer.body
    async with world(upstream_a("m1", api="chat"), presets=[LAWYER]) as it:
        answer = await it.post("/responses", {"model": "lawyer", "input": "x", "temperature": 1, "stream": stream})
        assert answer.status == 200
        sent = it.sent
        assert it.upstream.last.path.endswith("/chat/completions")
        assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("m1", 0, 7)
        assert sent["messages"][0] == {"role": "system", "content": "SYS"}
        assert b'"lawyer"' in answer.body
        assert b'"m1"' not in answer.body


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_of_the_hosts_own_may_be_a_base(stream: bool) -> None:
    async def handler(call: ModelCall) -> AsyncIterator[object]:
        yield f"{call.messages[0]['content']}, {call.model}"

    presets = [Preset("lawyer", base="agent", system="SYS")]
    async with world(upstream_a("m1"), presets=presets, host_models=[HostModel("agent", handler)]) as it:
        answer = await it.chat("lawyer", stream=stream)
        assert b"SYS" in answer.body
        assert b'"model":"lawyer"' in answer.body.replace(b'": "', b'":"')


async def test_a_preset_may_stand_in_a_path_of_azures() -> None:
    async with world(upstream_a("m1"), presets=[LAWYER]) as it:
        answer = await it.post("/deployments/lawyer/chat/completions?api-version=2024-10-21", {"messages": MESSAGES})
        assert answer.status == 200
        assert (it.sent["model"], it.sent["temperature"]) == ("m1", 0)


async def test_a_preset_may_be_an_operations_default() -> None:
    settings = Settings(retries=0, default_models={"createModeration": "mod", "createImageEdit": "draw"})
    presets = [Preset("mod", base="m1"), Preset("draw", base="m1")]
    async with world(upstream_a("m1"), presets=presets, settings=settings) as it:
        assert (await it.post("/moderations", {"input": "x"})).status == 200
        assert it.sent == {"input": "x", "model": "m1"}
        await it.post_bytes("/images/edits", form(FILE), headers={"content-type": CONTENT_TYPE.decode()})
        assert b'name="model"\r\n\r\nm1\r\n' in it.upstream.last.body


async def test_usage_and_cost_are_those_of_the_true_model() -> None:
    prices = {"m1": Price(input="1000000", output="0"), "lawyer": Price(input="5", output="5")}
    async with world(upstream_a("m1"), presets=[LAWYER], prices=prices) as it:
        await it.chat("lawyer")
        record = it.records[-1]
        assert record.usage is not None
        assert record.cost == record.usage.input
        assert record.model_label == "m1"
