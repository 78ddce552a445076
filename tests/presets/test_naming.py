"""Answers and events name the preset at the top and in ``response``, and nothing else in them changes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi import Preset
from openai_gateway_asgi.presets.naming import NamePreset
from tests.cases.gateways import upstream_a, world

CHUNK = b'data: {"id":"c1","object":"chat.completion.chunk","created":17,"model":"gpt-4o-2024","choices":[%b]}\n\n'
AZURE = (
    b'data: {"choices":[%b],"created":17,"id":"c1","model":"gpt-4o","object":"chat.completion.chunk","usage":null}\n\n'
)
WORD = b'{"index":0,"delta":{"content":"a \\"model\\":\\"x\\" word","model":"nested"}}'


def stage(name: str = "lawyer") -> NamePreset:
    return NamePreset(json.dumps(name, ensure_ascii=False).encode(), streams=True)


def models(events: bytes) -> list[Any]:
    """The top-level model of each event's data."""
    return [json.loads(line[5:]).get("model") for line in events.splitlines() if line.startswith(b"data: {")]


@pytest.mark.parametrize("form", [CHUNK, AZURE, CHUNK.replace(b"\n", b"\r\n"), AZURE.replace(b"\n", b"\r\n")])
def test_every_chunk_names_the_preset_and_nothing_else_changes(form: bytes) -> None:
    naming, chunk = stage(), form % WORD
    for events in (chunk, chunk, form % b"", chunk * 3, b": comment\n\n" + chunk, chunk + b"data: [DONE]\n\n"):
        named = naming.events(events)
        assert set(models(named)) == {"lawyer"}
        assert named.replace(b'"lawyer"', b'"gpt-4o-2024"' if b"gpt-4o-2024" in events else b'"gpt-4o"') == events


@pytest.mark.parametrize(
    ("data", "becomes"),
    [
        # Another order, other blanks, a second model of the same name, and an escaped name
        (b'{"a":{"model":"x"},"model":"m","b":[{"model":"y"}]}', b'{"a":{"model":"x"},"model":"N","b":[{"model":"y"}]}'),
        (b'{ "x" : [1] , "model" : "m" }', b'{"x":[1],"model":"N"}'),
        (b'{"\\u006dodel":"m"}', b'{"model":"N"}'),
        (b'{"model":"m","tools":[{"type":"image_generation","model":"gpt-image-1"}]}',
         b'{"model":"N","tools":[{"type":"image_generation","model":"gpt-image-1"}]}'),
        (b'{"type":"response.created","response":{"id":"r","model":"m","tools":[{"model":"t"}]}}',
         b'{"type":"response.created","response":{"id":"r","model":"N","tools":[{"model":"t"}]}}'),
        # What names no model
        (b'{"model":null}', None),
        (b'{"model":{"id":"m"}}', None),
        (b'{"item":{"model":"m"}}', None),
        (b'{"response":"model"}', None),
        (b'[{"model":"m"}]', None),
        (b'{"model":"m"', None),
        (b'"model"', None),
        (b'{"error":{"message":"the \\"model\\" is gone"}}', None),
    ],
)  # fmt: skip
def test_it_is_told_by_structure(data: bytes, becomes: bytes | None) -> None:
    assert stage("N").answer(data) == (becomes or data)
    plain = b' {\n "id" : "a\\"b" , "n": 1.50, "model" : "m" , "x" : [ 1 ] }\n'
    assert stage("N").answer(plain) == plain.replace(b'"m"', b'"N"')
    event = b"event: x\nid: 7\ndata: " + data + b"\n\n"
    in_place = event.replace(b'"model" : "m"', b'"model" : "N"')
    assert stage("N").events(event) == (event.replace(data, becomes or data) if in_place == event else in_place)


def test_a_chunk_that_names_its_model_twice_hides_none() -> None:
    naming = stage("N")
    naming.events(CHUNK % WORD)
    twice = CHUNK.replace(b"]}", b'],"model":"true-name"}') % WORD
    assert b"true-name" not in naming.events(twice)
    assert b"true-name" not in naming.events(CHUNK % WORD + twice)
    escaped = CHUNK.replace(b"]}", b'],"\\u006dodel":"true-name"}') % WORD
    assert b"true-name" not in naming.events(escaped)


def test_data_in_several_lines_is_one_object() -> None:
    event = b'event: e\ndata: {"model":\ndata: "m","x":[1,\ndata: 2]}\n\n'
    named = stage("N").events(event)
    assert named.startswith(b"event: e\ndata: {")
    assert json.loads(named.split(b"data: ")[1]) == {"model": "N", "x": [1, 2]}


def test_a_name_may_hold_anything() -> None:
    naming = stage('a "model" \\ ü')
    for _ in range(2):
        assert models(naming.events(CHUNK % b"")) == ['a "model" \\ ü']


# At the HTTP boundary


@pytest.mark.parametrize("path", ["/chat/completions", "/responses", "/completions"])
@pytest.mark.parametrize("stream", [False, True])
async def test_no_answer_names_the_model_behind_the_preset(path: str, stream: bool) -> None:
    async with world(upstream_a("true-model"), presets=[Preset("lawyer", base="true-model")]) as it:
        body = {"model": "lawyer", "stream": stream, "messages": [], "input": "x", "prompt": "x"}
        answer = await it.post(path, body)
        assert answer.status == 200
        assert b"lawyer" in answer.body
        assert b"true-model" not in answer.body
        record = it.records[-1]
        assert (record.model, record.served_model, record.unnamed) == ("lawyer", "true-model", False)
        assert stream or record.usage is not None


async def test_an_answer_above_a_mebibyte_passes_as_it_came_and_the_record_says_so() -> None:
    async with world(upstream_a("true-model"), presets=[Preset("p", base="true-model")]) as it:
        it.upstream.script("true-model", body={"model": "true-model", "data": "x" * 2**20})
        answer = await it.post("/embeddings", {"model": "p", "input": "x"})
        assert json.loads(answer.body)["model"] == "true-model"
        assert it.records[-1].unnamed
        it.upstream.script("true-model", body={"model": "true-model", "data": "x" * 1000})
        answer = await it.post("/embeddings", {"model": "p", "input": "x"})
        assert json.loads(answer.body)["model"] == "p"
        assert not it.records[-1].unnamed


async def test_an_event_is_never_too_long_to_be_named() -> None:
    """The last event of a response repeats all that was said."""
    async with world(upstream_a("true-model"), presets=[Preset("p", base="true-model")]) as it:
        it.upstream.script("true-model", text="word " * 40_000)
        answer = await it.post("/responses", {"model": "p", "input": "x", "stream": True})
        assert len(answer.body) > 400_000
        assert b"true-model" not in answer.body
        assert not it.records[-1].unnamed


async def test_a_plain_model_keeps_its_answers() -> None:
    async with world(upstream_a("m1"), presets=[Preset("p", base="m1")]) as it:
        assert json.loads((await it.chat("m1")).body)["model"] == "m1"
