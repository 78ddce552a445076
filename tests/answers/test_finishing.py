"""``Upstream(on_leave="finish")``: the answer to a client that left is read to its end, for the usage that stands there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openai_gateway_asgi import Limit, Upstream, UsageRecord
from openai_gateway_asgi.answers import finishing
from openai_gateway_asgi.host.records import AttemptRecord, Outcome
from openai_gateway_asgi.host.usage import Usage
from openai_gateway_asgi.http import background
from openai_gateway_asgi.observe import AttemptFacts, CallFacts
from openai_gateway_asgi.testing import Answer, FakeUpstream, Script, json_answer
from openai_gateway_asgi.testing.answers import RESPONSES_USAGE, USAGE, chat_events, responses_events
from tests.cases.gateways import World, chat, served, upstream_a, world

CHAT = "/chat/completions"
STREAM = {"content-type": "text/event-stream"}


class Gated:
    """An answer that stops until the gate is opened."""

    def __init__(self, *events: bytes, before: int, kind: str = "text/event-stream") -> None:
        self.gate = asyncio.Event()
        self.events = events
        self.before = before
        self.kind = kind

    def __call__(self, request: object) -> Answer:
        return Answer(self._chunks(), 200, [("content-type", self.kind)])

    async def _chunks(self) -> Any:
        for number, event in enumerate(self.events):
            if number == self.before:
                await self.gate.wait()
            yield event


def gated(fields: dict[str, Any], before: int = 3) -> Gated:
    return Gated(*chat_events({"model": "m1", **fields}), before=before)


ASKED = {"stream_options": {"include_usage": True}}


async def left(w: World, body: dict[str, Any], path: str = CHAT, *, after: int = 1) -> None:
    """A client that leaves once something was told."""
    async with w.conversation(path, body) as conversation:
        if after:
            await conversation.receive_start()
            for _ in range(after):
                await conversation.receive_chunk()
        else:
            await w.upstream.until_requests(1)
        conversation.disconnect()


async def record_of(w: World) -> UsageRecord:
    async with asyncio.timeout(5):
        while not w.records:
            await asyncio.sleep(0)
    (record,) = w.records
    return record


async def test_the_record_waits_for_the_exact_usage_and_the_client_for_nothing() -> None:
    answer = gated(ASKED)
    async with world(upstream_a(on_leave="finish"), limits=[Limit(tokens=10_000, per="day")]) as w:
        w.upstream.answer(CHAT, answer)
        await left(w, chat(stream=True))
        assert not w.records
        assert not w.upstream.closed_early
        answer.gate.set()
        record = await record_of(w)
        entry = (await w.ask("GET", "/limits")).json()["data"][0]
    assert record.usage == Usage(input=7, output=4)
    assert (record.usage_raw, record.outcome) == (USAGE, Outcome.CLIENT_GONE)
    assert record.tries[0].usage == record.usage
    assert entry["used"] == 11
    assert w.gateway._parts.finishing.number == 0


@pytest.mark.parametrize("path", [CHAT, "/responses"])
async def test_a_client_that_leaves_before_the_answer_began(path: str) -> None:
    usage = USAGE if path == CHAT else RESPONSES_USAGE
    gate = asyncio.Event()

    async def late(request: object) -> Answer:
        await gate.wait()
        return json_answer({"id": "x", "usage": usage})

    async with world(upstream_a(on_leave="finish")) as w:
        w.upstream.answer(path, late)
        await left(w, chat(input="x"), path, after=0)
        gate.set()
        record = await record_of(w)
    assert (record.usage_raw, record.outcome) == (usage, Outcome.CLIENT_GONE_BEFORE_FIRST_BYTE)


async def test_an_answer_that_was_half_there_and_one_that_was_held() -> None:
    body = b'{"id": "x", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 4}}'
    answer = Gated(body[:50], body[50:], before=1, kind="application/json")
    async with world(upstream_a(on_leave="finish")) as w:
        w.upstream.answer(CHAT, answer)
        await left(w, chat(), after=0)
        for _ in range(20):
            await asyncio.sleep(0)
        answer.gate.set()
        assert (await record_of(w)).usage == Usage(input=7, output=4)
    responses = responses_events({"model": "m1"})
    whole = b"".join(responses)
    answer = Gated(whole[: len(whole) - 40], whole[-40:], before=1)
    async with world(upstream_a(on_leave="finish", commit="whole")) as w:
        w.upstream.answer("/responses", answer)
        await left(w, {"model": "m1", "input": "x", "stream": True}, "/responses", after=0)
        for _ in range(20):
            await asyncio.sleep(0)
        answer.gate.set()
        assert (await record_of(w)).usage_raw == RESPONSES_USAGE


async def test_an_event_that_was_half_there_when_the_client_left() -> None:
    events = chat_events({"model": "m1", **ASKED})
    usage = events[-2]
    answer = Gated(*events[:-2], usage[:60], usage[60:], events[-1], before=len(events) - 1)
    async with world(upstream_a(on_leave="finish")) as w:
        w.upstream.answer(CHAT, answer)
        await left(w, chat(stream=True), after=4)
        for _ in range(20):
            await asyncio.sleep(0)
        answer.gate.set()
        assert (await record_of(w)).usage == Usage(input=7, output=4)


async def test_it_holds_no_place_of_the_user_or_of_the_upstream_and_no_body() -> None:
    answer = gated(ASKED)
    target = upstream_a("m1", "m2", on_leave="finish", max_concurrency=1)
    async with world(target, limits=[Limit(concurrent=1)]) as w:
        w.upstream.answer(CHAT, answer, lambda request: json_answer({"usage": USAGE}))
        await left(w, chat(stream=True))
        assert (await w.chat("m2")).status == 200
        answer.gate.set()
        async with asyncio.timeout(5):
            while len(w.records) < 2:
                await asyncio.sleep(0)


async def test_more_than_fit_are_cancelled_and_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(upstream_a(on_leave="finish")) as w:
        w.gateway._parts.finishing._most = 1
        answers = gated(ASKED), gated(ASKED)
        w.upstream.answer(CHAT, *answers)
        await left(w, chat(stream=True))
        await left(w, chat(stream=True))
        await w.upstream.until_closed_early()
        estimated = await record_of(w)
        assert estimated.usage is not None
        assert estimated.usage.estimated
        answers[0].gate.set()
        async with asyncio.timeout(5):
            while len(w.records) < 2:
                await asyncio.sleep(0)
        assert w.records[1].usage == Usage(input=7, output=4)


async def test_one_that_takes_too_long_is_estimated() -> None:
    async with world(upstream_a(on_leave="finish")) as w:
        w.gateway._parts.finishing._within = 0.01
        w.upstream.answer(CHAT, gated(ASKED))
        await left(w, chat(stream=True))
        record = await record_of(w)
        await w.upstream.until_closed_early()
    assert record.usage is not None
    assert record.usage.estimated
    assert record.usage.output


async def test_a_gateway_that_closes_gives_its_records_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "CLOSING", 0.01)
    told: list[UsageRecord] = []

    async def record(record: UsageRecord) -> None:
        await asyncio.sleep(0)
        told.append(record)

    async with world(upstream_a(on_leave="finish"), record_usage=record) as w:
        w.upstream.answer(CHAT, gated(ASKED))
        await left(w, chat(stream=True))
        assert not told
    assert [one.usage.estimated for one in told if one.usage] == [True]


async def test_who_does_not_leave_costs_nothing_more_and_a_cut_answer_stays_one() -> None:
    async with world(upstream_a(on_leave="finish")) as w:
        assert (await w.chat(stream=True)).status == 200
        assert (await w.chat()).status == 200
        w.upstream.script(cut_after=1)
        assert b"event: error" in (await w.chat(stream=True)).body
        w.upstream.script(status=500)
        assert (await w.chat()).status == 500
    assert [record.outcome for record in w.records] == ["completed", "completed", "upstream_failed", "upstream_failed"]


async def test_an_upstream_that_refuses_behind_its_clients_back_used_nothing() -> None:
    gate = asyncio.Event()

    async def late(request: object) -> Answer:
        await gate.wait()
        return json_answer({"error": {"message": "no"}}, 500)

    async with world(upstream_a(on_leave="finish")) as w:
        w.upstream.answer(CHAT, late)
        await left(w, chat(), after=0)
        gate.set()
        record = await record_of(w)
    assert record.usage is not None
    assert record.usage.estimated


async def test_who_looks_on_is_told_of_the_attempt_when_it_is_over() -> None:
    ended: list[AttemptRecord] = []

    class Onlooker:
        def call_started(self, call: CallFacts) -> Onlooker:
            return self

        def attempt_started(self, attempt: AttemptFacts) -> dict[str, str]:
            return {}

        def attempt_ended(self, attempt: AttemptRecord) -> None:
            ended.append(attempt)

        def finished(self, record: UsageRecord) -> None:
            assert record.tries == (ended[0],)

    answer = gated(ASKED)
    async with world(upstream_a(on_leave="finish")) as w:
        w.gateway.observe(Onlooker())
        w.upstream.answer(CHAT, answer)
        await left(w, chat(stream=True))
        assert not ended
        answer.gate.set()
        await record_of(w)
    assert [each.usage for each in ended] == [Usage(input=7, output=4)]


async def test_over_sockets_the_connection_is_used_again() -> None:
    async with FakeUpstream(["m1"]) as fake:
        fake.script("m1", Script(text="a b c d", event_every=0.02, usage=USAGE), Script(usage=USAGE))
        target = Upstream(fake.upstream.base_url, api_key="k", model_ids=["m1"], on_leave="finish")
        async with served(target) as s:
            async with s.post(CHAT, chat(stream=True)) as response:
                async for _ in response.aiter_bytes():
                    break
            async with asyncio.timeout(5):
                while not s.records:
                    await asyncio.sleep(0.01)
            assert s.records[0].usage == Usage(input=7, output=4)
            assert not fake.closed_early
            async with s.post(CHAT, chat()) as response:
                assert response.status_code == 200
            assert len(fake.connections) == 1


def test_its_bounds_are_finite() -> None:
    assert 0 < finishing.MOST < 1000
    assert 0 < finishing.WITHIN < 600
