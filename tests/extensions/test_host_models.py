"""Models that the host's own code serves, as clients see them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageFunctionToolCall

from openai_gateway_asgi import (
    ConfigError,
    HostModel,
    MemoryStore,
    ModelCall,
    Outcome,
    PermissionDenied,
    Preset,
    RateLimited,
    Reasoning,
    Settings,
    Timeouts,
    ToolCall,
    Usage,
    User,
)
from openai_gateway_asgi.extensions.running import Running
from openai_gateway_asgi.http.timers import GRACE
from openai_gateway_asgi.testing import json_answer
from tests.cases.gateways import MESSAGES, error_of, upstream_a, world
from tests.support.asgi import Response


async def says(call: ModelCall) -> AsyncIterator[object]:
    yield "Hello, "
    yield "you."
    yield Usage(input=7, output=4)


def serving(handler: Callable[[ModelCall], Any], **options: Any) -> Any:
    return world(host_models=[HostModel("mine", handler)], **options)


def events_of(response: Response) -> list[Any]:
    """What a stream says, decoded; ``[DONE]`` is the last."""
    assert response.header("content-type") == "text/event-stream"
    blocks = response.text.removesuffix("\n\n").split("\n\n")
    said = [block.partition("data: ")[2] for block in blocks]
    return [each if each == "[DONE]" else json.loads(each) for each in said]


def text_of(events: list[Any]) -> str:
    choices = [choice for event in events if isinstance(event, dict) for choice in event["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def test_what_is_yielded_comes_as_one_completion() -> None:
    async with serving(says) as host:
        answer = (await host.chat("mine")).json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "mine"
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello, you.", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}


async def test_a_stream_has_a_role_the_texts_a_finish_and_the_usage_where_it_is_asked_for() -> None:
    async with serving(says) as host:
        response = await host.chat("mine", stream=True, stream_options={"include_usage": True})
    *chunks, done = events_of(response)
    assert done == "[DONE]"
    assert [chunk["choices"] for chunk in chunks] == [
        [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "Hello, "}, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "you."}, "finish_reason": None}],
        [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        [],
    ]
    assert chunks[-1]["usage"]["total_tokens"] == 11
    assert {(chunk["id"], chunk["object"], chunk["model"]) for chunk in chunks} == {
        (chunks[0]["id"], "chat.completion.chunk", "mine")
    }


async def test_usage_that_nobody_asked_for_is_on_record_and_not_in_the_stream() -> None:
    async with serving(says) as host:
        response = await host.chat("mine", stream=True)
    assert all(event == "[DONE]" or event["choices"] for event in events_of(response))
    assert host.records[0].usage == Usage(input=7, output=4)


async def test_the_record_is_that_of_any_call() -> None:
    async with serving(says) as host:
        await host.chat("mine", stream=True, headers={"x-test-user": "u1"})
    (record,) = host.records
    assert (record.model, record.upstream, record.upstream_model) == ("mine", "host:mine", "mine")
    assert (record.user.id, record.outcome, record.status, record.streamed) == ("u1", Outcome.COMPLETED, 200, True)


async def test_it_is_listed_before_the_upstreams_models_and_only_to_those_who_may_call_it() -> None:
    def but_not_u1(user: User, model: Any) -> bool:
        return model.id != "mine" or user.id != "u1"

    own = HostModel("mine", says, name="My agent", tags=["own"])
    async with world(host_models=[own], authorize_model=but_not_u1) as host:
        seen = (await host.ask("GET", "/models")).json()["data"]
        less = (await host.ask("GET", "/models", headers={"x-test-user": "u1"})).json()["data"]
        one = (await host.ask("GET", "/models/mine")).json()
        denied = await host.chat("mine", headers={"x-test-user": "u1"})
    assert [each["id"] for each in seen] == ["mine", "m1"]
    assert (seen[0]["name"], seen[0]["tags"]) == ("My agent", ["own"])
    assert [each["id"] for each in less] == ["m1"]
    assert one["id"] == "mine"
    assert (denied.status, error_of(denied)["code"]) == (404, "model_not_found")


async def test_it_stays_when_the_configuration_changes_and_when_no_list_is_kept() -> None:
    own = [HostModel("mine", says)]
    changed = {
        "OPENAI_API_BASE_URLS": ["http://b/v1"],
        "OPENAI_API_KEYS": ["k"],
        "OPENAI_API_CONFIGS": {"0": {"model_ids": ["m2"]}},
    }
    async with world(host_models=own, settings=Settings(retries=0, model_list_lifetime=0)) as host:
        before = (await host.chat("mine")).status
        updated = await host.post("/config/update", changed)
        listed = [each["id"] for each in (await host.ask("GET", "/models")).json()["data"]]
        after = (await host.chat("mine")).status
    assert (before, updated.status, after) == (200, 200, 200)
    assert listed == ["mine", "m2"]


async def test_pieces_of_a_call_of_a_function_are_put_together() -> None:
    async def old(call: ModelCall) -> AsyncIterator[object]:
        for delta in ({"name": "f", "arguments": '{"a"'}, {"arguments": ": 1}"}):
            yield {"choices": [{"index": 0, "delta": {"function_call": delta}, "finish_reason": None}]}

    async with serving(old) as host:
        message = (await host.chat("mine")).json()["choices"][0]["message"]
    assert message["function_call"] == {"name": "f", "arguments": '{"a": 1}'}


async def test_it_needs_no_upstream_at_all() -> None:
    async with world(store=[], host_models=[HostModel("mine", says)]) as host:
        assert (await host.chat("mine")).status == 200
        assert host.gateway.warnings == ()


async def test_the_handler_is_told_who_asks_for_what() -> None:
    told: list[ModelCall] = []

    async def notes(call: ModelCall) -> str:
        told.append(call)
        return "noted"

    async with serving(notes) as host:
        await host.chat(
            "mine", temperature=0.5, tools=[{"type": "function"}], stream=True, headers={"x-test-user": "u1"}
        )
    (call,) = told
    assert call.user.id == "u1"
    assert call.model == "mine"
    assert call.messages == MESSAGES
    assert call.parameters == {"temperature": 0.5, "tools": [{"type": "function"}]}
    assert (call.operation, call.streams) == ("createChatCompletion", True)
    assert call.request is not None
    assert call.request.headers["x-test-user"] == "u1"


async def test_reasoning_and_tool_calls_are_said_as_clients_know_them() -> None:
    async def agent(call: ModelCall) -> AsyncIterator[object]:
        yield Reasoning("Hm.")
        yield ToolCall("look_up", {"word": "Zoë"}, id="call_1")
        yield ToolCall("count", "{}")

    async with serving(agent) as host:
        whole = (await host.chat("mine")).json()["choices"][0]
        events = events_of(await host.chat("mine", stream=True))
    message = whole["message"]
    assert whole["finish_reason"] == "tool_calls"
    assert (message["content"], message["reasoning_content"]) == (None, "Hm.")
    assert message["tool_calls"][0] == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look_up", "arguments": '{"word":"Zoë"}'},
    }
    assert message["tool_calls"][1]["id"].startswith("call_")
    deltas = [event["choices"][0]["delta"] for event in events[:-1]]
    assert [call["index"] for delta in deltas for call in delta.get("tool_calls", ())] == [0, 1]
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


MESSAGE = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
CALL = {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("given", "names"), [([MESSAGE], ["f"]), ([CALL], ["g"]), ([MESSAGE, CALL, ToolCall("h")], ["f", "g", "h"])]
)
@pytest.mark.parametrize("as_sdk", [True, False])
async def test_messages_and_calls_of_the_sdks_are_passed_on(given: list[Any], names: list[str], as_sdk: bool) -> None:
    kinds = {"assistant": ChatCompletionMessage, "function": ChatCompletionMessageFunctionToolCall}

    async def passes(call: ModelCall) -> AsyncIterator[object]:
        for each in given:
            kind = None if isinstance(each, ToolCall) else kinds[each.get("role") or each["type"]]
            yield kind.model_validate(each) if as_sdk and kind is not None else each
        yield (
            CompletionUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
            if as_sdk
            else Usage(input=1, output=2)
        )

    async with serving(passes) as host:
        whole = (await host.chat("mine")).json()
        events = events_of(await host.chat("mine", stream=True))
    (choice,) = whole["choices"]
    assert [each["function"]["name"] for each in choice["message"]["tool_calls"]] == names
    assert (choice["finish_reason"], whole["usage"]["total_tokens"]) == ("tool_calls", 3)
    deltas = [call for event in events[:-1] for call in event["choices"][0]["delta"].get("tool_calls", ())]
    assert [(each["index"], each["function"]["name"]) for each in deltas] == list(enumerate(names))


CHUNK = {"id": "x", "model": "inner", "choices": [{"index": 0, "delta": {"content": "chunk"}, "finish_reason": None}]}
COMPLETION = {
    "id": "x",
    "object": "chat.completion",
    "model": "inner",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "whole"}, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


@pytest.mark.parametrize(("given", "text", "finish"), [(CHUNK, "chunk", "stop"), (COMPLETION, "whole", "length")])
@pytest.mark.parametrize("streamed", [True, False])
async def test_chunks_and_completions_of_others_come_under_its_own_name(
    given: dict[str, Any], text: str, finish: str, streamed: bool
) -> None:
    async def passes(call: ModelCall) -> object:
        return given

    async with serving(passes) as host:
        response = await host.chat("mine", stream=streamed)
    if streamed:
        events = events_of(response)
        assert text_of(events) == text
        assert events[-2]["choices"][0]["finish_reason"] == finish
        assert {event["model"] for event in events[:-1]} == {"mine"}
    else:
        answer = response.json()
        assert (answer["model"], answer["choices"][0]["message"]["content"]) == ("mine", text)
        assert answer["choices"][0]["finish_reason"] == finish


def streamed_by_others(id: str, name: str) -> list[dict[str, Any]]:
    """A stream of another model's that says something, calls a tool and finishes."""
    begun = {"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": '{"a":'}}
    deltas: list[dict[str, Any]] = [{"content": name}, {"tool_calls": [begun]}]
    deltas.append({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]})
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    return [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}]


