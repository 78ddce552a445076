"""Cases 221 to 228: whatever an upstream calls its error, and wherever it puts it, it is the error that it is."""

from __future__ import annotations

import json
import logging
from typing import Any

import openai
import pytest

from openai_gateway_asgi.testing import Answer, FakeUpstream, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import sse
from tests.answers.test_upstream_errors import TOO_LONG
from tests.cases.second.callers import ANN, PATHS, at, call, error_of, gateway_to
from tests.support.servers import serve

API = pytest.mark.parametrize("api", ["chat", "responses"])
STREAM = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def event(data: Any, name: str | None = None) -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def events(*pieces: bytes, status: int = 200) -> Answer:
    return Answer(list(pieces), status, [("content-type", "text/event-stream")])


LIMITED = {"error": {"message": "x", "code": "429"}}
INVALID = {"error": {"message": "x", "status": 400}}


@API
async def test_case_221_a_number_in_text_is_a_status(api: str) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(a, "a"), at(b, "b")) as gateway:
        a.answer(PATHS[api], events(event(LIMITED)))

        assert (await call(gateway, api=api, stream=True)).status == 200
        assert (len(a.requests), len(b.requests)) == (1, 1)


@API
async def test_case_221_and_without_another_it_is_the_clients_to_know(api: str) -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.answer(PATHS[api], events(event(LIMITED)))
        got = await call(gateway, api=api, stream=True)

        assert (got.status, error_of(got)["message"]) == (429, "x")
        assert len(a.requests) == 2  # case 239: once more, after half a second or a little more


@API
async def test_case_221_a_status_by_another_name_counts_as_well(api: str) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(a, "a"), at(b, "b")) as gateway:
        a.answer(PATHS[api], events(event(INVALID)))

        assert (await call(gateway, api=api, stream=True)).status == 400
        assert (len(a.requests), len(b.requests)) == (1, 0)


SHORTENED = [
    pytest.param(event({"error": {"message": "x", "code": 400}})[:-2], id="no blank line"),
    pytest.param(event({"error": {"message": "x", "code": 400}})[:-1], id="half a blank line"),
    pytest.param(json.dumps({"error": {"message": "x", "code": 400}}).encode(), id="bare JSON"),
    pytest.param(b'\n {"error":\n {"message": "x", "type": "invalid_request_error"}}\n', id="bare JSON over lines"),
    pytest.param(b'[{"error": {"message": "x", "status": "INVALID_ARGUMENT"}}]', id="bare list"),
    pytest.param(b'error: {"message": "x", "code": 400}', id="field of its own"),
]


@API
@pytest.mark.parametrize("body", SHORTENED)
async def test_case_222_an_error_that_is_no_whole_event_is_read_all_the_same(api: str, body: bytes) -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.answer(PATHS[api], events(body))
        got = await call(gateway, api=api, stream=True)

        assert (got.status, error_of(got)["message"]) == (400, "x")
        assert len(a.requests) == 1


FLAT = [
    pytest.param(event({"object": "error", "message": "x", "code": 400}), 400, id="object"),
    pytest.param(event({"message": "x", "code": 422}, "error"), 422, id="event: error"),
    pytest.param(event({"message": "x", "code": "invalid_prompt"}, "error"), 400, id="event: error, by name"),
    pytest.param(event({"type": "error", "code": "invalid_prompt", "message": "x", "param": None}), 400, id="type"),
    pytest.param(event({"detail": "x", "status": 404}), 404, id="detail"),
    pytest.param(b": hi\n\n" + event([{"error": {"code": 400, "message": "x"}}]), 400, id="list, behind a comment"),
    pytest.param(event({"id": None, "choices": None, "error": {"message": "x", "code": 413}}), 413, id="choices null"),
]


@API
@pytest.mark.parametrize(("first", "status"), FLAT)
async def test_case_223_flat_errors_have_their_status(api: str, first: bytes, status: int) -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.answer(PATHS[api], events(first))
        got = await call(gateway, api=api, stream=True)

        assert (got.status, error_of(got)["message"]) == (status, "x")
        assert len(a.requests) == 1


