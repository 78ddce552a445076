"""The official SDK speaks one API, the upstream has the other one: over real sockets, whole and streamed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from openai_gateway_asgi import Outcome, Settings, Upstream
from openai_gateway_asgi.testing import Answer, FakeRequest, FakeUpstream, Script, stream_answer
from openai_gateway_asgi.testing.answers import Says, chat, chat_events, responses, responses_events, sse
from tests.cases.gateways import Served, served

CHAT, RESPONSES = "/chat/completions", "/responses"
ASK: Any = [{"role": "user", "content": "What is the weather?"}]
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
FLAT: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
HELLO = Says()
CALLED = Says(tool_calls=(("weather", {"city": "Ulm"}), ("weather", {"city": "Bonn"})))
JSON_SAID = Says(words=('{"degrees":', " 7}"))


class Weather(BaseModel):
    degrees: int


@asynccontextmanager
async def between(
    api: str, says: Says = HELLO, **options: Any
) -> AsyncIterator[tuple[Served, FakeUpstream, openai.AsyncOpenAI]]:
    """A gateway before an upstream that has this API alone, and says this."""

    def answer(make: Callable[[dict[str, Any], Says], Answer]) -> Callable[[FakeRequest], Answer]:
        return lambda request: make(request.fields(), says)

    async with FakeUpstream() as fake:
        fake.answer(RESPONSES, answer(responses))
        fake.answer(CHAT, answer(chat))
        upstream = Upstream(f"{fake.url}/v1", name="S", api_key="ks", model_ids=["m1"], api=api)
        async with served(upstream, **options) as s, s.sdk as sdk:
            yield s, fake, sdk
        assert {request.path for request in fake.requests} <= {f"/v1{CHAT if api == 'chat' else RESPONSES}"}


# A chat client, and an upstream that speaks Responses


async def test_chat_whole() -> None:
    async with between("responses") as (s, fake, sdk):
        completion = await sdk.chat.completions.create(model="m1", messages=ASK, max_tokens=50)
    assert completion.choices[0].message.content == "Hello from upstream."
    assert completion.usage is not None
    assert completion.usage.total_tokens == 11
    assert fake.last.fields()["max_output_tokens"] == 50
    assert s.records[0].usage is not None
    assert (s.records[0].usage.input, s.records[0].usage.output) == (7, 4)


@pytest.mark.parametrize("include", [True, False])
async def test_chat_streamed_raw(include: bool) -> None:
    async with between("responses") as (s, _, sdk):
        stream = await sdk.chat.completions.create(
            model="m1", messages=ASK, stream=True, stream_options={"include_usage": include}
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello from upstream."
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [11] * include
    assert chunks[-1 - include].choices[0].finish_reason == "stop"
    assert (s.records[0].outcome, s.records[0].usage is not None) == (Outcome.COMPLETED, True)


async def test_chat_streamed_by_the_helper() -> None:
    async with between("responses", CALLED) as (_s, _, sdk):
        async with sdk.chat.completions.stream(model="m1", messages=ASK, tools=[TOOL]) as stream:
            completion = await stream.get_final_completion()
    calls = completion.choices[0].message.tool_calls or []
    assert [(call.id, call.function.name, json.loads(call.function.arguments)["city"]) for call in calls] == [
        ("call_0", "weather", "Ulm"),
        ("call_1", "weather", "Bonn"),
    ]
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_a_chat_with_tools_goes_on() -> None:
    async with between("responses", CALLED) as (_s, fake, sdk):
        first = await sdk.chat.completions.create(model="m1", messages=ASK, tools=[TOOL])
        message = first.choices[0].message
        assert message.tool_calls is not None
        outputs: Any = [{"role": "tool", "tool_call_id": call.id, "content": "7"} for call in message.tool_calls]
        await sdk.chat.completions.create(model="m1", messages=[*ASK, message.to_dict(), *outputs], tools=[TOOL])  # type: ignore[list-item]
        sent = fake.last.fields()
    assert [(item["type"], item.get("call_id")) for item in sent["input"]] == [
        ("message", None),
        ("function_call", "call_0"),
        ("function_call", "call_1"),
        ("function_call_output", "call_0"),
        ("function_call_output", "call_1"),
    ]
    assert sent["tools"] == [{**FLAT, "strict": False}]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_client_of_the_old_functions_is_answered_in_their_words() -> None:
    functions: Any = [{"name": "weather", "parameters": {"type": "object"}}]
    async with between("responses", CALLED) as (_, fake, sdk):
        whole = await sdk.chat.completions.create(model="m1", messages=ASK, functions=functions)
        stream = await sdk.chat.completions.create(model="m1", messages=ASK, functions=functions, stream=True)
        chunks = [chunk.choices[0] async for chunk in stream]
        assert fake.last.fields()["parallel_tool_calls"] is False
    choice = whole.choices[0]
    assert choice.message.function_call is not None
    assert choice.message.tool_calls is None
    calls = [chunk.delta.function_call for chunk in chunks if chunk.delta.function_call]
    told = "".join(call.name or "" for call in calls), "".join(call.arguments or "" for call in calls)
    assert told == (choice.message.function_call.name, choice.message.function_call.arguments)
    assert told == ("weather", '{"city": "Ulm"}')
    assert (choice.finish_reason, chunks[-1].finish_reason) == ("function_call", "function_call")


async def test_chat_with_a_schema() -> None:
    async with between("responses", JSON_SAID) as (_s, fake, sdk):
        whole = await sdk.chat.completions.parse(model="m1", messages=ASK, response_format=Weather)
        async with sdk.chat.completions.stream(model="m1", messages=ASK, response_format=Weather) as stream:
            streamed = await stream.get_final_completion()
        sent = fake.last.fields()["text"]["format"]
    assert whole.choices[0].message.parsed == streamed.choices[0].message.parsed == Weather(degrees=7)
    assert (sent["type"], sent["name"], sent["strict"]) == ("json_schema", "Weather", True)


# A Responses client, and an upstream that speaks chat


async def test_responses_whole() -> None:
    async with between("chat") as (s, fake, sdk):
        response = await sdk.responses.create(model="m1", input="hi", instructions="Be brief.", max_output_tokens=50)
    assert (response.output_text, response.status, response.model) == ("Hello from upstream.", "completed", "m1")
    assert (response.instructions, response.max_output_tokens, response.store) == ("Be brief.", 50, False)
    assert response.usage is not None
    assert response.usage.total_tokens == 11
    assert fake.last.fields()["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
    ]
    assert s.records[0].usage is not None
    assert (s.records[0].usage.input, s.records[0].usage.output) == (7, 4)


async def test_responses_streamed_raw() -> None:
    async with between("chat") as (s, fake, sdk):
        stream = await sdk.responses.create(model="m1", input="hi", stream=True)
        events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello from upstream."
    )
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == 4
    assert fake.last.fields()["stream_options"] == {"include_usage": True}
    assert (s.records[0].outcome, s.records[0].usage is not None) == (Outcome.COMPLETED, True)


@pytest.mark.parametrize("says", [Says(reasoning="I think."), CALLED], ids=["reasoning", "calls"])
async def test_responses_streamed_by_the_helper(says: Says) -> None:
    async with between("chat", says) as (_s, _, sdk):
        async with sdk.responses.stream(model="m1", input="hi", tools=[FLAT]) as stream:
            response = await stream.get_final_response()
    if says is CALLED:
        calls = [(item.call_id, item.name, json.loads(item.arguments)["city"]) for item in response.output]  # type: ignore[union-attr]
        assert calls == [("call_0", "weather", "Ulm"), ("call_1", "weather", "Bonn")]
    else:
        thought, _ = response.output
        assert thought.type == "reasoning"
        assert thought.summary[0].text == "I think."
        assert response.output_text == "Hello from upstream."


async def test_a_response_with_tools_goes_on_from_its_output() -> None:
    async with between("chat", CALLED) as (_s, fake, sdk):
        first = await sdk.responses.create(model="m1", input="hi", tools=[FLAT])
        outputs = [
            {"type": "function_call_output", "call_id": item.call_id, "output": "7"}  # type: ignore[union-attr]
            for item in first.output
        ]
        again: Any = [{"role": "user", "content": "hi"}, *[item.to_dict() for item in first.output], *outputs]
        await sdk.responses.create(model="m1", input=again, tools=[FLAT])
        messages = fake.last.fields()["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in messages[1]["tool_calls"]] == ["call_0", "call_1"]


async def test_a_response_with_a_schema() -> None:
    async with between("chat", JSON_SAID) as (_s, fake, sdk):
        whole = await sdk.responses.parse(model="m1", input="hi", text_format=Weather)
        async with sdk.responses.stream(model="m1", input="hi", text_format=Weather) as stream:
            streamed = await stream.get_final_response()
        sent = fake.last.fields()["response_format"]
    assert whole.output_parsed == streamed.output_parsed == Weather(degrees=7)
    assert (sent["type"], sent["json_schema"]["name"], sent["json_schema"]["strict"]) == (
        "json_schema",
        "Weather",
        True,
    )


# What goes wrong in the middle


MIDDLE = {
    "an error": Script(error_after=2, message="Broke."),
    "a cut": Script(cut_after=2),
    "a reset": Script(reset_after=2),
}


@pytest.mark.parametrize("script", MIDDLE.values(), ids=MIDDLE)
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_what_breaks_in_the_middle_is_an_error_that_the_sdk_raises(path: str, script: Script) -> None:
    async with FakeUpstream() as fake:
        fake.script("m1", script)
        api = "responses" if path == CHAT else "chat"
        upstream = Upstream(f"{fake.url}/v1", name="S", api_key="ks", model_ids=["m1"], api=api)
        async with served(upstream) as s, s.sdk as sdk:
            heard = ""
            with pytest.raises(openai.APIError) as raised:
                if path == CHAT:
                    async for chunk in await sdk.chat.completions.create(model="m1", messages=ASK, stream=True):
                        heard += chunk.choices[0].delta.content or ""
                else:
                    async for event in await sdk.responses.create(model="m1", input="hi", stream=True):
                        assert event.type != "response.completed"
                        heard += event.delta if event.type == "response.output_text.delta" else ""
            assert heard == "Hello from"
            assert raised.value.message
            assert s.records[0].outcome is Outcome.UPSTREAM_FAILED


FAILED = {
    "type": "response.failed",
    "response": {"status": "failed", "error": {"code": "server_error", "message": "Gone."}},
}
FLAT_ERROR = {"type": "error", "code": "server_error", "message": "Gone.", "param": None}


@pytest.mark.parametrize("last", [FAILED, FLAT_ERROR], ids=["case_397", "case_398"])
async def test_the_errors_of_a_responses_stream_reach_a_chat_client_once(last: dict[str, Any]) -> None:
    begun = responses_events({"model": "m1"})[:5]
    async with between("responses") as (s, fake, _sdk):
        fake.answer(RESPONSES, stream_answer([*begun, sse(last, str(last["type"]))]))
        async with s.post(CHAT, {"model": "m1", "messages": ASK, "stream": True}) as answer:
            body = (await answer.aread()).decode()
    assert body.count("Gone.") == 2 * ("event: error" in body) or body.count("Gone.") == 1
    assert body.count('"error":{') == 1
    assert "[DONE]" not in body


async def test_case_380_a_chat_stream_that_is_cut_has_no_completed() -> None:
    begun = chat_events({"model": "m1"})[:3]
    async with between("chat") as (s, fake, _sdk):
        fake.answer(CHAT, stream_answer(begun))
        async with s.post(RESPONSES, {"model": "m1", "input": "hi", "stream": True}) as answer:
            body = (await answer.aread()).decode()
    assert "response.completed" not in body
    told = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: ")]
    assert told[-1]["type"] == "error"
    assert [event["sequence_number"] for event in told] == list(range(len(told)))


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_case_388_comments_pass_between_the_events(path: str) -> None:
    api = "responses" if path == CHAT else "chat"
    events = responses_events({"model": "m1"}) if path == CHAT else chat_events({"model": "m1"})
    body = {"model": "m1", "stream": True, **({"messages": ASK} if path == CHAT else {"input": "hi"})}
    async with between(api) as (s, fake, _sdk):
        commented = [piece for event in events for piece in (event, b": ping\n\n")]
        fake.answer(RESPONSES if path == CHAT else CHAT, stream_answer(commented))
        async with s.post(path, body) as answer:
            told = (await answer.aread()).decode()
    assert told.count(": ping\n\n") >= len(events) - 4
    for block in told.split("\n\n"):
        assert block == "" or block == ": ping" or block.startswith(("data: ", "event: "))
    assert "Hello" in told


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_however_the_stream_is_cut_into_reads_it_is_told_the_same(path: str, size: int) -> None:
    events = b"".join(responses_events({"model": "m1"}) if path == CHAT else chat_events({"model": "m1"}))
    body = {"model": "m1", "stream": True, **({"messages": ASK} if path == CHAT else {"input": "hi"})}
    async with between("responses" if path == CHAT else "chat") as (s, fake, _sdk):
        pieces = [events[at : at + size] for at in range(0, len(events), size)]
        fake.answer(RESPONSES if path == CHAT else CHAT, stream_answer(pieces))
        async with s.post(path, body) as answer:
            told = (await answer.aread()).decode()
    deltas = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: {")]
    if path == CHAT:
        assert "".join(each["choices"][0]["delta"].get("content") or "" for each in deltas) == "Hello from upstream."
        assert told.endswith("data: [DONE]\n\n")
    else:
        assert deltas[-1]["response"]["output"][0]["content"][0]["text"] == "Hello from upstream."


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_who_leaves_ends_the_upstreams_stream(path: str) -> None:
    async with FakeUpstream() as fake:
        fake.script("m1", stall_after=1)
        api = "responses" if path == CHAT else "chat"
        upstream = Upstream(f"{fake.url}/v1", name="S", api_key="ks", model_ids=["m1"], api=api)
        async with served(upstream) as s:
            body = {"model": "m1", "stream": True, **({"messages": ASK} if path == CHAT else {"input": "hi"})}
            async with s.post(path, body) as answer:
                async for _ in answer.aiter_raw():
                    break
            await fake.until(lambda: len(fake.closed_early) == 1)


async def test_a_stream_that_tells_more_than_may_be_kept_ends_in_an_error() -> None:
    words = Says(words=("x" * 400,) * 10)
    async with between("chat", words, settings=Settings(event_limit=2048, retries=0)) as (_s, _, sdk):
        with pytest.raises(openai.APIError, match="event_limit"):
            async for _ in await sdk.responses.create(model="m1", input="hi", stream=True):
                pass


async def test_streams_side_by_side_keep_to_themselves() -> None:
    async with between("chat", CALLED) as (_s, _, sdk):

        async def one() -> list[str]:
            async with sdk.responses.stream(model="m1", input="hi", tools=[FLAT]) as stream:
                return [item.id or "" for item in (await stream.get_final_response()).output]

        ids = [id for found in await asyncio.gather(*[one() for _ in range(8)]) for id in found]
    assert len(set(ids)) == 16
