"""What calls used and cost: found wherever it stands, counted for every attempt, estimated where nobody told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from openai_gateway_asgi import Limit, Price, Settings, Upstream, UsageRecord
from openai_gateway_asgi.host.usage import Usage
from openai_gateway_asgi.testing import Answer, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import DONE, RESPONSES_USAGE, USAGE, bytes_answer, chat_events, sse
from tests.cases.gateways import EAGER, chat, upstream_a, upstream_b, world
from tests.contrib.shared_speech import left_by_the_first_of_two

CHAT = "/chat/completions"
MIB = 1024 * 1024


def in_pieces(body: bytes, size: int, kind: str = "application/json") -> Answer:
    return Answer([body[at : at + size] for at in range(0, len(body), size)], 200, [("content-type", kind)])


def embeddings(place: int) -> bytes:
    """Four megabytes, with the usage before them, among them or behind them."""
    rows = [f'{{"index":{n},"embedding":[{"0.125," * 2000}0]}}' for n in range(300)]
    fields = ['"object":"list"', f'"data":[{",".join(rows)}]', '"model":"m1"']
    fields.insert(place, '"usage": {"prompt_tokens": 7, "total_tokens": 7}')
    return f"{{{','.join(fields)}}}".encode()


@pytest.mark.parametrize("size", [4096 + 1, 64 * 1024, 5 * MIB])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
async def test_usage_is_found_in_an_answer_of_megabytes_wherever_it_stands(place: int, size: int) -> None:
    body = embeddings(place)
    assert len(body) > 3 * MIB
    async with world() as w:
        w.upstream.answer("/embeddings", in_pieces(body, size))
        assert (await w.post("/embeddings", {"model": "m1", "input": "x"})).body == body
        assert w.records[0].usage_raw == {"prompt_tokens": 7, "total_tokens": 7}


@pytest.mark.parametrize("size", [7, 64 * 1024])
async def test_usage_that_two_reads_share_is_found(size: int) -> None:
    """Whatever is cut, as the pieces fall."""
    body = b'{"created":1,"usage":{"input_tokens":3,"output_tokens":4},"data":[{"b64_json":"%s"}]}' % (b"A" * 600_000)
    async with world() as w:
        w.upstream.answer("/images/generations", in_pieces(b" " * (size - 20) + body, size))
        await w.post("/images/generations", {"model": "m1", "prompt": "x"})
        assert w.records[0].usage_raw == {"input_tokens": 3, "output_tokens": 4}


@pytest.mark.parametrize("first", [True, False])
async def test_usage_is_found_in_a_last_event_of_megabytes(first: bool) -> None:
    usage, output = {"usage": RESPONSES_USAGE}, {"output": [{"result": "A" * 2 * MIB}]}
    response = {**usage, **output} if first else {**output, **usage}
    whole = sse({"type": "response.completed", "response": response}, "response.completed")
    reads = [whole[at : at + 64 * 1024] for at in range(0, len(whole), 64 * 1024)]
    async with world() as w:
        w.upstream.answer(
            "/responses", stream_answer([sse({"type": "response.output_text.delta", "delta": "a"}), *reads])
        )
        answer = await w.post("/responses", {"model": "m1", "input": "x", "stream": True})
        assert answer.body.endswith(whole)
        assert w.records[0].usage_raw == RESPONSES_USAGE


async def test_what_counts_nothing_hides_no_usage() -> None:
    """Schemas of tools are echoed behind it, and may have a field of that name."""
    tools = [{"type": "function", "parameters": {"properties": {"usage": {"type": "object"}}}}]
    async with world() as w:
        w.upstream.answer("/responses", json_answer({"usage": RESPONSES_USAGE, "tools": tools}))
        await w.post("/responses", {"model": "m1", "input": "x"})
        assert w.records[0].usage_raw == RESPONSES_USAGE


async def test_text_that_looks_like_a_usage_is_none() -> None:
    async with world() as w:
        w.upstream.answer("/audio/transcriptions", bytes_answer(b'He said "usage": {"seconds": 1}', "text/plain"))
        form = (
            b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm1\r\n--b\r\ncontent-disposition: form-data; '
        )
        form += b'name="file"; filename="a.mp3"\r\n\r\nx\r\n--b--\r\n'
        answer = await w.post_bytes(
            "/audio/transcriptions", form, headers={"content-type": "multipart/form-data; boundary=b"}
        )
        assert answer.status == 200
        assert w.records[0].usage is None


async def test_a_stored_answer_that_is_read_again_is_not_counted_again() -> None:
    settings = Settings(retries=0, record="all", open_groups=frozenset({"responses"}))
    async with world(settings=settings) as w:
        w.upstream.answer("/responses/resp_1", json_answer({"id": "resp_1", "usage": RESPONSES_USAGE}))
        assert (await w.ask("GET", "/responses/resp_1")).status == 200
        (record,) = w.records
        assert (record.usage, record.usage_raw) == (None, None)


# Every attempt


def counts(record: UsageRecord) -> Sequence[tuple[str, int | None]]:
    return [(each.upstream, None if each.usage is None else each.usage.tokens) for each in record.tries]


async def test_an_attempt_that_used_something_and_failed_counts_beside_the_one_that_answered() -> None:
    """Of a stream that was held until it would be whole, and was cut behind its usage."""
    cut = [
        *chat_events({"model": "m1", "stream_options": {"include_usage": True}})[:2],
        sse({"choices": [], "usage": USAGE}),
    ]
    prices = {"m1": Price(input=1_000_000, output=2_000_000)}
    async with world(upstream_a(commit="whole"), upstream_b(commit="whole"), prices=prices) as w:
        w.upstream.host("a").answer(CHAT, stream_answer([*cut]))
        answer = await w.chat(stream=True)
        assert answer.body.endswith(DONE)
        (record,) = w.records
    assert counts(record) == [("A", 11), ("B", 11)]
    assert record.usage == Usage(input=14, output=8)
    assert (record.cost, record.cost_source) == (Decimal(2 * (7 + 2 * 4)), "table")
    assert [each.cost for each in record.tries] == [Decimal(15), Decimal(15)]
    assert record.usage_raw == USAGE


async def test_a_response_that_failed_with_a_usage_counts() -> None:
    failed = {
        "id": "r",
        "status": "failed",
        "error": {"code": "server_error", "message": "no"},
        "usage": RESPONSES_USAGE,
    }
    async with world(upstream_a(), upstream_b()) as w:
        w.upstream.host("a").answer(
            "/responses", stream_answer([sse({"type": "response.failed", "response": failed}, "response.failed")])
        )
        await w.post("/responses", {"model": "m1", "input": "x", "stream": True})
        w.upstream.host("a").answer("/responses", json_answer(failed))
        await w.post("/responses", {"model": "m1", "input": "x"})
    assert [counts(record) for record in w.records] == [[("A", 11), ("B", 11)]] * 2


async def test_attempts_that_told_nothing_count_nothing_and_the_next_one_does_not_inherit() -> None:
    async with world(upstream_a(), upstream_b(), prices={"*": Price(input=1, output=1)}) as w:
        w.upstream.host("a").answer(CHAT, error_answer(503))
        w.upstream.host("b").answer(CHAT, json_answer({"choices": []}))
        await w.chat()
    (record,) = w.records
    assert counts(record) == [("A", None), ("B", None)]
    assert (record.usage, record.cost, record.cost_source) == (None, None, None)


async def test_an_attempt_of_unknown_price_makes_the_cost_of_the_call_unknown() -> None:
    cut = [*chat_events({"model": "m1"})[:2], sse({"choices": [], "usage": USAGE})]
    upstreams = upstream_a("m1", commit="whole"), Upstream("http://b/v1", name="B", model_ids=["m1"], reports_cost=True)
    async with world(*upstreams) as w:
        w.upstream.host("a").answer(CHAT, stream_answer(cut))
        w.upstream.host("b").script(usage={**USAGE, "cost": 0.5})
        await w.chat(stream=True)
    (record,) = w.records
    assert [each.cost for each in record.tries] == [None, Decimal("0.5")]
    assert record.cost is None


async def test_a_limit_by_upstream_is_charged_what_that_upstream_used() -> None:
    cut = [
        *chat_events({"model": "m1"})[:2],
        sse({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 1}}),
    ]
    limit = Limit(tokens=10_000, per="day", by="upstream")
    everybody = Limit(tokens=10_000, per="day")
    upstreams = upstream_a(commit="whole"), upstream_b(commit="whole")
    async with world(*upstreams, limits=[limit, everybody]) as w:
        w.upstream.host("a").answer(CHAT, stream_answer(cut))
        await w.chat(stream=True)
        desk = w.gateway._parts.desk
        assert desk is not None
        store: Any = desk.store
        used = {key.split("/")[1]: kept.used for key, kept in store.ledger.accounts.items()}
    assert used["upstream=A"] == 101
    assert used["upstream=B"] == 11
    assert [kept.used for key, kept in store.ledger.accounts.items() if "upstream" not in key] == [112]


# Clients that leave


def word(text: str) -> bytes:
    return sse({"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]})


def spoken(path: str, text: str) -> bytes:
    if path == CHAT:
        return word(text)
    return sse({"type": "response.output_text.delta", "item_id": "msg_1", "delta": text, "sequence_number": 7})


@pytest.mark.parametrize(("text", "each"), [(" word", 2), ("a", 1), (" sixteen letters", 4)])
@pytest.mark.parametrize("path", [CHAT, "/responses"])
async def test_what_a_client_that_leaves_used_is_estimated(path: str, text: str, each: int) -> None:
    body = {"model": "m1", "input": "y" * 400, "messages": [{"role": "user", "content": "x" * 4000}], "stream": True}
    prices = {"m1": Price(input=1_000_000, output=1_000_000)}
    async with world(limits=[Limit(tokens=10_000, per="day")], prices=prices) as w:
        w.upstream.answer(
            path, Answer([spoken(path, text)] * 100, 200, [("content-type", "text/event-stream")], "open")
        )
        async with w.conversation(path, body) as conversation:
            await conversation.receive_start()
            got = b""
            while len(got) < 100 * len(spoken(path, text)):
                got += await conversation.receive_chunk() or b""
            conversation.disconnect()
        await w.upstream.until_closed_early()
        entry = (await w.ask("GET", "/limits")).json()["data"][0]
    (record,) = w.records
    assert record.usage is not None
    assert record.usage.estimated
    assert record.usage.input is not None
    assert 1000 <= record.usage.input <= len(json.dumps(body)) // 4
    assert record.usage.output is not None
    assert 80 * each <= record.usage.output <= 100 * each
    assert entry["used"] == record.usage.tokens
    assert (record.cost, record.tries[0].usage) == (Decimal(record.usage.tokens or 0), record.usage)


async def test_who_leaves_before_anything_was_told_has_sent_something() -> None:
    async with world(limits=[Limit(tokens=10_000, per="day")]) as w:
        w.upstream.script(silence=True)
        async with w.conversation(CHAT, chat(max_tokens=5000)) as conversation:
            await w.upstream.until_requests(1)
            conversation.disconnect()
        entry = (await w.ask("GET", "/limits")).json()["data"][0]
    (record,) = w.records
    assert record.usage == Usage(input=record.usage.input if record.usage else None, output=0, estimated=True)
    assert entry["used"] == record.usage.input


async def test_a_stream_that_was_cut_is_estimated_and_one_that_told_its_usage_is_not() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, stream_answer([word(" word")] * 50))
        await w.chat(stream=True)
        w.upstream.answer(CHAT, stream_answer([word(" word"), sse({"choices": [], "usage": USAGE})]))
        await w.chat(stream=True)
    first, second = (record.usage for record in w.records)
    assert first is not None
    assert (first.estimated, first.output) == (True, 100)
    assert second == Usage(input=7, output=4)


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_was_told_before_an_error_of_the_upstreams_own_is_estimated(at_once: bool) -> None:
    said = [*[word(" word")] * 50, sse({"error": {"message": "No.", "type": "server_error", "code": None}})]
    async with world() as w:
        w.upstream.answer(CHAT, stream_answer([b"".join(said)] if at_once else said))
        await w.chat(stream=True)
    (record,) = w.records
    assert record.usage is not None
    assert record.usage.estimated
    assert 80 <= (record.usage.output or 0) <= 100


async def test_an_answer_that_was_whole_and_told_no_usage_is_unknown() -> None:
    async with world(upstream_a(stream_usage="never")) as w:
        await w.chat(stream=True)
        assert w.records[0].usage is None


# What is counted without tokens


async def test_spoken_characters_and_images_and_seconds_are_counted() -> None:
    prices = {"tts": Price(character="0.00001"), "dall": Price(image="0.04"), "whisper": Price(second="0.0001")}
    async with world(upstream_a("tts", "dall", "whisper"), prices=prices) as w:
        await w.post("/audio/speech", {"model": "tts", "input": "Grüße!", "voice": "alloy"})
        await w.post("/images/generations", {"model": "dall", "prompt": "x", "n": 3})
        w.upstream.answer("/audio/translations", json_answer({"task": "translate", "duration": 8.5, "text": "hi"}))
        form = b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b\r\ncontent-disposition: form-data; '
        form += b'name="file"; filename="a.mp3"\r\n\r\nx\r\n--b--\r\n'
        await w.post_bytes("/audio/translations", form, headers={"content-type": "multipart/form-data; boundary=b"})
    used = [(record.usage, record.cost) for record in w.records]
    assert used == [
        (Usage(characters=6), Decimal("0.00006")),
        (Usage(images=3), Decimal("0.12")),
        (Usage(seconds=8.5), Decimal("0.00085")),
    ]


async def test_what_was_spoken_before_uses_nothing() -> None:
    async with world(upstream_a("tts")) as w:
        for _ in range(2):
            assert (await w.post("/audio/speech", {"model": "tts", "input": "hi", "voice": "alloy"})).status == 200
    assert [record.usage for record in w.records] == [Usage(characters=2), None]


async def test_who_began_a_speech_that_others_hear_to_its_end_has_used_it() -> None:
    async with world(limits=[Limit(usd=1, per="day", by="user")], prices={"m1": Price(character="0.01")}) as w:
        async with left_by_the_first_of_two(w):
            pass
        entry = (await w.ask("GET", "/limits")).json()["data"][0]
    assert [(record.usage, record.cost) for record in w.records] == [
        (Usage(characters=5), Decimal("0.05")),
        (None, None),
    ]
    assert entry["used"] == "0.05"


@pytest.mark.parametrize("status", [400, 500])
async def test_what_was_refused_used_nothing(status: int) -> None:
    async with world(upstream_a("tts"), settings=EAGER) as w:
        w.upstream.script(status=status)
        await w.post("/audio/speech", {"model": "tts", "input": "hi", "voice": "alloy"})
        await w.post(CHAT, {"model": "tts", "messages": []})
    assert [record.usage for record in w.records] == [None, None]


# Cost


@pytest.mark.parametrize(
    ("upstream", "told", "cost", "source"),
    [
        ({"base_url": "https://openrouter.ai/api/v1"}, 0.00015, "0.00015", "upstream"),
        ({"base_url": "https://openrouter.ai/api/v1"}, 0, "0", "upstream"),
        ({"base_url": "https://openrouter.ai/api/v1", "reports_cost": False}, 5, "15", "table"),
        ({"base_url": "https://evil.test/openrouter.ai"}, 5, "15", "table"),
        ({"base_url": "https://xopenrouter.ai"}, 5, "15", "table"),
        ({}, 0.5, "15", "table"),
        ({"reports_cost": True}, 0.5, "0.5", "upstream"),
        ({"reports_cost": True}, -0.5, "15", "table"),
        ({"reports_cost": True}, "0.5", "15", "table"),
        ({"reports_cost": True}, True, "15", "table"),
        ({"reports_cost": True}, float("nan"), "15", "table"),
        ({"reports_cost": True}, float("inf"), "15", "table"),
        ({"reports_cost": True}, None, "15", "table"),
    ],
)
async def test_whose_own_cost_is_believed(upstream: dict[str, Any], told: Any, cost: str, source: str) -> None:
    target = Upstream(**{"base_url": "https://up.test/v1", "api_key": "k", "model_ids": ["m1"], **upstream})
    async with world(target, prices={"m1": Price(input=1_000_000, output=2_000_000)}) as w:
        w.upstream.script(usage={**USAGE, "cost": told})
        assert (await w.chat()).status == 200
        (record,) = w.records
    assert (record.cost, record.cost_source) == (Decimal(cost), source)


async def test_a_believed_cost_needs_no_prices() -> None:
    async with world(upstream_a(reports_cost=True)) as w:
        w.upstream.script(usage={"cost": 0.25})
        await w.chat()
    assert (w.records[0].usage, w.records[0].cost) == (None, Decimal("0.25"))


async def test_a_model_that_answers_under_another_name_has_that_ones_price() -> None:
    """A deployment of Azure's is called as its owner likes, and a router chooses."""
    prices = {"my-deployment": Price(input=1, output=1), "gpt-4o-2024-11-20": Price(input=1_000_000, output=1_000_000)}
    async with world(upstream_a("my-deployment"), prices=prices) as w:
        w.upstream.script(body={"model": "gpt-4o-2024-11-20", "usage": USAGE, "choices": []})
        await w.chat("my-deployment")
    assert w.records[0].cost == 11