@pytest.mark.parametrize(
    "data",
    [
        {"error": {"message": "x", "code": 400}},
        {"object": "error", "message": "x", "code": 400},
        {"id": None, "choices": None, "error": {"message": "x", "code": 400}},
        [{"error": {"message": "x", "code": 400}}],
        {"message": "x", "status": 400},
    ],
)
async def test_case_223_the_same_in_a_whole_answer(data: Any) -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.answer(PATHS["chat"], json_answer(data))
        got = await call(gateway)

        assert (got.status, error_of(got)["message"], len(a.requests)) == (400, "x", 1)


@API
@STREAM
@pytest.mark.parametrize("status", [400, 500])
async def test_case_224_an_error_in_events_under_its_status_is_json_and_asks_the_fallback(
    api: str, stream: bool, status: int
) -> None:
    body = event({"error": {"code": "context_length_exceeded"}})
    async with FakeUpstream() as a:
        a.answer(PATHS[api], events(body, status=status), Answer([b"{}"], 200, [("content-type", "application/json")]))
        a.script("big")
        async with gateway_to(at(a, "a", "m")) as gateway:
            got = await call(gateway, api=api, stream=stream)
            assert (got.status, error_of(got)["code"]) == (status, "context_length_exceeded")
            assert len(a.requests) == 1
    async with FakeUpstream() as a, FakeUpstream() as b:
        a.answer(PATHS[api], events(body, status=status))
        upstreams = at(a, "a", "m"), at(b, "b", "big")
        async with gateway_to(*upstreams, fallbacks={"m": ["big"]}) as gateway:
            assert (await call(gateway, api=api, stream=stream)).status == 200
            assert (len(a.requests), b.last.model) == (1, "big")


WAYS = [
    pytest.param(status, data, inside, id=f"{who}, {'inside a 200' if inside else status}")
    for who, status, data in TOO_LONG
    for inside in (False, True)
    if not (inside and isinstance(data, str))  # text alone is no error there
]


@pytest.mark.parametrize(("status", "data", "inside"), WAYS)
async def test_case_225_too_long_goes_to_a_larger_model_however_it_is_said(
    status: int, data: Any, inside: bool
) -> None:
    answer = stream_answer([event(data)]) if inside else json_answer(data, status)
    async with FakeUpstream() as a, FakeUpstream() as b:
        a.answer(PATHS["chat"], answer)
        upstreams = at(a, "a", "m"), at(b, "b", "big")
        async with gateway_to(*upstreams, fallbacks={"m": ["big"]}) as gateway:
            got = await call(gateway, stream=inside)

            assert got.status == 200, got.body
            assert (len(a.requests), b.last.model) == (1, "big")


@API
@pytest.mark.parametrize("code", [401, "invalid_api_key"])
async def test_case_226_a_401_inside_a_200_is_the_callers_where_the_token_is(api: str, code: Any) -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a", auth_type="session")) as gateway:
        a.answer(PATHS[api], events(event({"error": {"message": "x", "code": code}})))
        inside = await call(gateway, api=api, stream=True)
        a.answer(PATHS[api], json_answer({"error": {"message": "x", "code": code}}, 401))
        plain = await call(gateway, api=api, stream=True)

        assert inside.status == plain.status == 401
        assert error_of(inside)["message"] == plain.json()["error"]["message"] == "x"


OTHERS = [
    pytest.param(402, {}, id="402"),
    pytest.param(403, {"error": {"message": "Project archived."}}, id="403"),
    pytest.param(404, {"error": {"message": "The model `m` does not exist.", "code": "model_not_found"}}, id="404"),
    pytest.param(404, {"error": "model 'm' not found"}, id="404, Ollama"),
    pytest.param(404, {"detail": "Not Found"}, id="404, path"),
    pytest.param(408, {}, id="408"),
    pytest.param(413, {"error": {"message": "Request too large for m on tokens per minute (TPM): Limit 1"}}, id="413"),
    pytest.param(424, {}, id="424"),
    pytest.param(498, {}, id="498"),
    pytest.param(499, {}, id="499"),
    pytest.param(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, id="529"),
    pytest.param(429, {"error": {"message": "x", "code": "insufficient_quota"}}, id="quota"),
]