async def test_streams_that_are_passed_on_one_after_the_other_are_one_answer_that_finishes_once() -> None:
    async def passes(call: ModelCall) -> AsyncIterator[object]:
        for chunk in (*streamed_by_others("c1", "f"), *streamed_by_others("c2", "g")):
            yield chunk
        yield ToolCall("h", '{"a":1}')
        yield "!"

    async with serving(passes) as host:
        (whole,) = (await host.chat("mine")).json()["choices"]
        events = events_of(await host.chat("mine", stream=True))
    assert (whole["message"]["content"], whole["finish_reason"]) == ("fg!", "tool_calls")
    called = [(each["function"]["name"], each["function"]["arguments"]) for each in whole["message"]["tool_calls"]]
    assert called == [("f", '{"a":1}'), ("g", '{"a":1}'), ("h", '{"a":1}')]
    choices = [choice for event in events[:-1] for choice in event["choices"]]
    numbers = [call["index"] for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert numbers == [0, 0, 1, 1, 2]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["tool_calls"]
    assert choices[-1]["finish_reason"], "and nothing is said after it"


async def test_what_is_said_after_a_whole_answer_that_was_passed_on_comes_before_the_finish() -> None:
    async def passes(call: ModelCall) -> AsyncIterator[object]:
        yield {"choices": [{"index": 0, "message": MESSAGE, "finish_reason": "tool_calls"}]}
        yield {"choices": [{"index": 0, "message": {**MESSAGE, "content": "so."}, "finish_reason": "stop"}]}
        yield ToolCall("h")

    async with serving(passes) as host:
        (choice,) = (await host.chat("mine")).json()["choices"]
    assert [call["function"]["name"] for call in choice["message"]["tool_calls"]] == ["f", "f", "h"]
    assert choice["finish_reason"] == "tool_calls"


async def test_a_long_answer_is_gathered_up_to_the_event_limit() -> None:
    async def floods(call: ModelCall) -> AsyncIterator[str]:
        while True:
            yield "x" * 1000

    async with serving(floods, settings=Settings(retries=0, event_limit=100_000)) as host:
        response = await host.chat("mine")
    assert response.status == 500
    assert "too long" in error_of(response)["message"]


# What goes wrong


async def raises(call: ModelCall) -> AsyncIterator[str]:
    raise ValueError("sk-secret of the host")
    yield ""


async def gives_bytes(call: ModelCall) -> object:
    return b"bytes"


async def gives_no_choices(call: ModelCall) -> object:
    return {"object": "chat.completion.chunk"}


async def gives_a_user_s_message(call: ModelCall) -> object:
    return {"role": "user", "content": "x"}


async def gives_odd_choices(call: ModelCall) -> object:
    return {"choices": ["text"]}


async def gives_no_json(call: ModelCall) -> object:
    return {"choices": [{"index": 0, "delta": {"content": object()}}]}


async def gives_half_a_character(call: ModelCall) -> object:
    return "\ud83d"


async def is_cancelled_from_within(call: ModelCall) -> str:
    raise asyncio.CancelledError


BROKEN = [
    raises,
    gives_bytes,
    gives_no_choices,
    gives_odd_choices,
    gives_a_user_s_message,
    gives_no_json,
    gives_half_a_character,
    is_cancelled_from_within,
]


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("handler", BROKEN)
async def test_a_handler_that_fails_is_a_500_that_tells_nothing(
    handler: Any, streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(handler) as host:
        response = await host.chat("mine", stream=streamed)
    assert response.status == 500
    assert error_of(response) == {
        "message": "The application failed while it handled this request.",
        "type": "server_error",
        "param": None,
        "code": "host_failure",
    }
    assert response.header("x-should-retry") == "false"
    assert "the handler of 'mine'" in caplog.text
    assert len(host.records) == 1


@pytest.mark.parametrize("handler", BROKEN)
async def test_after_text_a_failure_is_an_error_event_and_no_end(
    handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails_late(call: ModelCall) -> AsyncIterator[object]:
        yield "so far"
        given = handler(call)
        if hasattr(given, "__aiter__"):
            async for piece in given:
                yield piece
        else:
            yield await given

    async with serving(fails_late) as host:
        response = await host.chat("mine", stream=True)
    *said, error = events_of(response)
    assert text_of(said) == "so far"
    assert error["error"]["code"] == "host_failure"
    assert "[DONE]" not in response.text


@pytest.mark.parametrize(("error", "status"), [(PermissionDenied("No."), 403), (RateLimited("Later."), 429)])
async def test_a_refusal_of_the_handlers_is_the_clients(error: Exception, status: int) -> None:
    async def refuses(call: ModelCall) -> str:
        raise error

    async with serving(refuses) as host:
        response = await host.chat("mine", stream=True)
    assert (response.status, error_of(response)["message"]) == (status, str(error))


async def test_where_a_handler_fails_the_next_candidate_answers(caplog: pytest.LogCaptureFixture) -> None:
    async with world(upstream_a("mine"), host_models=[HostModel("mine", raises)]) as host:
        host.upstream.answer("/chat/completions", json_answer({"choices": [], "id": "of the upstream"}))
        response = await host.chat("mine")
    assert response.json()["id"] == "of the upstream"
    assert [each.upstream for each in host.records[0].tries] == ["host:mine", "A"]


async def test_a_handler_stands_in_for_a_model_that_fails() -> None:
    store = MemoryStore([upstream_a("m1")], fallbacks={"m1": ["mine"]})
    async with world(store=store, host_models=[HostModel("mine", says)]) as host:
        host.upstream.answer("/chat/completions", json_answer({"error": {"message": "down"}}, status=503))
        response = await host.chat("m1")
    assert response.json()["choices"][0]["message"]["content"] == "Hello, you."
    assert response.json()["model"] == "mine"  # as an upstream's own answer says who gave it
    assert (host.records[0].model, host.records[0].served_model) == ("m1", "mine")


async def test_a_handler_stands_in_the_chain_of_a_preset() -> None:
    store = MemoryStore([upstream_a("m1")], presets=[Preset("pre", base=["mine", "m1"])])
    async with world(store=store, host_models=[HostModel("mine", says)]) as host:
        first = await host.chat("pre")
    async with world(store=store, host_models=[HostModel("mine", gives_bytes)]) as host:
        second = await host.chat("pre")
    assert first.json()["choices"][0]["message"]["content"] == "Hello, you."
    assert second.json()["choices"][0]["message"]["content"] == "Hello from upstream."
    assert {first.json()["model"], second.json()["model"]} == {"pre"}


async def test_a_quiet_handler_is_kept_alive_by_comments() -> None:
    async def slow(call: ModelCall) -> AsyncIterator[str]:
        await asyncio.sleep(0.15)
        yield "at last"

    async with serving(slow, settings=Settings(retries=0, keepalive_comments=0.05)) as host:
        response = await host.chat("mine", stream=True)
    assert response.text.startswith(":")
    assert "at last" in response.text


async def test_what_would_become_of_a_call_can_be_explained() -> None:
    async with serving(says) as host:
        told = await host.gateway.explain(
            User("u"), "POST", "/v1/chat/completions", {}, json.dumps({"model": "mine", "messages": []}).encode()
        )
    assert told.outcome == "sent"
    assert [(each.upstream, each.asked) for each in told.candidates] == [("host:mine", True)]


async def test_other_operations_are_refused() -> None:
    async with serving(says) as host:
        response = await host.post("/embeddings", {"model": "mine", "input": "x"})
    assert (response.status, error_of(response)["param"]) == (400, "model")


@pytest.mark.parametrize(("messages", "param"), [(None, "messages"), ("hi", "messages"), (["hi"], "messages[0]")])
async def test_messages_that_are_none_are_the_callers_fault(messages: Any, param: str) -> None:
    async with serving(says) as host:
        response = await host.post("/chat/completions", {"model": "mine", "messages": messages})
    assert (response.status, error_of(response)["param"]) == (400, param)


# How it is stopped


class Watched:
    """A handler that says one thing, waits, and notes when it was stopped."""

    def __init__(self) -> None:
        self.began, self.ended = asyncio.Event(), asyncio.Event()
        self.ended_at = 0.0

    async def __call__(self, call: ModelCall) -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.sleep(2 * GRACE)  # by then the client is watched
            self.began.set()
            await asyncio.Event().wait()
        finally:
            self.ended_at = asyncio.get_running_loop().time()
            self.ended.set()


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_client_that_leaves_stops_the_handler_at_once(streamed: bool) -> None:
    watched = Watched()
    async with serving(watched) as host:
        async with host.conversation(
            "/chat/completions", {"model": "mine", "messages": MESSAGES, "stream": streamed}
        ) as talk:
            await asyncio.wait_for(watched.began.wait(), 5)
            left_at = asyncio.get_running_loop().time()
            talk.disconnect()
            await asyncio.wait_for(watched.ended.wait(), 5)
        assert watched.ended_at - left_at < 0.1
        assert host.records[0].outcome in (Outcome.CLIENT_GONE, Outcome.CLIENT_GONE_BEFORE_FIRST_BYTE)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_handler_that_never_ends_is_out_of_time(streamed: bool) -> None:
    async def never(call: ModelCall) -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield ""

    slow = HostModel("mine", never, timeouts=Timeouts(first_event=0.05, answer=0.05))
    async with world(host_models=[slow]) as host:
        response = await host.chat("mine", stream=streamed)
    assert (response.status, error_of(response)["code"]) == (504, "upstream_timeout")


async def test_a_handler_that_floods_lets_others_have_their_turn() -> None:
    async def floods(call: ModelCall) -> AsyncIterator[str]:
        while True:
            yield "x"

    async with serving(floods) as host:
        async with host.conversation(
            "/chat/completions", {"model": "mine", "messages": MESSAGES, "stream": True}
        ) as talk:
            await talk.receive_start()
            talk.disconnect()
    assert host.records[0].outcome is Outcome.CLIENT_GONE


async def test_a_handler_that_swallows_its_cancellation_and_goes_on_is_ended() -> None:
    ended = asyncio.Event()

    async def stubborn(call: ModelCall) -> AsyncIterator[str]:
        try:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
                yield "more"
        finally:
            ended.set()

    async with serving(stubborn) as host:
        body = {"model": "mine", "messages": MESSAGES, "stream": True}
        async with host.conversation("/chat/completions", body) as talk:
            await talk.receive_start()
            talk.disconnect()
            await asyncio.wait_for(ended.wait(), 5)


async def test_a_handler_does_not_run_ahead_of_a_client_that_reads_nothing() -> None:
    yielded = 0

    async def floods(call: ModelCall) -> AsyncIterator[str]:
        nonlocal yielded
        while True:
            yielded += 1
            yield "x" * 1000

    async with serving(floods) as host:
        body = {"model": "mine", "messages": MESSAGES, "stream": True}
        async with host.conversation("/chat/completions", body, read_ahead=False) as talk:
            await talk.receive_start()
            await talk.quiet(500)
            before = yielded
            await talk.quiet(500)
            assert yielded == before < 200


async def test_a_handler_that_swallows_its_cancellation_is_left_to_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("openai_gateway_asgi.extensions.running.CLOSING", 0.05)
    release, over = asyncio.Event(), asyncio.Event()

    async def stubborn(call: ModelCall) -> AsyncIterator[str]:
        yield "one"
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        over.set()

    async with serving(stubborn) as host:
        async with host.conversation(
            "/chat/completions", {"model": "mine", "messages": MESSAGES, "stream": True}
        ) as talk:
            await talk.receive_start()
            talk.disconnect()
        assert host.records[0].outcome is Outcome.CLIENT_GONE
        assert "goes on all the same" in caplog.text
        release.set()
        await asyncio.wait_for(over.wait(), 5)


async def test_draining_ends_it_when_the_time_is_up() -> None:
    watched = Watched()
    async with serving(watched) as host:
        async with host.conversation(
            "/chat/completions", {"model": "mine", "messages": MESSAGES, "stream": True}
        ) as talk:
            await talk.receive_start()
            host.gateway.begin_drain(0.05)
            said = await talk.receive_rest()
    assert b'"code":"gateway_draining"' in said
    assert watched.ended.is_set()


async def test_what_is_made_without_waiting_is_passed_on_as_it_comes() -> None:
    class Each:
        def add(self, piece: object) -> bytes:
            return str(piece).encode()

        def end(self) -> bytes:
            return b"."

    async def counts() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    running = Running("mine", counts, Each())
    assert [piece async for piece in running] == [b"0", b"1", b"2", b"3", b"4", b"."]
    await running.aclose()


# What is no model


async def fine(call: ModelCall) -> str:
    return ""


def blocks(call: ModelCall) -> str:
    return ""


def blocks_in_pieces(call: ModelCall) -> Any:
    yield ""


async def takes_nothing() -> str:
    return ""


@pytest.mark.parametrize(
    ("id", "handler", "told"),
    [
        ("", fine, "one line"),
        ("a\nb", fine, "one line"),
        ("gpt-*", fine, "wildcard"),
        ("m", blocks, "plain function"),
        ("m", blocks_in_pieces, "plain generator"),
        ("m", takes_nothing, "takes ()"),
        ("m", None, "NoneType"),
        ("m", HostModel, "type"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused_at_the_start(id: str, handler: Any, told: str) -> None:
    with pytest.raises(ConfigError, match="host_models") as raised:
        HostModel(id, handler)
    assert told in str(raised.value)


async def test_two_of_one_id_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"host_models\.1"):
        async with world(host_models=[HostModel("m", fine), HostModel("m", says)]):
            pass


async def test_methods_partials_and_objects_serve_as_well() -> None:
    class Agent:
        async def answer(self, call: ModelCall) -> str:
            return "method"

        async def __call__(self, call: ModelCall) -> str:
            return "object"

    async def with_more(more: str, call: ModelCall) -> str:
        return more

    models = [
        HostModel("a", Agent().answer),
        HostModel("b", Agent()),
        HostModel("c", functools.partial(with_more, "partial")),
    ]
    async with world(host_models=models) as host:
        said = [(await host.chat(id)).json()["choices"][0]["message"]["content"] for id in "abc"]
    assert said == ["method", "object", "partial"]


async def test_a_role_that_a_handler_passes_on_is_told_once() -> None:
    async def relays(call: ModelCall) -> AsyncIterator[object]:
        for index in (0, 1):
            yield {"choices": [{"index": index, "delta": {"role": "assistant", "content": "a"}}]}
            yield {"choices": [{"index": index, "delta": {"role": "assistant", "content": "b"}}]}
        yield {"role": "assistant", "content": "c"}

    async with serving(relays) as host:
        events = events_of(await host.chat("mine", stream=True))
    told = [choice for event in events[:-1] for choice in event["choices"]]
    assert [choice["index"] for choice in told if "role" in choice["delta"]] == [0, 1]
    assert text_of(events[:-1]) == "ababc"


async def test_a_list_of_pieces_may_be_returned() -> None:
    async def lists(call: ModelCall) -> list[object]:
        return ["a", "b", Usage(input=1, output=2)]

    async with serving(lists) as host:
        answer = (await host.chat("mine")).json()
        streamed = text_of(events_of(await host.chat("mine", stream=True)))
    assert (answer["choices"][0]["message"]["content"], answer["usage"]["total_tokens"]) == ("ab", 3)
    assert streamed == "ab"
