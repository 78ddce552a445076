"""Streams of servers that the official clients' accumulators cannot read are mended, where an upstream is set so."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from openai_gateway_asgi import Settings
from openai_gateway_asgi.testing import json_answer, stream_answer
from openai_gateway_asgi.testing.answers import sse
from openai_gateway_asgi.translate.repair import Repair
from openai_gateway_asgi.translate.response_objects import Frame
from openai_gateway_asgi.translate.responses_stream import ResponsesStream
from tests.cases.gateways import upstream_a, world
from tests.translate.sdk import final_response

Event = dict[str, Any]
STRICT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def golden() -> list[Event]:
    """Reasoning, text and a call, as OpenAI's own API tells them."""
    stream = ResponsesStream(Frame({}, "m", id="resp_1"))
    deltas: list[dict[str, Any]] = [
        {"reasoning_content": "I think"},
        {"content": "Hel"},
        {"content": "lo"},
        {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
    ]
    chunks = [{"created": 7, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    events = [event for chunk in chunks for event in stream.feed(chunk)]
    return json.loads(json.dumps([*events, *stream.end()]))  # type: ignore[no-any-return]


def mended(events: list[Event]) -> list[Event]:
    repair = Repair()
    told = [event for given in events for event in repair.feed(given)]
    return json.loads(json.dumps(told))  # type: ignore[no-any-return]


def said(response: Any) -> tuple[str, str, list[tuple[str, str]]]:
    """What an accumulator has gathered: thought, text, calls."""
    thoughts = [part.text for item in response.output if item.type == "reasoning" for part in item.summary]
    thoughts += [part.text for item in response.output if item.type == "reasoning" for part in item.content or ()]
    calls = [(item.name, item.arguments) for item in response.output if item.type == "function_call"]
    return "".join(thoughts), response.output_text, calls


WHOLE = ("I think", "Hello", [("f", '{"a":1}')])
Defect = Callable[[list[Event]], list[Event]]


def without(*kinds: str) -> Defect:
    return lambda events: [event for event in events if event["type"].removeprefix("response.") not in kinds]


def lacking(*names: str) -> Defect:
    return lambda events: [{k: v for k, v in event.items() if k not in names} for event in events]


def each(change: Callable[[Event], None]) -> Defect:
    def changed(events: list[Event]) -> list[Event]:
        for event in events:
            change(event)
        return events

    return changed


def of_response(change: Callable[[dict[str, Any], Event], None]) -> Defect:
    return each(lambda event: change(event["response"], event) if "response" in event else None)


def of_item(change: Callable[[dict[str, Any], Event], None]) -> Defect:
    return each(lambda event: change(event["item"], event) if "item" in event else None)


def other_ids_at_the_end(events: list[Event]) -> list[Event]:
    for number, item in enumerate(events[-1]["response"]["output"]):
        item["id"] = f"other_{number}"
    return events


DEFECTS: dict[str, Defect] = {
    "none": list,
    "no created": without("created"),
    "no created, queued first": lambda events: [{**events[0], "type": "response.queued"}, *events[2:]],
    "no in_progress": without("in_progress"),
    "neither": without("created", "in_progress"),
    "no item added": without("output_item.added"),
    "no item added, no part added": without("output_item.added", "content_part.added", "reasoning_summary_part.added"),
    "no part added": without("content_part.added"),
    "no part of the summary added": without("reasoning_summary_part.added"),
    "no ends": without("output_item.done", "content_part.done", "reasoning_summary_part.done", "output_text.done"),
    "no deltas": without("output_text.delta", "reasoning_summary_text.delta", "function_call_arguments.delta"),
    "items alone": without(
        "output_text.delta", "reasoning_summary_text.delta", "function_call_arguments.delta", "output_text.done",
        "reasoning_summary_text.done", "function_call_arguments.done", "content_part.added", "content_part.done",
        "reasoning_summary_part.added", "reasoning_summary_part.done", "output_item.added",
    ),
    "the final event alone": lambda events: events[-1:],
    "an empty output at the end": of_response(lambda response, event: response.update(output=[])),
    "no output at the end": of_response(lambda response, event: response.pop("output")),
    "an item lacks at the end": of_response(lambda response, event: response["output"][:1] and response["output"].pop()),
    "other ids at the end": other_ids_at_the_end,
    "other ids when done": of_item(lambda item, e: item.update(id="x") if e["type"].endswith("done") else None),
    "no ids": of_item(lambda item, event: item.pop("id")),
    "another id of the response": of_response(lambda response, event: response.update(id=event["type"])),
    "no id of the response": of_response(lambda response, event: response.pop("id", None)),
    "no item_id": lacking("item_id"),
    "no places in the item": lacking("content_index", "summary_index"),
    "no numbers": lacking("sequence_number"),
    "no logprobs": lacking("logprobs"),
    "places that are skipped": each(
        lambda event: event.update(output_index=2 * event["output_index"] + 1) if "output_index" in event else None
    ),
    "a thin response": of_response(
        lambda response, event: [response.pop(name) for name in ("tools", "tool_choice", "object", "created_at", "model")]
    ),
    "items without what is in them": of_item(
        lambda item, e: [item.pop(name, None) for name in ("content", "summary", "arguments", "status")]
    ),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_each_defect_is_mended(defect: Defect) -> None:
    told = mended(defect(copy.deepcopy(golden())))
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    for event in told:
        STRICT.validate_python(event)
    assert said(final_response(told)) == WHOLE
    places = [event["output_index"] for event in told if event["type"] == "response.output_item.added"]
    assert places == [0, 1, 2]
    ends = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert told[-1]["response"]["output"] == ends
    ids = {event["item"]["id"] for event in told if "item" in event}
    assert len(ids) == 3
    assert {event["item_id"] for event in told if "item_id" in event} == ids


def test_what_has_no_defect_is_told_as_it_came() -> None:
    events = golden()
    assert mended(events) == events


def created(**more: Any) -> Event:
    return {"type": "response.created", "response": {"id": "resp_7", "status": "in_progress", "output": [], **more}}


def completed(*output: Any) -> Event:
    return {"type": "response.completed", "response": {"id": "resp_7", "status": "completed", "output": list(output)}}


OLLAMA_THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
OLLAMA_CALL = {
    "id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f", "arguments": "{}",
}  # fmt: skip
OLLAMA = [
    created(),
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"id": "rs_1", "type": "reasoning", "summary": []},
    },
    {"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "output_index": 0, "delta": "hm"},
    {"type": "response.reasoning_summary_text.done", "item_id": "rs_1", "output_index": 0, "text": "hm"},
    {"type": "response.output_item.done", "output_index": 0, "item": {**OLLAMA_THOUGHT, "encrypted_content": "hm"}},
    {"type": "response.output_item.added", "output_index": 1, "item": {**OLLAMA_CALL, "arguments": ""}},
    {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 1, "delta": "{}"},
    {"type": "response.function_call_arguments.done", "item_id": "fc_1", "output_index": 1, "arguments": "{}"},
    {"type": "response.output_item.done", "output_index": 1, "item": OLLAMA_CALL},
    completed(OLLAMA_THOUGHT, OLLAMA_CALL),
]
TRANSFORMERS_CALL = {
    "id": "call_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "f", "arguments": "{}",
}  # fmt: skip
TRANSFORMERS = [
    created(status="queued"),
    {"type": "response.output_item.added", "output_index": 0, "item": {"id": "rs_1", "type": "reasoning", "summary": []}},
    {"type": "response.reasoning_text.delta", "item_id": "rs_1", "output_index": 0, "content_index": 0, "delta": "hm"},
    {"type": "response.output_item.added", "output_index": 2, "item": TRANSFORMERS_CALL},
    {"type": "response.output_item.done", "output_index": 2, "item": TRANSFORMERS_CALL},
    completed({"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ""}]},
              TRANSFORMERS_CALL),
]  # fmt: skip


THIN = {"id": "resp_7", "object": "response", "status": "in_progress"}
LLAMA_TEXT = {"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}
LLAMA_MESSAGE = {"type": "message", "status": "completed", "id": "msg_1", "content": [LLAMA_TEXT], "role": "assistant"}
LLAMA = [
    {"type": "response.created", "response": THIN},
    {"type": "response.in_progress", "response": THIN},
    {"type": "response.output_item.added", "item": {**LLAMA_MESSAGE, "content": [], "status": "in_progress"}},
    {"type": "response.content_part.added", "item_id": "msg_1", "part": {"type": "output_text", "text": ""}},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "hel"},
    {"type": "response.created", "response": THIN},
    {"type": "response.in_progress", "response": THIN},
    {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "lo"},
    {"type": "response.output_text.done", "item_id": "msg_1", "text": "hello"},
    {"type": "response.content_part.done", "item_id": "msg_1", "part": LLAMA_TEXT},
    {"type": "response.output_item.done", "item": LLAMA_MESSAGE},
    completed(LLAMA_MESSAGE),
]


async def test_llama_cpp_which_begins_anew_with_each_piece() -> None:
    told = mended(LLAMA)
    for event in told:
        STRICT.validate_python(event)
    assert [event["type"] for event in told].count("response.created") == 1
    assert said(final_response(told)) == ("", "hello", [])


@pytest.mark.parametrize("events", [OLLAMA, TRANSFORMERS], ids=["Ollama", "transformers"])
async def test_through_the_gateway(events: list[Event]) -> None:
    body = {"model": "m1", "input": "hi", "stream": True}
    async with world(upstream_a(repair_responses=True)) as w:
        w.upstream.answer("/responses", stream_answer([sse(event, event["type"]) for event in events]))
        answer = await w.post("/responses", body)
        assert w.sent == body
    told = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    for event in told:
        STRICT.validate_python(event)
    assert said(final_response(told)) == ("hm", "", [("f", "{}")])


async def test_by_default_a_stream_passes_as_it_came() -> None:
    events = [sse(event, event["type"]) for event in OLLAMA]
    async with world() as w:
        w.upstream.answer("/responses", stream_answer(events))
        answer = await w.post("/responses", {"model": "m1", "input": "hi", "stream": True})
    assert answer.body == b"".join(events)


async def test_other_events_and_comments_pass_and_an_error_is_the_last() -> None:
    search = {"type": "response.web_search_call.searching", "output_index": 3, "item_id": "ws_1"}
    added = {"type": "response.output_item.added", "output_index": 3, "item": {"id": "ws_1", "type": "web_search_call"}}
    failed = {"type": "error", "message": "no", "code": None}
    events = [b": ping\n\n", *[sse(event, event["type"]) for event in (created(), added, search, OLLAMA[2], failed)]]
    async with world(upstream_a(repair_responses=True)) as w:
        w.upstream.answer("/responses", stream_answer(events))
        answer = await w.post("/responses", {"model": "m1", "input": "hi", "stream": True})
    lines = answer.body.decode()
    assert lines.startswith(": ping\n\n")
    told = [json.loads(line[6:]) for line in lines.splitlines() if line.startswith("data: {")]
    assert [event.get("output_index") for event in told if event["type"] == search["type"]] == [0]
    assert told[-1]["error"]["message"] == "no"


async def test_what_is_kept_is_bounded() -> None:
    delta = {"type": "response.output_text.delta", "output_index": 0, "item_id": "m", "content_index": 0}
    events = [sse({**delta, "delta": "x" * 60}) for _ in range(10)]
    async with world(upstream_a(repair_responses=True), settings=Settings(event_limit=500, retries=0)) as w:
        w.upstream.answer("/responses", stream_answer([sse(created()), *events, sse(completed())]))
        answer = await w.post("/responses", {"model": "m1", "input": "hi", "stream": True})
    assert b"event_limit" in answer.body


async def test_a_server_that_streams_unasked_is_told_not_to() -> None:
    async with world(upstream_a(repair_responses=True)) as w:
        w.upstream.answer("/responses", json_answer({"object": "response", "output": []}))
        answer = await w.post("/responses", {"model": "m1", "input": "hi"})
        assert (answer.json(), w.sent["stream"]) == ({"object": "response", "output": []}, False)


async def test_items_that_are_told_whole_count_for_what_is_kept() -> None:
    done = {"type": "response.output_item.done", "item": {"type": "image_generation_call", "result": "x" * 300}}
    events = [sse({**done, "output_index": number}) for number in range(10)]
    async with world(upstream_a(repair_responses=True), settings=Settings(event_limit=2000, retries=0)) as w:
        w.upstream.answer("/responses", stream_answer([sse(created()), *events, sse(completed())]))
        answer = await w.post("/responses", {"model": "m1", "input": "hi", "stream": True})
    assert b"event_limit" in answer.body


def test_probabilities_that_are_null_are_none() -> None:
    event = {
        "type": "response.output_text.delta",
        "output_index": 0,
        "content_index": 0,
        "delta": "x",
        "logprobs": None,
    }
    for told in mended([created(), event, completed()]):
        STRICT.validate_python(told)