@STREAM
@pytest.mark.parametrize("fallback", [False, True], ids=["candidate", "fallback"])
@pytest.mark.parametrize(("status", "data"), OTHERS)
async def test_case_227_what_one_cannot_do_another_may(status: int, data: Any, fallback: bool, stream: bool) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b:
        a.answer("", json_answer(data, status))
        upstreams = at(a, "a", "m"), at(b, "b", "big" if fallback else "m")
        settings = {"retries": 0}
        async with gateway_to(*upstreams, fallbacks={"m": ["big"]} if fallback else {}, settings=settings) as gateway:
            assert (await call(gateway, stream=stream)).status == 200
            # Where no other upstream has the model, one that lacks the path is asked in its other API before that.
            asked = 1 + (fallback and data == {"detail": "Not Found"})
            assert (len(a.requests), len(b.requests)) == (asked, 1)


OPERATORS = {402, 403, "quota"}


@STREAM
@pytest.mark.parametrize("whose", ["bearer", "fixed", "fixed session", "session", "system_oauth"])
@pytest.mark.parametrize(("status", "data"), OTHERS)
async def test_case_227_without_another_it_is_passed_on_unless_it_names_the_operators_account(
    status: int, data: Any, whose: str, stream: bool
) -> None:
    fixed = {"headers": {"Authorization": "Bearer fixed"}}
    kinds = {"bearer": {}, "fixed": fixed, "fixed session": {"auth_type": "session", **fixed}}
    auth = kinds.get(whose, {"auth_type": whose})
    settings = {"retries": 0}
    async with FakeUpstream() as a:
        a.answer("", json_answer(data, status))
        async with gateway_to(at(a, "a", **auth), settings=settings, oauth_token=lambda *_: "given") as gateway:
            got = await call(gateway, stream=stream)

    account = status in (402, 403) or status == 429
    if account and whose not in ("session", "system_oauth"):
        assert (got.status, got.header("x-should-retry")) == (502, "false")
        error = error_of(got)
        assert (error["code"], error["type"], error["param"]) == ("upstream_account", "upstream_error", None)
        assert "archived" not in error["message"]
    else:
        assert (got.status, got.json()) == (status, data)


async def test_case_227_a_content_refusal_is_the_callers_whatever_its_status() -> None:
    async with FakeUpstream() as a, FakeUpstream() as b:
        moderated = {
            "error": {"code": 403, "message": "Your chosen model requires moderation and your input was flagged"}
        }
        a.answer(PATHS["chat"], json_answer(moderated, 403))
        upstreams = at(a, "a"), at(b, "b", "m", "big")
        async with gateway_to(*upstreams, fallbacks={"m": ["big"]}) as gateway:
            got = await call(gateway)

            assert (got.status, got.json()) == (403, moderated)
            assert (len(a.requests), len(b.requests)) == (1, 0)


@STREAM
async def test_case_228_a_used_up_quota_and_a_redirect_are_not_asked_for_again(stream: bool) -> None:
    quota = error_answer(429, "You exceeded your current quota.", code="insufficient_quota")
    redirect = Answer([], 307, [("location", "https://me:pass@login.test:8443/signin?token=secret")])
    for answer, code in ((quota, "upstream_account"), (redirect, "upstream_error")):
        async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
            a.answer(PATHS["chat"], answer)
            got = await call(gateway, stream=stream)

            assert (got.status, error_of(got)["code"]) == (502, code)
            assert got.header("x-should-retry") == "false"  # nor by the SDK
            assert len(a.requests) == 1


