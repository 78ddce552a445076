"""Those who look on at calls: what they are told, in which order, what they may send, and that they harm nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from openai_gateway_asgi import (
    AttemptFacts,
    AttemptRecord,
    CallFacts,
    CallObserver,
    ConfigError,
    Failure,
    Outcome,
    Settings,
    UsageRecord,
    User,
    admins_only,
)
from openai_gateway_asgi.testing import error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import USAGE
from tests.cases.gateways import World, chat, upstream_a, upstream_b, world

CHAT = "/chat/completions"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


class OneCall:
    def __init__(self, told: list[Any], headers: Mapping[str, str]) -> None:
        self._told = told
        self._headers = headers

    def attempt_started(self, attempt: AttemptFacts) -> Mapping[str, str]:
        self._told.append(attempt)
        return {name: value.format(number=attempt.number) for name, value in self._headers.items()}

    def attempt_ended(self, attempt: AttemptRecord) -> None:
        self._told.append(attempt)

    def finished(self, record: UsageRecord) -> None:
        self._told.append(record)


class Onlooker:
    """Keeps all that it is told, of all calls."""

    def __init__(self, headers: Mapping[str, str] | None = None, trace: str | None = None) -> None:
        self.told: list[Any] = []
        self._headers = headers or {}
        self._trace = trace

    def call_started(self, call: CallFacts) -> CallObserver:
        self.told.append(call)
        if self._trace is not None:
            call.trace_id = self._trace
        return OneCall(self.told, self._headers)

    @property
    def record(self) -> UsageRecord:
        last = self.told[-1]
        assert isinstance(last, UsageRecord)
        return last


def watched(w: World, **options: Any) -> Onlooker:
    onlooker = Onlooker(**options)
    w.gateway.observe(onlooker)
    return onlooker


async def test_a_call_is_told_from_its_start_to_its_record() -> None:
    async with world(upstream_a(), upstream_b(), settings=Settings(retries=0)) as w:
        onlooker = watched(w)
        good = json_answer({"usage": USAGE}, 200, [("x-request-id", "req_b")])
        w.upstream.answer(CHAT, error_answer(503), good)
        assert (await w.chat(temperature=0.5, stop="secret", logprobs=True)).status == 200
    call, first, refused, second, answered, record = onlooker.told
    assert (call.operation, call.trace_id) == ("createChatCompletion", None)
    assert (first.number, first.upstream, first.model, first.public_model) == (1, "A", "m1", "m1")
    assert (refused.number, refused.upstream, refused.status, refused.failure) == (1, "A", 503, Failure.OVERLOADED)
    assert (second.number, second.upstream, second.base_url) == (2, "B", "http://b/v1")
    assert (answered.number, answered.status, answered.failure, answered.cause) == (2, 200, None, None)
    assert answered.upstream_request_id == "req_b"
    assert record.tries == (refused, answered)
    assert record.attempts == 2
    assert record.served_model == "m1"
    assert 0 <= refused.began <= refused.answered <= refused.ended <= answered.began <= answered.answered
    assert answered.answered <= record.first_byte <= answered.ended <= record.total


async def test_of_a_body_numbers_and_flags_alone_can_be_asked_for() -> None:
    seen: dict[str, Any] = {}

    class Asks(OneCall):
        def attempt_started(self, attempt: AttemptFacts) -> Mapping[str, str]:
            for key in ("temperature", "max_tokens", "logprobs", "stop", "messages", "unheard-of", "seed", "n"):
                seen[key] = attempt.number_at(key)
            return {}

    class Starts:
        def call_started(self, call: CallFacts) -> CallObserver:
            return Asks([], {})

    async with world() as w:
        w.gateway.observe(Starts())
        await w.chat(temperature=0.5, max_tokens=0, logprobs=False, stop="s", seed=10**40, n=None)
    assert seen.pop("logprobs") is False
    assert seen.pop("temperature") == 0.5
    assert seen.pop("max_tokens") == 0
    assert set(seen.values()) == {None}


async def test_each_attempt_sends_its_own_headers_in_place_of_the_clients() -> None:
    async with world(upstream_a(), upstream_b()) as w:
        watched(w, headers={"traceparent": "own-{number}"})
        w.upstream.answer(CHAT, error_answer(503), json_answer({}))
        await w.chat(headers={"traceparent": PARENT, "tracestate": "a=b"})
        sent = [[value for name, value in each.headers if name == b"traceparent"] for each in w.upstream.requests]
        assert sent == [[b"own-1"], [b"own-2"]]
        assert dict(w.upstream.last.headers)[b"tracestate"] == b"a=b"


async def test_no_header_of_an_onlooker_takes_the_place_of_the_credential() -> None:
    async with world() as w:
        watched(w, headers={"Authorization": "Bearer other"})
        await w.chat()
        sent = [value for name, value in w.upstream.last.headers if name == b"authorization"]
        assert sent == [b"Bearer ka"]


@pytest.mark.parametrize(
    ("sent", "own", "known"),
    [
        (PARENT, None, TRACE),
        (PARENT, "ff" * 16, "ff" * 16),
        (None, "ff" * 16, "ff" * 16),
        (None, None, None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None, None),
        (f"x {PARENT}", None, None),
        (PARENT.upper(), None, None),
    ],
)
async def test_a_record_knows_its_trace(sent: str | None, own: str | None, known: str | None) -> None:
    async with world() as w:
        watched(w, trace=own)
        await w.chat(headers={} if sent is None else {"traceparent": sent})
        assert w.records[0].trace_id == known


async def test_without_onlookers_the_record_knows_the_clients_trace() -> None:
    async with world() as w:
        await w.chat(headers={"traceparent": PARENT})
        assert w.records[0].trace_id == TRACE


@pytest.mark.parametrize("at", ["call_started", "attempt_started", "attempt_ended", "finished"])
async def test_one_that_raises_harms_neither_the_call_nor_the_others(at: str, caplog: Any) -> None:
    class Fails(OneCall):
        def call_started(self, call: CallFacts) -> CallObserver:
            return self

    def fails(self: Fails, about: Any) -> Any:
        raise RuntimeError("secret")

    setattr(Fails, at, fails)
    async with world() as w:
        w.gateway.observe(Fails([], {}))
        onlooker = watched(w)
        assert (await w.chat()).status == 200
        assert onlooker.record.outcome is Outcome.COMPLETED
        assert len(w.records) == 1
    assert "observer_failed" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_header_that_cannot_be_sent_is_not_sent(caplog: Any) -> None:
    async with world() as w:
        watched(w, headers={"traceparent": "a\r\nb: c"})
        assert (await w.chat()).status == 200
        assert b"traceparent" not in dict(w.upstream.last.headers)
    assert "observer_failed" in caplog.text


async def test_who_does_not_want_a_call_hears_no_more_of_it() -> None:
    class Passes:
        def call_started(self, call: CallFacts) -> None:
            return None

    async with world() as w:
        w.gateway.observe(Passes())
        assert (await w.chat()).status == 200


async def test_what_is_no_onlooker_is_refused() -> None:
    async with world() as w:
        with pytest.raises(ConfigError, match="call_started"):
            w.gateway.observe(object())  # type: ignore[arg-type]


async def test_calls_on_stored_objects_are_looked_on_at_and_counted_by_the_host_only_where_it_says_so() -> None:
    for record, counted in (("models", 0), ("all", 1)):
        async with world(settings=Settings(record=record)) as w:  # type: ignore[arg-type]
            onlooker = watched(w)
            w.upstream.answer("/files", json_answer({}))
            assert (await w.ask("GET", "/files")).status == 200
            assert onlooker.record.operation == "listFiles"
            assert onlooker.record.tries[0].model is None
            assert len(w.records) == counted


@pytest.mark.parametrize(
    ("path", "options", "reason", "code"),
    [
        (CHAT, {"model": "m1"}, "denied", "model_not_found"),
        (CHAT, {"model": "m2"}, "unknown", "model_not_found"),
        (CHAT, {"model": 1}, "invalid_type", "invalid_type"),
        ("/files", {}, "group_closed", "not_found"),
    ],
)
async def test_a_refusal_says_which_it_was_to_operators_alone(
    path: str, options: dict[str, Any], reason: str, code: str
) -> None:
    async with world(upstream_a(), authorize_model=admins_only) as w:
        onlooker = watched(w)
        method = "POST" if path == CHAT else "GET"
        answer = await w.ask(method, path, json=options or None, headers={"x-test-user": "u1"})
        assert answer.status in (400, 404)
        assert onlooker.record.reason == reason
        assert onlooker.record.error == code
        assert onlooker.record.tries == ()
        assert reason not in answer.body.decode() or reason == code


async def test_a_disabled_gateway_has_records_too() -> None:
    async with world(settings=Settings(enabled=False)) as w:
        assert (await w.chat()).status == 503
        assert w.records[0].reason == "gateway_disabled"
        assert w.records[0].model is None


async def test_a_stream_that_ends_in_an_error_of_the_upstreams_is_a_failed_try() -> None:
    failing = [b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', b'data: {"error": {"message": "x"}}\n\n']
    async with world() as w:
        onlooker = watched(w)
        w.upstream.answer(CHAT, stream_answer(failing))
        await w.chat(stream=True)
        (attempt,) = onlooker.record.tries
        assert attempt.failure is Failure.SERVER_ERROR
        assert attempt.cause is not None
        assert attempt.cause.what == "in_band"
        assert onlooker.record.outcome is Outcome.UPSTREAM_FAILED


async def test_a_client_that_leaves_ends_its_attempt() -> None:
    async def hangs(request: Any) -> Any:
        await asyncio.Event().wait()

    async with world() as w:
        onlooker = watched(w)
        w.upstream.answer(CHAT, hangs)
        async with w.conversation(CHAT, chat()) as talk:
            await w.upstream.until_requests(1)
            talk.disconnect()
            await talk.ended()
        _, _, attempt, record = onlooker.told
        assert attempt.cause.what == "abandoned"
        assert attempt.failure is None
        assert attempt.status is None
        assert record.tries == (attempt,)


async def test_nothing_is_told_of_strangers() -> None:
    async with world(resolve_user=lambda request: None) as w:
        onlooker = watched(w)
        assert (await w.chat()).status == 401
        assert onlooker.told == []


async def test_of_audio_that_goes_on_for_others_the_one_who_left_hears_no_more(caplog: Any) -> None:
    caplog.set_level(logging.INFO, "openai_gateway_asgi")
    go_on = asyncio.Event()

    async def waits(request: Any) -> Any:
        await go_on.wait()
        return json_answer({})

    async with world() as w:
        onlooker = watched(w)
        w.upstream.answer("/audio/speech", waits)
        body = {"model": "m1", "input": "hi", "voice": "alloy"}
        async with w.conversation("/audio/speech", body) as first, w.conversation("/audio/speech", body) as second:
            await w.upstream.until_requests(1)
            await asyncio.sleep(0)
            first.disconnect()
            await first.ended()
            heard = len(onlooker.told)
            assert isinstance(onlooker.record.user, User)
            go_on.set()
            await second.ended()
        assert [type(each) for each in onlooker.told[heard:]] == [UsageRecord]
