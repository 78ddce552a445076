"""Cases 405 to 410: what an upstream says is at fault, and what becomes of a call that is translated more than once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi import MemoryStore, Outcome, Settings
from openai_gateway_asgi.testing import Answer, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import responses_events, sse
from tests.cases.gateways import MESSAGES, chat, error_of, upstream_a, upstream_b, world

CHAT, RESPONSES = "/chat/completions", "/responses"
INPUT = {"model": "m1", "input": "hi"}


def complains(param: Any, status: int = 400) -> Answer:
    return json_answer(
        {"error": {"message": f"Bad {param}.", "type": "invalid_request_error", "param": param, "code": "x"}}, status
    )


TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
TALK = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "Let me see.", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "c2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]},
    {"role": "tool", "tool_call_id": "c1", "content": "1"},
    {"role": "tool", "tool_call_id": "c2", "content": "2"},
]  # fmt: skip
OF_CHAT = {
    "input[0].content": "messages[0].content",
    "input[1].content[0].text": "messages[1].content[0].text",
    "input[2]": "messages[1].tool_calls[0]",
    "input[3].call_id": "messages[1].tool_calls[1].id",
    "input[3].arguments": "messages[1].tool_calls[1].function.arguments",
    "input[5].output": "messages[3].content",
    "input[4].call_id": "messages[2].tool_call_id",
    "input[9]": None,
    "input": "messages",
    "tools[0].parameters": "tools[0].function.parameters",
    "tools[0].type": "tools[0].type",
    "max_output_tokens": "max_tokens",
    "reasoning.effort": "reasoning_effort",
    "text.format.schema": "response_format",
    "text.verbosity": None,
    "store": None,
    "temperature": "temperature",
    "model": "model",
    "top_k": "top_k",
    "instructions": None,
    "tool_choice.name": "tool_choice",
    "include": "logprobs",
}


@pytest.mark.parametrize(("param", "told"), OF_CHAT.items())
async def test_case_405_a_chat_client_is_told_its_own_field(param: str, told: str | None) -> None:
    fields = {"max_tokens": 5, "reasoning_effort": "low", "temperature": 1, "top_k": 3, "tools": TOOLS}
    fields |= {"tool_choice": {"type": "function", "function": {"name": "f"}}, "logprobs": True}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    async with world(upstream_a(api="responses")) as w:
        w.upstream.answer(RESPONSES, complains(param))
        answer = await w.post(CHAT, {"model": "m1", "messages": TALK, **fields, "response_format": form})
    assert (answer.status, answer.json()["error"]) == (
        400,
        {"message": f"Bad {param}.", "type": "invalid_request_error", "param": told, "code": "x"},
    )


ITEMS = [
    {"role": "user", "content": "hi"},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
    {"type": "function_call_output", "call_id": "c1", "output": "1"},
]
OF_RESPONSES = {
    "messages[0].content": "instructions",
    "messages[1].content": "input[0].content",
    "messages": "input",
    "messages[2].tool_calls[0]": "input[1]",
    "messages[2].tool_calls[0].id": "input[1].call_id",
    "messages[2].tool_calls[0].function.arguments": "input[1].arguments",
    "messages[2].tool_calls[1].id": None,
    "messages[3].tool_call_id": "input[3].call_id",
    "messages[7]": None,
    "tools[0].function.parameters": "tools[0].parameters",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "response_format.json_schema": "text.format",
    "stream_options": None,
    "user": "user",
    "tool_choice.function.name": "tool_choice",
    "logprobs": "include",
}


@pytest.mark.parametrize(("param", "told"), OF_RESPONSES.items())
async def test_case_405_a_responses_client_is_told_its_own_field(param: str, told: str | None) -> None:
    body = {
        "model": "m1", "input": ITEMS, "instructions": "S", "max_output_tokens": 5, "user": "u",
        "reasoning": {"effort": "low"}, "text": {"format": {"type": "json_object"}},
        "tools": [{"type": "function", "name": "f", "parameters": {}}],
        "tool_choice": {"type": "function", "name": "f"}, "include": ["message.output_text.logprobs"],
    }  # fmt: skip
    async with world(upstream_a(api="chat")) as w:
        w.upstream.answer(CHAT, complains(param))
        answer = await w.post(RESPONSES, body)
    assert answer.json()["error"] == {
        "message": f"Bad {param}.", "type": "invalid_request_error", "param": told, "code": "x",
    }  # fmt: skip


ODD = {
    "no error": json_answer({"oops": 1}, 400),
    "a list": json_answer([1], 400),
    "text": Answer([b"no"], 400, [("content-type", "text/plain")]),
    "no param": complains(None),
    "a number": complains(7),
    "broken JSON": Answer([b'{"error": '], 400, [("content-type", "application/json")]),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
async def test_an_error_that_names_no_field_passes_as_it_came(answer: Answer) -> None:
    async with world(upstream_a(api="responses")) as w:
        w.upstream.answer(RESPONSES, answer)
        got = await w.chat()
    assert (got.status, got.body) == (400, b"".join(answer.chunks))  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [{"detail": "Not Found"}, {"error": {"message": "Unknown path", "code": None}}])
async def test_case_406_a_404_of_the_translated_path_is_a_502(body: Any) -> None:
    async with world(upstream_a(api="responses")) as w:
        w.upstream.answer(RESPONSES, json_answer(body, 404))
        answer = await w.chat()
        assert (answer.status, error_of(answer)["code"]) == (502, "upstream_error")
        assert len(w.upstream.requests) == 1


async def test_case_406_a_404_for_the_model_stays_one() -> None:
    async with world(upstream_a(api="responses")) as w:
        w.upstream.answer(RESPONSES, error_answer(404, "No model m1.", code="model_not_found"))
        answer = await w.chat()
        assert (answer.status, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_case_407_a_401_is_the_gateways_own_affair() -> None:
    async with world(upstream_a(api="responses")) as w:
        w.upstream.answer(RESPONSES, error_answer(401))
        answer = await w.chat()
        assert (answer.status, error_of(answer)["code"]) == (502, "upstream_credential")


@pytest.mark.parametrize("stream", [False, True])
async def test_case_360_a_response_that_failed_with_a_200(stream: bool) -> None:
    error = {"code": "rate_limit_exceeded", "message": "Slow down."}
    failed = {"id": "resp_1", "object": "response", "status": "failed", "error": error, "output": []}
    event = {"type": "response.failed", "response": failed}
    async with world(upstream_a(api="responses")) as w:
        w.upstream.answer(RESPONSES, stream_answer([sse(event)]) if stream else json_answer(failed))
        answer = await w.chat(stream=stream)
        assert (answer.status, answer.json()["error"]["message"]) == (429, "Slow down.")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("code", "status"),
    [("invalid_prompt", 400), ("image_too_large", 400), ("invalid_base64_image", 400), ("failed_to_download_image", 400),
     ("bio_policy", 400), ("server_error", 500), ("vector_store_timeout", 500)],
)  # fmt: skip
async def test_case_360_whose_fault_it_was_stands_in_its_code(code: str, status: int, stream: bool) -> None:
    failed = {"id": "resp_1", "object": "response", "status": "failed", "error": {"code": code, "message": "No."}}
    failed["output"] = []
    event = {"type": "response.failed", "response": failed}
    async with world(upstream_a(api="responses")) as w:
        w.upstream.answer(RESPONSES, stream_answer([sse(event)]) if stream else json_answer(failed))
        answer = await w.chat(stream=stream)
        assert (answer.status, answer.json()["error"]["code"]) == (status, code)


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
STATEFUL = {
    "model": "m1",
    "input": [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret-blob"},
        CALL,
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
    ],
    "include": ["reasoning.encrypted_content"],
    "store": False,
}


@pytest.mark.parametrize("stream", [False, True])
async def test_case_408_a_fallback_to_the_other_api_is_translated_from_the_clients_own_body(stream: bool) -> None:
    store = MemoryStore([upstream_a(api="responses"), upstream_b("big", api="chat")], fallbacks={"m1": ["big"]})
    async with world(store=store) as w:
        w.upstream.answer(RESPONSES, error_answer(503, "Busy."))
        answer = await w.post(RESPONSES, {**STATEFUL, "stream": stream})
        assert answer.status == 200
        first, second = w.upstream.requests
        assert json.loads(first.body) == {**STATEFUL, "stream": stream}
        sent = json.loads(second.body)
        assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]
        assert b"secret-blob" not in second.body
        assert b'"model":"big"' in answer.body.replace(b": ", b":")
        (record,) = w.records
        assert (record.attempts, record.upstream_operation) == (2, "createChatCompletion")


async def test_a_fallback_from_a_translated_upstream_to_one_that_is_not() -> None:
    store = MemoryStore([upstream_a(api="responses"), upstream_b("big", api="chat")], fallbacks={"m1": ["big"]})
    body = chat(n=1, stop=None, max_tokens=3)
    async with world(store=store) as w:
        w.upstream.answer(RESPONSES, error_answer(503, "Busy."))
        assert (await w.post(CHAT, body)).status == 200
        first, second = w.upstream.requests
        assert json.loads(first.body)["max_output_tokens"] == 3
        assert json.loads(second.body) == {**body, "model": "big"}
        assert w.records[0].upstream_operation is None


async def test_a_stream_that_fails_before_it_said_anything_is_begun_anew_elsewhere() -> None:
    begun = responses_events({"model": "m1"})[:2]
    async with world(upstream_a(api="responses"), upstream_b(api="responses", priority=1)) as w:
        w.upstream.answer(RESPONSES, stream_answer(begun), stream_answer(responses_events({"model": "m1"})))
        answer = await w.chat(stream=True)
    assert answer.body.count(b'"role":"assistant"') == 1
    assert answer.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
async def test_case_410_the_record_is_the_same_whichever_way_the_call_went(stream: bool) -> None:
    told = []
    usages = {
        "chat": {
            "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
        "responses": {
            "input_tokens": 9, "output_tokens": 5, "total_tokens": 14,
            "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
            "output_tokens_details": {"reasoning_tokens": 2},
        },
    }  # fmt: skip
    for api in ("chat", "responses"):
        async with world(upstream_a(api=api)) as w:
            w.upstream.script("m1", usage=usages[api])
            for path, body in ((CHAT, {"model": "m1", "messages": MESSAGES}), (RESPONSES, INPUT)):
                options = {"stream_options": {"include_usage": True}} if path == CHAT and stream else {}
                answer = await w.post(path, {**body, "stream": stream, **options})
                assert answer.status == 200
                record = w.records[-1]
                told.append((record.usage, record.outcome, record.status, record.attempts, record.streamed))
                counted = b'"completion_tokens":5' if path == CHAT else b'"output_tokens":5'
                assert counted in answer.body.replace(b": ", b":")
    assert told[0][1] is Outcome.COMPLETED
    assert told[0][0] is not None
    assert told[0][0].reasoning == 2
    assert told == [told[0]] * 4


async def test_a_long_text_crosses_a_translation_uncopied_and_whole() -> None:
    picture = "data:image/png;base64," + "A" * 300_000
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": picture}}]
    async with world(upstream_a(api="responses")) as w:
        assert (await w.post(CHAT, {"model": "m1", "messages": [{"role": "user", "content": parts}]})).status == 200
        assert w.sent["input"][0]["content"][1]["image_url"] == picture
    content = [{"type": "input_text", "text": "x" * 40_000}, {"type": "input_image", "image_url": picture}]
    body = {"model": "m1", "instructions": "y" * 50_000, "input": [{"role": "user", "content": content}]}
    async with world(upstream_a(api="chat")) as w:
        answer = await w.post(RESPONSES, body)
        assert answer.json()["instructions"] == body["instructions"]
        system, user = w.sent["messages"]
        assert (system["content"], user["content"][0]["text"]) == (body["instructions"], "x" * 40_000)
        assert user["content"][1] == {"type": "image_url", "image_url": {"url": picture}}


@pytest.mark.parametrize("number", [4_096, 4_097])
async def test_a_chat_of_more_messages_than_anybody_sends_is_too_large(number: int) -> None:
    message = {"role": "user", "content": "hi"}
    async with world(upstream_a(api="responses")) as w:
        answer = await w.post(CHAT, {"model": "m1", "messages": [message] * number})
        assert answer.status == (200 if number == 4_096 else 413)
    async with world(upstream_a(api="chat")) as w:
        answer = await w.post(
            RESPONSES,
            {"model": "m1", "input": [{"role": "user", "content": [{"type": "input_text", "text": "x"}] * number}]},
        )
        assert answer.status == (200 if number == 4_096 else 413)


@pytest.mark.parametrize("count", [1_000, 30_000])
async def test_an_answer_with_too_much_in_it_is_not_translated(count: int) -> None:
    """Others would wait for it."""
    answer = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "x": [{}] * count}
    async with world(upstream_a(api="chat"), settings=Settings(retries=0)) as w:
        w.upstream.answer("/chat/completions", json_answer(answer))
        response = await w.post("/responses", {"model": "m1", "input": "hi"})
    if count == 1_000:
        assert response.json()["output"][0]["content"][0]["text"] == "hi"
    else:
        assert (response.status, error_of(response)["code"]) == (502, "upstream_error")
        assert "more than 30000 objects and lists" in error_of(response)["message"]


async def test_an_event_with_too_much_in_it_is_not_translated() -> None:
    said = {"choices": [{"index": 0, "delta": {"content": "hi"}}]}
    async with world(upstream_a(api="chat"), settings=Settings(retries=0)) as w:
        w.upstream.answer("/chat/completions", stream_answer([sse(said), sse({**said, "x": [{}] * 30_000})]))
        response = await w.post("/responses", {"model": "m1", "input": "hi", "stream": True})
    assert b'"delta":"hi"' in response.body
    assert b"more than 30000 objects and lists" in response.body
    assert b"response.completed" not in response.body


# In the middle of a stream, in every spelling


PIECES = [{"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in ("a", "b")]
SPOKEN = {
    "nested": {"error": {"message": "Broke.", "code": 500}},
    "a text": {"error": "Broke."},
    "true": {"error": True, "message": "Broke."},
    "vLLM": {"object": "error", "message": "Broke.", "type": "InternalServerError", "code": 500},
    "FastAPI": {"detail": "Broke."},
    "OpenRouter": {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "Broke."}}]},
}


@pytest.mark.parametrize("reads", ["one", "many"])
@pytest.mark.parametrize("said", SPOKEN.values(), ids=SPOKEN)
async def test_case_381_an_error_is_the_last_event_and_has_the_next_number(said: dict[str, Any], reads: str) -> None:
    pieces = [sse(each) for each in (*PIECES, said)]
    async with world(upstream_a(api="chat")) as w:
        w.upstream.answer(CHAT, stream_answer(pieces if reads == "many" else [b"".join(pieces)]))
        answer = await w.post(RESPONSES, {"model": "m1", "input": "hi", "stream": True})
        record = w.records[0]
    told = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: {")]
    if answer.status == 200:
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        assert (told[-1]["type"], told[-1]["message"]) == ("error", "Broke.")
        assert "response.completed" not in {event["type"] for event in told}
    else:
        assert error_of(answer)["message"] == "Broke."
    assert record.outcome is Outcome.UPSTREAM_FAILED


async def test_a_stream_that_ends_with_an_error_in_nobodys_words_has_failed() -> None:
    """Not translated either: its end said so, and the answer was taken for whole."""
    async with world(upstream_a()) as w:
        w.upstream.answer(CHAT, stream_answer([sse(each) for each in (*PIECES, SPOKEN["FastAPI"])]))
        answer = await w.chat(stream=True)
        assert b'"error"' in answer.body
        assert w.records[0].outcome is Outcome.UPSTREAM_FAILED