REPEATED = {
    "metadata": {"model": "cheap"},
    "tools": [{"type": "function", "name": "f", "parameters": {"usage": {"input_tokens": 0, "output_tokens": 0}}}],
}
"""What a client may write, and servers repeat as they got it."""


async def test_what_a_client_wrote_is_no_usage_and_no_name_of_a_model() -> None:
    answer = {**REPEATED, "id": "r", "status": "completed", "model": "m1-2024", "output": [], "usage": RESPONSES_USAGE}
    ways = (answer, {name: answer[name] for name in reversed(answer)})
    async with world(prices={"cheap": Price(input=0, output=0), "m1-2024": Price(input=1_000_000, output=0)}) as w:
        for said in ways:
            w.upstream.answer("/responses", json_answer(said))
            await w.post("/responses", {"model": "m1", "input": "x", **REPEATED})
            event = sse({"response": said, "type": "response.completed"}, "response.completed")
            w.upstream.answer("/responses", stream_answer([event]))
            await w.post("/responses", {"model": "m1", "input": "x", "stream": True, **REPEATED})
    assert [(record.usage_raw, record.cost) for record in w.records] == [(RESPONSES_USAGE, 7)] * 4


async def test_who_leaves_before_the_usage_is_charged_by_an_estimate_and_not_by_what_they_wrote() -> None:
    created = sse({"type": "response.created", "response": {**REPEATED, "usage": None}}, "response.created")
    events = [created, *[sse({"type": "response.output_text.delta", "delta": " word" * 2})] * 600]
    async with world(limits=[Limit(tokens=100_000, per="day")]) as w:
        w.upstream.answer("/responses", Answer(events, 200, [("content-type", "text/event-stream")], ending="open"))
        async with w.conversation("/responses", {"model": "m1", "input": "x", "stream": True, **REPEATED}) as talk:
            await talk.receive_start()
            received = 0
            while received < 600 * len(events[1]):
                received += len(await talk.receive_chunk())
            talk.disconnect()
        (entry,) = (await w.ask("GET", "/limits")).json()["data"]
    (record,) = w.records
    assert record.usage is not None
    assert record.usage.estimated
    assert entry["used"] == record.usage.tokens > 600


