"""What was never sent is no attempt: not on record, not in the health, not charged; no record names who was not asked;
and what a filter ends is no failure of the upstream's."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from openai_gateway_asgi import (
    Filter,
    FilterCall,
    FilterEvent,
    Limit,
    MemoryStore,
    PermissionDenied,
    Preset,
    Settings,
    Timeouts,
    Upstream,
)
from openai_gateway_asgi.testing import error_answer
from tests.cases.gateways import MESSAGES, upstream_a, upstream_b, world
from tests.contrib.test_opentelemetry import Seen

PROMPT = Preset("lawyer", base="m1", system="You know the law.")
LOCKED = Preset("lawyer", base="m1", params={"temperature": 0}, locked=["temperature"])
NO_ROOM = {"metadata": {f"k{n}": "v" for n in range(16)}}


@pytest.mark.parametrize(
    ("preset", "upstream", "path", "fields", "code"),
    [
        (PROMPT, {}, "/completions", {"prompt": "Hi"}, "unsupported_operation"),
        (LOCKED, {}, "/chat/completions", {"messages": MESSAGES, "temperature": 1}, "locked_parameter"),
        (LOCKED, {"stamp": {"metadata.who": "{user.id}"}}, "/chat/completions", {"messages": [], **NO_ROOM}, None),
    ],
)
async def test_what_a_preset_or_a_stamp_refuses_was_no_attempt(
    preset: Preset, upstream: dict[str, Any], path: str, fields: Any, code: str | None, caplog: Any
) -> None:
    caplog.set_level(logging.INFO, "openai_gateway_asgi")
    limits = [Limit(requests=10, per="day", by="user"), Limit(requests=10, per="day", by="upstream")]
    options = {"presets": [preset], "limits": limits, "settings": Settings(locked_params="refuse")}
    async with world(upstream_a(**upstream), **options) as w:
        seen = Seen(w)
        answer = await w.post(path, {"model": "lawyer", **fields})
        health = w.gateway.health().upstreams["A"]
        left = [each["used"] for each in (await w.ask("GET", "/limits")).json()["data"]]
    assert (answer.status, w.upstream.requests) == (400, [])
    assert code is None or answer.json()["error"]["code"] == code
    (record,) = w.records
    assert (record.attempts, record.tries, record.outcome.value) == (0, (), "rejected")
    assert (record.upstream, record.served_model, record.preset) == (None, None, "lawyer")
    assert (health.last_failure, health.in_flight) == (None, 0)
    assert seen.attempts == []
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]
    assert left == [0]


async def test_a_context_that_fails_was_no_attempt_of_the_upstreams() -> None:
    def context(user: Any, request: Any) -> Any:
        raise RuntimeError("the database is away")

    preset = Preset("lawyer", base="m1", system="Chat {context.chat}.")
    async with world(upstream_a(), presets=[preset], context=context) as w:
        assert (await w.chat("lawyer")).status == 500
        assert w.gateway.health().upstreams["A"].last_failure is None
    assert [(record.attempts, record.tries) for record in w.records] == [(0, ())]


ONE = Limit(requests=1, per="day", by="user", models="m2")


@pytest.mark.parametrize(
    ("options", "spare"),
    [({"limits": [ONE]}, upstream_b("m2")), ({}, upstream_b("m2", api="chat")), ({}, upstream_b("m2"))],
    ids=["its limit is used up", "it cannot be asked that", "it is left alone"],
)
async def test_the_record_names_who_was_asked_last_and_not_who_was_passed_over(
    options: dict[str, Any], spare: Upstream
) -> None:
    presets = [Preset("spare", base="m2")]
    store = MemoryStore([upstream_a(api="responses"), spare], fallbacks={"m1": ["spare"]}, presets=presets)
    settings = Settings(retries=0, timeouts=Timeouts(connect=1))
    async with world(store=store, settings=settings, **options) as w:
        w.upstream.answer("/responses", error_answer(503))
        body: dict[str, Any] = {"model": "m1", "messages": MESSAGES}
        path = "/chat/completions"
        if options:
            assert (await w.chat("spare")).status == 200
        elif spare.api == "chat":
            path, body = "/responses", {"model": "m1", "input": "Hi", "truncation": "auto"}
        else:
            w.upstream.answer(path, error_answer(503))
            for _ in range(5):
                await w.chat("spare")
        del w.records[:]
        assert (await w.post(path, body)).status == 503
    (record,) = w.records
    assert (record.attempts, record.upstream, record.upstream_model, record.served_model) == (1, "A", "m1", "m1")
    assert (record.preset, record.upstream_operation) == (None, None if path == "/responses" else "createResponse")


async def test_what_is_spoken_by_a_preset_is_on_record_as_its() -> None:
    presets = [Preset("voice", base="m1", params={"voice": "nova"})]
    async with world(upstream_a(), presets=presets) as w:
        for _ in range(2):
            assert (await w.post("/audio/speech", {"model": "voice", "input": "Hi", "voice": "alloy"})).status == 200
    assert [(record.preset, record.served_model, record.attempts) for record in w.records] == [
        ("voice", "m1", 1),
        ("voice", None, 0),
    ]


def refuses(call: FilterCall, event: FilterEvent) -> FilterEvent:
    raise PermissionDenied("Not that.")


def fails(call: FilterCall, event: FilterEvent) -> FilterEvent:
    raise RuntimeError("the rules are away")


@pytest.mark.parametrize(("event", "status"), [(refuses, 403), (fails, 500)])
@pytest.mark.parametrize("streamed", [False, True])
async def test_what_a_filter_ends_is_no_failure_of_the_upstream_that_answered(
    event: Any, status: int, streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(upstream_a(), filters=[Filter(event=event)]) as w:
        assert (await w.chat(stream=streamed)).status == status
        health = w.gateway.health().upstreams["A"]
    (record,) = w.records
    (attempt,) = record.tries
    assert (health.last_failure, health.in_flight, health.breakers) == (None, 0, {})
    assert (record.status, attempt.status, attempt.failure) == (status, 200, None)
    assert attempt.cause is not None
    assert attempt.cause.what == "internal"
    assert "attempt failed" not in caplog.text
