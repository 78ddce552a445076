from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi.answers.endings import decoded
from openai_gateway_asgi.answers.told import answers, any_tells, tells
from openai_gateway_asgi.http.sse import events_in
from openai_gateway_asgi.testing.answers import DONE, chat_events, responses_events, sse

CHAT, TEXT, RESPONSE = "createChatCompletion", "createCompletion", "createResponse"


def choice(delta: Any, **more: Any) -> bytes:
    return sse({"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": None, **more}]})


def event(kind: str, **more: Any) -> bytes:
    return sse({"type": kind, "sequence_number": 1, **more}, kind)


NOTHING = [
    (CHAT, choice({"role": "assistant"})),
    (CHAT, choice({"role": "assistant", "content": "", "refusal": None, "tool_calls": []})),
    (CHAT, choice({})),
    (CHAT, choice(None)),
    (CHAT, choice({"content": "", "reasoning_content": None})),
    (CHAT, choice({"role": "assistant", "content": ""}, logprobs=None, content_filter_results={"hate": {"filtered": False}})),
    (CHAT, choice({}, finish_reason="")),
    (CHAT, choice({}, finish_reason="null")),
    (CHAT, sse({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]})),
    (CHAT, sse({"choices": [], "usage": {"total_tokens": 1}})),
    (CHAT, sse({"id": "1", "choices": None})),
    (CHAT, sse({})),
    (CHAT, sse({"type": "ping"}, "ping")),
    (CHAT, sse({"type": "keepalive"}, "keepalive")),
    (CHAT, b"event: ping\n\n"),
    (CHAT, b"data:\n\n"),
    (CHAT, DONE),
    (TEXT, sse({"choices": [{"index": 0, "text": "", "finish_reason": None}]})),
    (RESPONSE, event("response.created", response={"status": "in_progress", "instructions": "x"})),
    (RESPONSE, event("response.queued", response={})),
    (RESPONSE, event("response.in_progress", response={})),
    (RESPONSE, event("keepalive")),
    (RESPONSE, event("response.output_item.added", item={"id": "m", "type": "message", "role": "assistant", "status": "in_progress", "content": []})),
    (RESPONSE, event("response.output_item.added", item={"id": "r", "type": "reasoning", "summary": []})),
    (RESPONSE, event("response.output_item.added", item={"id": "f", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""})),
    (RESPONSE, event("response.output_item.added", item={"id": "f", "type": "function_call", "call_id": "c", "name": "f", "namespace": "n", "arguments": ""})),
    (RESPONSE, event("response.output_item.added", item={"id": "c", "type": "code_interpreter_call", "status": "in_progress", "code": "", "container_id": "cntr_1", "outputs": None})),
    (RESPONSE, event("response.output_item.added", item={"id": "m", "type": "mcp_list_tools", "server_label": "s", "tools": []})),
    (RESPONSE, event("response.output_item.added", item={"id": "m", "type": "mcp_call", "server_label": "s", "name": "f", "arguments": ""})),
    (RESPONSE, event("response.content_part.added", part={"type": "output_text", "text": "", "annotations": []})),
    (RESPONSE, event("response.output_text.delta", delta="", logprobs=[])),
    ("getResponse", event("response.created", response={})),
    ("createTranscription", event("transcript.text.delta", delta="")),
]  # fmt: skip

SOMETHING = [
    (CHAT, choice({"content": "x"})),
    (CHAT, choice({"content": " "})),
    (CHAT, choice({"role": "assistant", "content": "x"})),
    (CHAT, choice({"reasoning_content": "hm"})),
    (CHAT, choice({"refusal": "no"})),
    (CHAT, choice({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]})),
    (CHAT, choice({}, finish_reason="stop")),
    (CHAT, choice({}, finish_reason="content_filter")),
    (CHAT, sse({"choices": [{"message": {"role": "assistant", "content": "x"}}]})),
    (CHAT, sse({"choices": [{"index": 1, "delta": {}}, {"index": 0, "delta": {"content": "x"}}]})),
    (CHAT, sse({"a": 1})),
    (CHAT, b"data: {oops\n\n"),
    (CHAT, b"data: text\n\n"),
    (TEXT, sse({"choices": [{"index": 0, "text": "x", "finish_reason": None}]})),
    (RESPONSE, event("response.output_text.delta", delta="x")),
    (RESPONSE, event("response.reasoning_summary_text.delta", delta="x")),
    (RESPONSE, event("response.output_item.added", item={"id": "m", "type": "message", "content": [{"type": "output_text", "text": "x"}]})),
    (RESPONSE, event("response.output_item.added", item={"id": "w", "type": "web_search_call", "action": {"query": "x"}})),
    (RESPONSE, event("response.completed", response={})),
    (RESPONSE, event("response.web_search_call.searching", output_index=0)),
    ("createImage", event("image_generation.partial_image", b64_json="AA")),
    ("createTranscription", event("transcript.text.delta", delta="x")),
    ("createSpeech", event("speech.audio.delta", audio="AA")),
    ("createRun", sse({"id": "run"}, "thread.run.created")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "events", "told"), [(*each, False) for each in NOTHING] + [(*each, True) for each in SOMETHING]
)
def test_everything_tells_but_what_the_list_names(operation: str, events: bytes, told: bool) -> None:
    (one,) = events_in(events)
    assert tells(operation, one, decoded(one.data)) is told
    assert any_tells(operation, b": comment\n\n" + events) is told


@pytest.mark.parametrize(("operation", "events"), [(CHAT, chat_events({})), (RESPONSE, responses_events({}))])
def test_the_first_word_is_the_first_thing_that_is_told(operation: str, events: list[bytes]) -> None:
    told = [any_tells(operation, event) for event in events]
    assert b"Hello" in events[told.index(True)]


@pytest.mark.parametrize(
    ("operation", "events", "answering"),
    [
        (CHAT, choice({"content": "x"}), True),
        (CHAT, choice({"refusal": "x"}), True),
        (CHAT, choice({"reasoning_content": "hm"}), False),
        (CHAT, choice({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}), False),
        (CHAT, choice({"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}), True),
        (CHAT, choice({"tool_calls": [{"index": 0, "custom": {"input": "x"}}]}), True),
        (CHAT, choice({"function_call": {"arguments": "{"}}), True),
        (TEXT, sse({"choices": [{"text": "x"}]}), True),
        (RESPONSE, event("response.output_text.delta", delta="x"), True),
        (RESPONSE, event("response.function_call_arguments.delta", delta="{"), True),
        (RESPONSE, event("response.reasoning_summary_text.delta", delta="x"), False),
        (RESPONSE, event("response.reasoning_text.delta", delta="x"), False),
        (RESPONSE, event("response.output_item.done", item={}), False),
        ("createImage", event("image_generation.partial_image", b64_json="AA"), True),
    ],
)
def test_what_is_the_answers_text_or_the_arguments_of_a_tool(operation: str, events: bytes, answering: bool) -> None:
    (one,) = events_in(events)
    assert answers(operation, decoded(one.data)) is answering