async def test_a_model_without_a_price_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    async with world(upstream_a("m1", "m2"), prices={"m3": Price(input=1, output=1)}) as w:
        for model in ("m1", "m1", "m2"):
            await w.chat(model)
        await asyncio.sleep(0)
    assert [record.cost for record in w.records] == [None] * 3
    assert [line.message for line in caplog.records if line.message.startswith("unpriced")] == [
        f"unpriced: what model {model} of upstream A costs is unknown; add its price to `prices`."
        for model in ("m1", "m2")
    ]


@pytest.mark.parametrize(("words", "charged"), [(5000, 5000), (3, 1000)])
async def test_a_long_stream_that_nobody_counts_is_charged_by_what_was_told_of_it(words: int, charged: int) -> None:
    """Else whoever streams from an upstream that does not count pays for a short answer, however long theirs is."""
    limits = [Limit(tokens=1_000_000, per="day"), Limit(usd=100, per="day")]
    async with world(upstream_a(stream_usage="never"), limits=limits, prices={"m1": Price(input=0, output=1000)}) as w:
        w.upstream.answer(CHAT, stream_answer([*[word(" a")] * words, DONE]))
        await w.chat(stream=True)
        tokens, usd = (await w.ask("GET", "/limits")).json()["data"]
    assert w.records[0].usage is None
    assert 0.9 * charged <= tokens["used"] <= 1.1 * charged
    assert 0.9 * charged <= Decimal(usd["used"]) * 1000 <= 1.1 * charged
