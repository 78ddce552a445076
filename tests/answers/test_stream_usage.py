"""The usage of streams whose clients did not ask for it: recorded and counted, and nothing of it is seen."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from openai_gateway_asgi import ConfigError, Limit, Settings, Upstream
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.testing import Answer, FakeUpstream, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import DONE, USAGE, chat_events, sse
from openai_gateway_asgi.testing.requests import FakeRequest
from openai_gateway_asgi.upstream import usage_refusals
from openai_gateway_asgi.upstream.usage_refusals import UsageRefusals
from tests.cases.gateways import EAGER, MESSAGES, USERS, served, upstream_a, world
from tests.support.clock import Clock

CHAT = "/chat/completions"
ASKS = {"include_usage": True}
PLAIN = b"".join(chat_events({"model": "m1"}))
"""What a client gets that does not ask."""


def openai_events(fields: dict[str, Any]) -> list[bytes]:
    """As OpenAI writes them: asked for the usage, every event has a null."""
    asked = (fields.get("stream_options") or {}).get("include_usage") is True
    return [_with_null(event) if asked and b'"usage"' not in event else event for event in chat_events(fields)]


def _with_null(event: bytes) -> bytes:
    return event.replace(b"}\n\n", b', "usage": null}\n\n') if event != DONE else event


def openai_answer(request: FakeRequest) -> Answer:
    return stream_answer(openai_events(request.fields()))


@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_usage": None}])
async def test_who_does_not_ask_sees_nothing_of_it_and_is_counted_exactly(options: dict[str, Any] | None) -> None:
    async with world() as w:
        w.upstream.answer(CHAT, openai_answer)
        answer = await w.chat(stream=True, **({} if options is None else {"stream_options": options}))
        assert w.sent["stream_options"] == ASKS
        assert answer.body == PLAIN
        (record,) = w.records
    assert record.usage_raw == USAGE
    assert record.usage is not None
    assert (record.usage.input, record.usage.output, record.usage.estimated) == (7, 4, False)


async def test_who_asks_sees_exactly_what_came() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, openai_answer)
        answer = await w.chat(stream=True, stream_options=ASKS)
        assert answer.body == b"".join(openai_events({"model": "m1", "stream_options": ASKS}))
        assert b'"usage": null' in answer.body
        assert w.sent["stream_options"] == ASKS


async def test_the_clients_other_options_stay_and_the_bodys_other_fields_with_their_bytes() -> None:
    body = b'{"model":"m1","stream_options":{"include_obfuscation":false},"stream":true,"seed":1.0,"messages":[]}'
    async with world() as w:
        await w.post_bytes(CHAT, body)
        assert w.upstream.last.body == (
            b'{"model":"m1","stream":true,"seed":1.0,"messages":[],'
            b'"stream_options":{"include_obfuscation":false,"include_usage":true}}'
        )


@pytest.mark.parametrize("options", ["yes", [True], {"include_usage": "yes"}, 7])
async def test_options_that_cannot_be_read_are_the_upstreams_to_refuse(options: Any) -> None:
    async with world() as w:
        await w.chat(stream=True, stream_options=options)
        assert w.sent["stream_options"] == options


async def test_counts_on_every_event_that_need_the_gateways_own_asking_are_not_seen() -> None:
    def vllm(request: FakeRequest) -> Answer:
        options = request.fields().get("stream_options") or {}
        counted = options.get("include_usage") is True and options.get("continuous_usage_stats") is True
        events = chat_events(request.fields())
        return stream_answer(
            [
                event.replace(b"}\n\n", b', "usage": {"prompt_tokens": 7, "completion_tokens": 1}}\n\n')
                if counted and b'"usage"' not in event and event != DONE
                else event
                for event in events
            ]
        )

    async with world() as w:
        w.upstream.answer(CHAT, vllm)
        answer = await w.chat(stream=True, stream_options={"continuous_usage_stats": True})
        assert answer.body == PLAIN
        assert w.records[0].usage_raw == USAGE


TEXT = "kept for as long as the stream lasts?"


@pytest.mark.parametrize(
    ("path", "fields"),
    [(CHAT, {"messages": [{"role": "user", "content": TEXT}]}), ("/responses", {"input": TEXT})],
    ids=["asked", "translated"],
)
async def test_a_stream_that_has_begun_keeps_nothing_of_its_request(path: str, fields: dict[str, Any]) -> None:
    """A stream may be long, and the body large: neither what was sent is kept nor what is sent without asking."""
    gate = asyncio.Event()

    async def answer() -> AsyncIterator[bytes]:
        *events, done = chat_events({"model": "m1"})
        for event in events:
            yield event
        await gate.wait()
        yield done

    async with world(upstream_a(api="chat")) as w:
        w.upstream.answer(CHAT, lambda request: Answer(answer(), 200, [("content-type", "text/event-stream")]))
        async with w.conversation(path, {"model": "m1", "stream": True, **fields}, read_ahead=False) as talk:
            await talk.receive_start()
            await talk.receive_chunk()
            assert w.sent["stream_options"] == ASKS
            gc.collect()
            assert not [each for each in gc.get_objects() if isinstance(each, Payload) and _has_text(each)]
            gate.set()
            await talk.receive_rest()


def _has_text(payload: Payload) -> bool:
    return any(TEXT.encode() in bytes(value) for value in payload.outline.values())


async def test_completions_are_asked_too_and_responses_and_whole_answers_are_not() -> None:
    async with world() as w:
        await w.post("/completions", {"model": "m1", "prompt": "x", "stream": True})
        assert w.sent["stream_options"] == ASKS
        for path, body in (("/responses", {"input": "x", "stream": True}), (CHAT, {"messages": MESSAGES})):
            await w.post(path, {"model": "m1", **body})
            assert "stream_options" not in w.sent


URL = "https://up.test/v1"
OLD, NEW = "2024-08-01-preview", "2024-09-01-preview"


@pytest.mark.parametrize(
    ("upstream", "asked"),
    [
        ({}, True),
        ({"base_url": "https://api.openai.com/v1"}, True),
        ({"base_url": "http://localhost:11434/v1"}, True),
        ({"base_url": "https://api.mistral.ai/v1"}, False),
        ({"base_url": "https://codestral.mistral.ai/v1"}, False),
        ({"base_url": "https://openrouter.ai/api/v1"}, False),
        ({"base_url": "https://notopenrouter.ai/api/v1"}, True),
        ({"base_url": "https://r.openai.azure.com", "provider": "azure", "api_version": OLD}, False),
        ({"base_url": "https://r.openai.azure.com", "provider": "azure", "api_version": NEW}, True),
        ({"base_url": "https://r.openai.azure.com", "provider": "azure"}, True),
        ({"base_url": "https://r.openai.azure.com/openai/v1", "provider": "azure", "api_version": "preview"}, True),
        ({"rewrites": "off"}, False),
        ({"drop_fields": ["stream_options"]}, False),
        ({"stream_usage": "never"}, False),
        ({"stream_usage": "always", "base_url": "https://api.mistral.ai/v1"}, True),
        ({"stream_usage": "always", "rewrites": "off"}, True),
    ],
)
async def test_whom_it_asks(upstream: dict[str, Any], asked: bool) -> None:
    target = Upstream(**{"base_url": URL, "api_key": "k", "model_ids": ["m1"], **upstream})
    async with world(target) as w:
        answer = await w.chat(stream=True)
        assert ("stream_options" in w.sent) is asked
        assert answer.body == PLAIN.replace(b'"m1"', b"null" if target.is_azure and not target.is_azure_v1 else b'"m1"')
        assert (w.records[0].usage is not None) is asked


def refusing(status: int, body: Any) -> Callable[[FakeRequest], Answer]:
    """An upstream that does not know the field."""

    def answer(request: FakeRequest) -> Answer:
        if "stream_options" in request.fields():
            return json_answer(body, status)
        return openai_answer(request)

    return answer


UNKNOWN = {"error": {"message": "Unknown parameter: 'stream_options'.", "code": "unknown_parameter"}}
FORBIDDEN = {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "input": ASKS}]}


@pytest.mark.parametrize(("status", "body"), [(400, UNKNOWN), (422, FORBIDDEN)])
async def test_who_refuses_to_be_asked_is_asked_once_more_without_and_then_no_more(
    status: int, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(upstream_a("m1", "m2")) as w:
        w.upstream.answer(CHAT, refusing(status, body))
        answer = await w.chat(stream=True)
        assert (answer.status, answer.body) == (200, PLAIN)
        assert [("stream_options" in each.fields()) for each in w.upstream.requests] == [True, False]
        (record,) = w.records
        assert (record.attempts, len(record.tries), record.tries[0].failure, record.usage) == (1, 1, None, None)
        assert w.gateway.health().upstreams["A"].breakers == {}
        await w.chat(stream=True)
        assert len(w.upstream.requests) == 3
        await w.chat("m2", stream=True)  # of another model nothing is known
        assert len(w.upstream.requests) == 5
    assert "usage_not_told: upstream A does not take `stream_options`" in caplog.text


async def test_a_refusal_that_is_not_for_that_goes_to_the_client_and_is_not_remembered() -> None:
    async with world() as w:
        w.upstream.answer(
            CHAT,
            error_answer(400, "No such tool."),
            error_answer(400, "stream_options.include_obfuscation must be a boolean."),
            error_answer(400, "stream_options.include_obfuscation must be a boolean."),
            error_answer(500, "stream_options"),
            openai_answer,
        )
        refused = [await w.chat(stream=True, stream_options={"include_obfuscation": 1}) for _ in range(3)]
        assert [answer.status for answer in refused] == [400, 400, 500]
        assert len(w.upstream.requests) == 4
        await w.chat(stream=True)
        assert w.sent["stream_options"] == ASKS


async def test_a_stream_that_is_translated_is_asked_for_its_usage_where_that_can_be() -> None:
    body = {"model": "m1", "input": "hi", "stream": True}
    async with world(upstream_a(api="chat")) as w:
        w.upstream.answer(CHAT, refusing(422, FORBIDDEN))
        for requests in (2, 3):
            answer = await w.post("/responses", body)
            assert (answer.status, b"response.completed" in answer.body) == (200, True)
            assert len(w.upstream.requests) == requests
            assert "stream_options" not in w.sent
    async with world(upstream_a(api="chat")) as w:
        w.upstream.answer(CHAT, openai_answer)
        assert b'"total_tokens":11' in (await w.post("/responses", body)).body.replace(b" ", b"")
        assert w.records[0].usage_raw == USAGE
    mistral = Upstream("https://api.mistral.ai/v1", api_key="k", model_ids=["m1"], api="chat")
    async with world(mistral) as w:
        assert (await w.post("/responses", body)).status == 200
        assert "stream_options" not in w.sent


def test_what_is_remembered_of_refusals_is_bounded_and_forgotten() -> None:
    clock = Clock()
    refusals = UsageRefusals(clock=clock)
    a, b = upstream_a(), upstream_a(name="b")
    refusals.add(a, "m")
    assert (refusals.has(a, "m"), refusals.has(a, "n"), refusals.has(b, "m")) == (True, False, False)
    clock.now += usage_refusals.REMEMBERED
    assert not refusals.has(a, "m")
    for number in range(2 * usage_refusals.MOST):
        refusals.add(a, str(number))
    assert len(refusals) == usage_refusals.MOST
    assert refusals.has(a, str(2 * usage_refusals.MOST - 1))


async def test_a_stream_that_fails_over_is_asked_wherever_it_goes_and_seen_as_it_would_be() -> None:
    async with world(upstream_a(), Upstream("http://b/v1", name="B", model_ids=["m1"])) as w:
        w.upstream.host("a").answer(CHAT, error_answer(503))
        w.upstream.host("b").answer(CHAT, openai_answer)
        answer = await w.chat(stream=True)
        assert answer.body == PLAIN
        assert w.sent["stream_options"] == ASKS


async def test_an_event_that_is_too_long_to_be_held_passes_as_it_came_and_what_follows_is_changed() -> None:
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m1"}
    long = sse({**frame, "choices": [{"index": 0, "delta": {"content": "x" * 3000}, "finish_reason": None}]})
    begin, last = chat_events({"model": "m1"})[:2], chat_events({"model": "m1", "stream_options": ASKS})[-3:]
    whole = b"".join((*begin, long, *last))
    for size in (100, 1000, len(whole)):
        async with world(settings=Settings(retries=0, hold_limit=500)) as w:
            w.upstream.answer(CHAT, stream_answer([whole[at : at + size] for at in range(0, len(whole), size)]))
            answer = await w.chat(stream=True)
            assert answer.body == b"".join((*begin, long, last[0], last[2]))
            assert w.records[0].usage_raw == USAGE


async def test_a_stream_that_is_held_until_it_is_whole_is_changed_as_well() -> None:
    async with world(upstream_a(commit="whole")) as w:
        w.upstream.answer(CHAT, openai_answer)
        assert (await w.chat(stream=True)).body == PLAIN
        assert w.records[0].usage_raw == USAGE


async def test_no_quota_is_evaded_by_streaming() -> None:
    async with world(limits=[Limit(tokens=1000, per="day", by="user")], settings=EAGER) as w:
        w.upstream.answer(CHAT, openai_answer)
        await w.chat(stream=True, max_tokens=500)
        entry = (await w.ask("GET", "/limits")).json()["data"][0]
        assert entry["used"] == 11


async def test_clients_that_read_a_choice_of_every_event_go_on() -> None:
    async with FakeUpstream(["m1"]) as fake:
        fake.answer(CHAT, openai_answer)
        async with served(fake) as s, s.sdk as client:
            create: Any = client.chat.completions.create
            stream = await create(model="m1", messages=MESSAGES, stream=True)
            said = [event.choices[0].delta.content or "" async for event in stream]
            assert "".join(said) == "Hello from upstream."
            asked = await create(model="m1", messages=MESSAGES, stream=True, stream_options=ASKS)
            events = [event async for event in asked]
            assert (events[-1].choices, events[-1].usage.total_tokens) == ([], 11)
            assert [record.usage_raw for record in s.records] == [USAGE, USAGE]


async def test_an_explanation_shows_that_it_is_asked() -> None:
    async with world() as w:
        body = json.dumps({"model": "m1", "messages": MESSAGES, "stream": True}).encode()
        explained = await w.gateway.explain(USERS["a1"], "POST", "/chat/completions", body=body)
        (change,) = [each for each in explained.candidates[0].body if "stream_options" in each.at]
        assert change.by == "Upstream.stream_usage"


def test_a_wrong_word_says_which_there_are() -> None:
    with pytest.raises(ConfigError, match=r"stream_usage.*auto.*always.*never"):
        upstream_a(stream_usage="on")