GOOGLE = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota. Please retry in 20.1s.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "20.1s"}],
    }
}
OPENROUTER = {"error": {"code": 429, "message": "x", "metadata": {"headers": {"Retry-After": "21"}}}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "data", [[GOOGLE], GOOGLE, OPENROUTER, {"error": {"message": "x", "code": 429, "retry_after": 21}}]
)
@pytest.mark.parametrize("status", [200, 429])
async def test_case_230_what_an_error_says_of_when_to_try_again_is_a_retry_after(
    status: int, data: Any, stream: bool
) -> None:
    async with FakeUpstream() as a, FakeUpstream() as b, gateway_to(at(a, "a")) as gateway:
        a.answer(PATHS["chat"], json_answer(data, status))
        got = await call(gateway, stream=stream)
        assert (got.status, got.header("retry-after"), got.header("x-should-retry")) == (429, "21", None)
        assert len(a.requests) == 1  # it would be too early
        async with gateway_to(at(a, "a"), at(b, "b", priority=1)) as two:
            assert (await call(two, stream=stream)).status == 200


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached for m on tokens per min (TPM): Limit 9, Used 9. Please try again in 20.2s.", "21"),
        ("Rate limit reached for m. Please try again in 1m0.5s. Visit https://example.org to learn more.", "61"),
        ("The operation has exceeded its token rate limit. Please retry after 6 seconds.", "6"),
        ("Please try again in 3 minutes.", "180"),
        ("Please retry in 2h.", "7200"),
        ("Rate limit reached. Please try again in 898ms.", "1"),
        ("Please try again in a moment.", None),
        ("We may try again in 5 places.", None),
    ],
)
async def test_case_230_so_is_what_its_message_says(message: str, seconds: str | None) -> None:
    failed = {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": message}}}
    async with FakeUpstream() as a, gateway_to(at(a, "a"), settings={"retries": 0}) as gateway:
        a.answer(PATHS["chat"], error_answer(429, message))
        a.answer(PATHS["responses"], stream_answer([sse(failed)]))
        for got in (await call(gateway), await call(gateway, api="responses", stream=True)):
            assert (got.status, got.header("retry-after")) == (429, seconds)


async def test_case_230_a_message_of_another_error_says_nothing_of_it() -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a"), settings={"retries": 0}) as gateway:
        a.answer(PATHS["chat"], error_answer(503, "Please try again in 20s."))
        assert (await call(gateway)).header("retry-after") is None


async def test_case_230_the_upstreams_own_header_counts_before_its_words() -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.answer(PATHS["chat"], json_answer(GOOGLE, 429, [("retry-after", "30")]))
        assert (await call(gateway)).header("retry-after") == "30"


async def test_case_228_the_log_says_where_a_redirect_pointed(caplog: pytest.LogCaptureFixture) -> None:
    redirect = Answer([], 302, [("location", "https://me:pass@login.test:8443/signin?token=secret")])
    async with FakeUpstream() as a, gateway_to(at(a, "a")) as gateway:
        a.answer(PATHS["chat"], redirect)
        with caplog.at_level(logging.WARNING):
            await call(gateway)

    assert "302: redirected to https://login.test:8443/signin" in caplog.text
    assert "secret" not in caplog.text
    assert "pass@" not in caplog.text


async def test_case_227_the_log_says_what_the_account_lacks(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a", api_key="sk-very-secret-key")) as gateway:
        a.answer(PATHS["chat"], error_answer(402, "Pay for sk-very-secret-key."))
        with caplog.at_level(logging.WARNING):
            await call(gateway)

    assert "402: Pay for ***." in caplog.text


SDK = [
    (events(event(LIMITED)), openai.RateLimitError, "429"),
    (events(event({"object": "error", "message": "x", "code": 400})), openai.BadRequestError, "400"),
    (events(event({"error": {"code": "context_length_exceeded"}}), status=400), openai.BadRequestError, "context_length_exceeded"),
    (error_answer(402), openai.InternalServerError, "upstream_account"),
]  # fmt: skip


@API
@pytest.mark.parametrize(("answer", "kind", "code"), SDK)
async def test_cases_221_to_227_as_the_official_client_reads_them(
    api: str, answer: Answer, kind: type[openai.APIStatusError], code: str
) -> None:
    async with FakeUpstream() as a, gateway_to(at(a, "a"), settings={"retries": 0}) as gateway:
        a.answer(PATHS[api], answer)
        async with serve(gateway) as server:
            async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=ANN, max_retries=0) as sdk:
                with pytest.raises(kind) as caught:
                    if api == "chat":
                        await sdk.chat.completions.create(
                            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
                        )
                    else:
                        await sdk.responses.create(model="m", input="hi", stream=True)
    assert caught.value.code == code
