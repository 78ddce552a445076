"""Which upstream answers when one does not: attempts are counted where they arrive."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Model, UsageRecord, User
from openai_gateway_asgi.testing import Answer, FakeRequest, FakeUpstream, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import DONE, bytes_answer, chat_events, sse
from tests.reliability.gateways import ADMIN, MODEL, assert_error, call, chat, make_gateway, named, over, talk

OK = json_answer({"id": "1", "choices": [{"finish_reason": "stop"}]})


def counts(recorder: FakeUpstream) -> dict[str, int]:
    """Calls per upstream; a method other than POST would be a failure of another kind."""
    assert all(request.method == "POST" for request in recorder.requests)
    return dict(Counter(request.host.removesuffix(".test") for request in recorder.requests))


def raising(error: Exception) -> Callable[[FakeRequest], Answer]:
    def answer(request: FakeRequest) -> Answer:
        raise error

    return answer


def too_long(status: int = 400) -> Answer:
    return error_answer(status, "This model's maximum context length is 8 tokens.", code="context_length_exceeded")


def in_band(code: Any, kind: str | None = None) -> Answer:
    return stream_answer([sse({"error": {"message": "No.", "type": kind, "code": code}}), DONE])


REFUSED = raising(httpx.ConnectError("refused"))
UNREACHED = raising(httpx.ConnectTimeout(""))
RESET = raising(httpx.ReadError(""))
SILENT = raising(httpx.ReadTimeout(""))
CLOSED = raising(httpx.RemoteProtocolError("Server disconnected"))

POLICY = [
    # how A fails, how often A is asked, and B, and what the client gets
    pytest.param(error_answer(500), 3, 1, 200, id="500"),
    pytest.param(error_answer(503), 3, 1, 200, id="503"),
    pytest.param(error_answer(503, headers=[("retry-after", "30")]), 1, 1, 200, id="503-retry-after-30"),
    pytest.param(error_answer(500, headers=[("x-should-retry", "false")]), 1, 1, 200, id="500-should-not-retry"),
    pytest.param(error_answer(429), 1, 1, 200, id="429"),  # case 239: who is not limited is asked at once
    pytest.param(error_answer(429, headers=[("retry-after-ms", "20")]), 3, 1, 200, id="429-retry-after-20ms"),
    pytest.param(error_answer(429, headers=[("retry-after", "30")]), 1, 1, 200, id="429-retry-after-30"),
    pytest.param(REFUSED, 3, 1, 200, id="refused"),
    pytest.param(RESET, 3, 1, 200, id="reset"),
    pytest.param(CLOSED, 3, 1, 200, id="closed"),
    pytest.param(UNREACHED, 1, 1, 200, id="connect-timeout"),
    pytest.param(SILENT, 1, 1, 200, id="timeout"),
    pytest.param(error_answer(401), 1, 1, 200, id="credential"),
    pytest.param(too_long(), 1, 0, 400, id="too-long"),
    pytest.param(error_answer(400), 1, 0, 400, id="400"),
    pytest.param(error_answer(402), 1, 1, 200, id="402"),
    pytest.param(error_answer(403), 1, 1, 200, id="403"),  # case 227: the account's, so another may be let in
    pytest.param(error_answer(429, code="insufficient_quota"), 1, 1, 200, id="quota"),
    pytest.param(error_answer(408), 1, 1, 200, id="408"),
    pytest.param(error_answer(424), 1, 1, 200, id="424"),
    pytest.param(error_answer(498), 1, 1, 200, id="498"),
    pytest.param(error_answer(499), 1, 1, 200, id="499"),
    pytest.param(error_answer(529), 3, 1, 200, id="529"),
    pytest.param(error_answer(404, code="model_not_found"), 1, 1, 200, id="no-such-model"),
    pytest.param(error_answer(413, "Request too large on tokens per minute (TPM): Limit 1"), 1, 1, 200, id="tpm"),
    pytest.param(Answer([], 307, [("location", "http://elsewhere/")]), 1, 1, 200, id="redirect"),
    pytest.param(error_answer(404), 1, 0, 404, id="404"),
    pytest.param(error_answer(413), 1, 0, 413, id="413"),
    pytest.param(error_answer(422), 1, 0, 422, id="422"),
    pytest.param(error_answer(400, code="content_filter"), 1, 0, 400, id="content-policy"),
]


@pytest.mark.parametrize(("failure", "asked_a", "asked_b", "status"), POLICY)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_each_kind_of_failure_is_met_as_the_table_says(
    failure: Any, asked_a: int, asked_b: int, status: int, stream: bool
) -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", failure)
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport())

    answer = await call(gateway, chat(stream=stream))

    assert answer.status == status
    assert counts(upstream) == {name: n for name, n in {"a": asked_a, "b": asked_b}.items() if n}
    if status != 200:
        assert_error(answer, status)


@pytest.mark.parametrize(
    ("answer", "asked_a", "asked_b", "status"),
    [
        pytest.param(in_band("server_error"), 3, 1, 200, id="server-error"),
        pytest.param(in_band(None), 3, 1, 200, id="nameless"),
        pytest.param(in_band(503), 3, 1, 200, id="503"),
        pytest.param(in_band("rate_limit_exceeded"), 1, 1, 200, id="rate-limit"),
        pytest.param(in_band("invalid_api_key"), 1, 1, 200, id="credential"),
        pytest.param(in_band(401), 1, 1, 200, id="401"),
        pytest.param(in_band("context_length_exceeded"), 1, 0, 400, id="too-long"),
        pytest.param(in_band("content_filter"), 1, 0, 400, id="content-policy"),
        pytest.param(in_band(None, "invalid_request_error"), 1, 0, 400, id="invalid"),
        pytest.param(stream_answer([sse({"type": "error", "code": "server_error", "message": "No."}, "error")]), 3, 1, 200, id="flat"),
        pytest.param(json_answer({"error": {"message": "No.", "code": 500}}), 3, 1, 200, id="whole"),
        pytest.param(bytes_answer(b'\n{\n  "error": {\n    "code": 503\n  }\n}\n', "application/json"), 3, 1, 200, id="whole-in-lines"),
        pytest.param(json_answer({"type": "error", "error": {"type": "overloaded_error"}}), 3, 1, 200, id="whole-typed"),
        pytest.param(json_answer({"error": None, "id": "1", "choices": []}), 1, 0, 200, id="none"),
    ],
)  # fmt: skip
async def test_an_error_inside_a_200_counts_as_the_failure_it_is(
    answer: Answer, asked_a: int, asked_b: int, status: int
) -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", answer)
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport())

    streamed = dict(answer.headers)["content-type"].startswith("text/event-stream")
    got = await call(gateway, chat(stream=streamed))

    assert got.status == status
    assert counts(upstream) == {name: n for name, n in {"a": asked_a, "b": asked_b}.items() if n}


async def test_a_page_in_place_of_a_stream_is_a_failure() -> None:
    upstream = FakeUpstream()
    page = Answer([b"<html>log in</html>"], 200, [("content-type", "text/html")])
    upstream.host("a.test").answer("/chat/completions", page)
    gateway = make_gateway(over(upstream, "a"), transport=upstream.transport())

    answer = await call(gateway, chat(stream=True))

    assert_error(answer, 502, "upstream_error")
    assert b"log in" not in answer.body


async def test_nothing_is_asked_again_after_the_first_event() -> None:
    upstream = FakeUpstream()

    async def breaks() -> AsyncIterator[bytes]:
        yield chat_events({"model": MODEL})[1]
        raise httpx.ReadError("")

    upstream.host("a.test").answer("/chat/completions", lambda _: stream_answer(breaks()))
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport())

    answer = await call(gateway, chat(stream=True))

    assert counts(upstream) == {"a": 1}
    assert answer.body.count(b"event: error") == 1
    assert b"[DONE]" not in answer.body


async def test_nothing_is_asked_again_after_the_first_bytes_of_another_body() -> None:
    upstream = FakeUpstream()

    async def breaks() -> AsyncIterator[bytes]:
        yield b"some text, for JSON is held until it is whole"
        raise httpx.ReadError("")

    headers = [("content-type", "text/plain"), ("content-length", "100")]
    upstream.host("a.test").answer("/chat/completions", lambda _: Answer(breaks(), 200, headers))
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport())

    async with talk(gateway, chat()) as talking:
        assert (await talking.receive_start()).status == 200
        with pytest.raises(Exception, match="upstream_unavailable"):
            await talking.receive_rest()

    assert counts(upstream) == {"a": 1}


async def test_shared_speech_is_not_asked_for_again_once_it_has_begun() -> None:
    upstream = FakeUpstream()

    async def breaks() -> AsyncIterator[bytes]:
        yield b"ID3 one half"
        raise httpx.ReadError("")

    upstream.host("a.test").answer("/audio/speech", lambda _: Answer(breaks(), 200, [("content-type", "audio/mpeg")]))
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport())

    from tests.reliability.gateways import ANN
    from tests.support.asgi import Conversation

    body = {"model": MODEL, "input": "Hello", "voice": "alloy"}
    async with Conversation(gateway, "POST", "/v1/audio/speech", json=body, headers=ANN) as talking:
        assert (await talking.receive_start()).status == 200
        with pytest.raises(Exception, match="upstream_unavailable"):
            await talking.receive_rest()

    assert counts(upstream) == {"a": 1}


async def test_the_list_is_the_order_of_asking() -> None:
    upstream = FakeUpstream()
    gateway = make_gateway(over(upstream, "a", "b", "c"), transport=upstream.transport())

    for _ in range(5):
        await call(gateway)

    assert counts(upstream) == {"a": 5}


async def test_priority_beats_the_order_of_the_list() -> None:
    upstream = FakeUpstream()
    upstream.host("c.test").answer("/chat/completions", error_answer(401))
    upstreams = [named("a", priority=2), named("b", priority=1), named("c")]
    gateway = make_gateway(upstreams, transport=upstream.transport())

    await call(gateway)

    assert [request.host for request in upstream.requests] == ["c.test", "b.test"]


async def test_weights_share_the_calls_of_one_priority_and_leave_the_next_for_failures() -> None:
    upstream = FakeUpstream()
    upstreams = [named("a", weight=3), named("b", weight=1), named("spare", priority=1, weight=1000)]
    gateway = make_gateway(upstreams, transport=upstream.transport())

    for _ in range(200):
        await call(gateway)

    shares = counts(upstream)
    assert shares.keys() == {"a", "b"}
    assert 110 < shares["a"] < 185  # 150 expected; fewer than one run in a billion falls outside


async def test_a_429_with_retry_after_on_a_goes_to_b_and_cools_a_down() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", error_answer(429, headers=[("retry-after", "30")]), OK)
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport())

    assert [(await call(gateway)).status for _ in range(3)] == [200, 200, 200]

    assert counts(upstream) == {"a": 1, "b": 3}


async def test_a_cool_down_is_of_one_model_only() -> None:
    upstream = FakeUpstream()
    models = ("gpt", "other")
    upstream.host("a.test").answer("/chat/completions", error_answer(429, headers=[("retry-after", "30")]), OK)
    gateway = make_gateway(over(upstream, "a", "b", models=models), transport=upstream.transport())

    await call(gateway, chat(model="gpt"))
    await call(gateway, chat(model="other"))

    assert [(r.host[0], r.json()["model"]) for r in upstream.requests] == [("a", "gpt"), ("b", "gpt"), ("a", "other")]


async def test_a_short_retry_after_is_waited_out() -> None:
    upstream = FakeUpstream()
    loop = asyncio.get_running_loop()
    asked: list[float] = []

    def answer(request: FakeRequest) -> Answer:
        asked.append(loop.time())
        return OK if len(asked) > 1 else error_answer(429, headers=[("retry-after-ms", "150")])

    upstream.answer("/chat/completions", answer)
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport())

    assert (await call(gateway)).status == 200

    assert counts(upstream) == {"a": 2}
    assert 0.15 <= asked[1] - asked[0] < 0.5


async def test_attempts_are_bounded_over_all_upstreams() -> None:
    upstream = FakeUpstream()
    upstream.answer("/chat/completions", error_answer(500))
    gateway = make_gateway(
        over(upstream, *"abcdef"), transport=upstream.transport(), settings={"max_attempts": 4, "show_routing": "all"}
    )

    answer = await call(gateway)

    assert_error(answer, 500)
    assert counts(upstream) == {"a": 3, "b": 1}
    assert answer.header("x-gateway-attempts") == "4"


async def test_the_time_for_attempts_is_bounded() -> None:
    upstream = FakeUpstream()
    upstream.answer("/chat/completions", error_answer(429, headers=[("retry-after", "1")]))
    gateway = make_gateway(over(upstream, "a"), transport=upstream.transport(), settings={"retry_time": 0.5})

    assert_error(await call(gateway), 429)

    assert counts(upstream) == {"a": 1}


async def test_an_upstream_that_was_silent_for_long_does_not_use_up_the_time_for_others() -> None:
    upstream = FakeUpstream()

    async def silent(request: FakeRequest) -> Answer:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    upstream.host("a.test").answer("/chat/completions", silent)
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport(), settings={"retry_time": 0.1})

    assert (await call(gateway)).status == 200
    assert counts(upstream) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("failure", "asked"),
    [(error_answer(500), {"a": 1}), (RESET, {"a": 1}), (SILENT, {"a": 1}),
     (REFUSED, {"a": 3, "b": 1}), (UNREACHED, {"a": 1, "b": 1}), (error_answer(429), {"a": 1, "b": 1})],
    ids=["500", "reset", "timeout", "refused", "connect-timeout", "429"],
)  # fmt: skip
async def test_what_may_have_been_executed_is_not_repeated_where_the_settings_say_so(
    failure: Any, asked: dict[str, int]
) -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", failure)
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport(), settings={"retry_executed": False})

    await call(gateway)

    assert counts(upstream) == asked


async def test_the_caller_hears_what_really_failed_and_not_that_another_is_left_alone() -> None:
    upstream = FakeUpstream()
    a, b = upstream.host("a.test"), upstream.host("b.test")
    b.answer("/chat/completions", error_answer(429, "Slow down.", headers=[("retry-after", "30")]))
    a.answer("/chat/completions", error_answer(401), error_answer(500, "Broken.", code="boom"))
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport())
    await call(gateway)  # b rests from here on

    error = assert_error(await call(gateway), 500)

    assert (error["message"], error["code"]) == ("Broken.", "boom")


async def test_a_call_is_rewritten_afresh_for_each_upstream() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", error_answer(401))
    upstreams = [named("a", prefix_id="p", drop_fields=("seed",)), named("b", models=["p.gpt"])]
    gateway = make_gateway(upstreams, transport=upstream.transport())

    await call(gateway, chat(model="p.gpt", seed=7))

    first, second = upstream.requests
    assert (first.json()["model"], "seed" in first.json()) == ("gpt", False)
    assert (second.json()["model"], second.json()["seed"]) == ("p.gpt", 7)
    assert (first.header("authorization"), second.header("authorization")) == ("Bearer sk-a", "Bearer sk-b")


# Fallbacks to other models


def two_models(upstream: FakeUpstream) -> list[Any]:
    return [named("a", models=["gpt"]), named("b", models=["spare"]), named("c", models=["last"])]


@pytest.mark.parametrize("failure", [error_answer(500), SILENT, too_long(), error_answer(401)])
async def test_a_model_that_fails_is_replaced_by_its_fallback_which_the_answer_names(failure: Any) -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", failure)
    gateway = make_gateway(two_models(upstream), fallbacks={"gpt": ["spare"]}, transport=upstream.transport())

    answer = await call(gateway, headers=ADMIN)

    assert answer.status == 200
    assert upstream.last.json()["model"] == answer.json()["model"] == "spare"
    assert answer.header("x-gateway-model") == "spare"
    assert answer.header("x-gateway-upstream") == "b"


async def test_a_fallback_gets_the_body_as_the_caller_wrote_it_but_for_the_model() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", too_long())
    gateway = make_gateway(two_models(upstream), fallbacks={"gpt": ["spare"]}, transport=upstream.transport())

    await call(gateway, chat(seed=12345678901234567890))

    assert upstream.last.json() == chat(model="spare", seed=12345678901234567890)


async def test_the_chain_is_followed_to_its_end_and_no_further() -> None:
    upstream = FakeUpstream()
    for host in ("a.test", "b.test"):
        upstream.host(host).answer("/chat/completions", too_long())
    chain = {"gpt": ["spare", "last"], "last": ["gpt"]}
    gateway = make_gateway(two_models(upstream), fallbacks=chain, transport=upstream.transport())

    assert (await call(gateway)).status == 200
    assert counts(upstream) == {"a": 1, "b": 1, "c": 1}


async def test_too_long_for_all_is_told_as_it_is() -> None:
    upstream = FakeUpstream()
    upstream.answer("/chat/completions", too_long())
    gateway = make_gateway(two_models(upstream), fallbacks={"gpt": ["spare"]}, transport=upstream.transport())

    assert_error(await call(gateway), 400, "context_length_exceeded")
    assert counts(upstream) == {"a": 1, "b": 1}


async def test_a_refusal_of_the_callers_own_goes_to_no_fallback() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", error_answer(400, code="content_filter"))
    gateway = make_gateway(two_models(upstream), fallbacks={"gpt": ["spare"]}, transport=upstream.transport())

    assert_error(await call(gateway), 400, "content_filter")
    assert counts(upstream) == {"a": 1}


async def test_a_fallback_that_the_user_may_not_call_is_left_out() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", error_answer(401))

    def allowed(user: User, model: Model) -> bool:
        return model.id != "spare"

    gateway = make_gateway(
        two_models(upstream), fallbacks={"gpt": ["spare", "last"]}, allowed=allowed, transport=upstream.transport()
    )

    assert (await call(gateway)).json()["model"] == "last"
    assert counts(upstream) == {"a": 1, "c": 1}


async def test_a_fallback_that_nobody_serves_is_left_out() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", error_answer(401))
    gateway = make_gateway(two_models(upstream), fallbacks={"gpt": ["gone", "last"]}, transport=upstream.transport())

    assert (await call(gateway)).json()["model"] == "last"


# What is told of it


@pytest.mark.parametrize(
    ("shown", "to", "visible"),
    [("admins", "root", True), ("admins", "ann", False), ("all", "ann", True), ("nobody", "root", False)],
)
async def test_the_route_is_shown_to_whom_the_settings_say(shown: str, to: str, visible: bool) -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", error_answer(500), OK)
    gateway = make_gateway(over(upstream, "a"), transport=upstream.transport(), settings={"show_routing": shown})

    answer = await call(gateway, headers={"authorization": f"Bearer {to}"})

    names = ("x-gateway-upstream", "x-gateway-model", "x-gateway-attempts")
    assert [answer.header(name) for name in names] == (["a", "gpt", "2"] if visible else [None] * 3)


async def test_the_record_says_who_answered_after_how_many_attempts() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/chat/completions", error_answer(401))
    records: list[UsageRecord] = []
    gateway = make_gateway(
        two_models(upstream), fallbacks={"gpt": ["spare"]}, records=records, transport=upstream.transport()
    )

    await call(gateway)

    (record,) = records
    assert (record.model, record.upstream, record.upstream_model, record.attempts) == ("gpt", "b", "spare", 2)
    assert (record.outcome, record.status) == ("completed", 200)


async def test_client_bytes_are_those_of_the_upstream_that_answered_and_no_others() -> None:
    upstream = FakeUpstream()
    events = chat_events(chat(stream=True))
    upstream.host("a.test").answer("/chat/completions", stream_answer([sse({"error": {"code": "server_error"}})]))
    upstream.host("b.test").answer("/chat/completions", stream_answer(events))
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport())

    answer = await call(gateway, chat(stream=True))

    assert answer.body == b"".join(events)
    assert json.loads(answer.body.split(b"\n\n")[0][6:])["model"] == MODEL
