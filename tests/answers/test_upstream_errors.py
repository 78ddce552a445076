"""Every spelling of an error, as the one reader reads it. Texts are what the named servers and providers really say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi.answers.upstream_errors import (
    LONGEST_MESSAGE,
    Said,
    error_in_body,
    error_in_data,
    error_in_events,
    error_in_json,
)
from openai_gateway_asgi.causes import Failure
from tests.support.cost import assert_costs

MESSAGE = "No more of this."

SPELLINGS: list[tuple[str, Any, int, str]] = [
    # what it is, the answer, the status that it names (502: none), the message
    ("OpenAI", {"error": {"message": MESSAGE, "type": "server_error", "param": None, "code": None}}, 500, MESSAGE),
    ("status as text", {"error": {"message": MESSAGE, "code": "429"}}, 429, MESSAGE),
    ("status of the error", {"error": {"message": MESSAGE, "status": 400}}, 400, MESSAGE),
    ("status_code", {"error": {"message": MESSAGE, "status_code": 503}}, 503, MESSAGE),
    ("statusCode, as text", {"error": {"message": MESSAGE, "statusCode": "404"}}, 404, MESSAGE),
    ("status beside", {"error": {"message": MESSAGE}, "status": 404}, 404, MESSAGE),
    ("no status", {"error": {"message": MESSAGE, "code": 200}}, 502, MESSAGE),
    ("no status either", {"error": {"message": MESSAGE, "code": 4290}}, 502, MESSAGE),
    ("true is no status", {"error": {"message": MESSAGE, "code": True}}, 502, MESSAGE),
    ("choices null", {"id": None, "choices": None, "error": {"message": MESSAGE, "code": 429}}, 429, MESSAGE),
    ("behind others", {"id": "1", "object": "chat.completion.chunk", "error": {"message": MESSAGE}}, 502, MESSAGE),
    (
        "OpenRouter, in the middle",
        {
            "id": "gen-1",
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            "error": {"code": 502, "message": MESSAGE},
        },
        502,
        MESSAGE,
    ),
    ("Ollama", {"error": MESSAGE}, 502, MESSAGE),
    ("TGI", {"error": MESSAGE, "error_type": "overloaded"}, 429, MESSAGE),
    ("Spring", {"timestamp": 1, "status": 404, "error": "Not Found", "message": MESSAGE}, 404, MESSAGE),
    ("OAuth", {"error": "unauthorized", "error_description": MESSAGE}, 401, MESSAGE),
    ("true", {"error": True, "message": MESSAGE, "status": 503}, 503, MESSAGE),
    ("a list of errors", {"error": [{"message": MESSAGE, "code": 400}]}, 400, MESSAGE),
    ("Gemini", [{"error": {"code": 503, "message": MESSAGE, "status": "UNAVAILABLE"}}], 503, MESSAGE),
    ("Gemini, by name", {"error": {"message": MESSAGE, "status": "RESOURCE_EXHAUSTED"}}, 429, MESSAGE),
    ("Anthropic", {"type": "error", "error": {"type": "overloaded_error", "message": MESSAGE}}, 503, MESSAGE),
    ("vLLM, flat", {"object": "error", "message": MESSAGE, "type": "BadRequestError", "code": 400}, 400, MESSAGE),
    ("vLLM, by name", {"object": "error", "message": MESSAGE, "type": "InternalServerError"}, 500, MESSAGE),
    ("Mistral", {"object": "error", "message": {"detail": [{"loc": ["body", "n"], "msg": MESSAGE}]}}, 502, f"n: {MESSAGE}"),
    ("Mistral, flat", {"message": MESSAGE, "code": 401}, 401, MESSAGE),
    ("Responses", {"type": "error", "code": "server_error", "message": MESSAGE, "param": None}, 500, MESSAGE),
    ("Responses, failed", {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": MESSAGE}}}, 429, MESSAGE),
    ("DashScope", {"code": "InvalidParameter", "message": MESSAGE, "request_id": "1"}, 400, MESSAGE),
    ("Azure API Management", {"statusCode": 429, "message": MESSAGE}, 429, MESSAGE),
    ("problem+json", {"type": "about:blank", "title": "Busy", "status": 503, "detail": MESSAGE}, 503, MESSAGE),
    ("FastAPI", {"detail": MESSAGE}, 502, MESSAGE),
    ("FastAPI, a list", {"detail": [{"loc": ["body", "messages", 0], "msg": "Field required"}]}, 502, "messages.0: Field required"),
    ("FastAPI, an object", {"detail": {"error": {"message": MESSAGE, "code": 429}}}, 429, MESSAGE),
    ("Cloudflare", {"success": False, "errors": [{"code": 503, "message": MESSAGE}], "result": None}, 503, MESSAGE),
    ("a list of texts", {"errors": [MESSAGE]}, 502, MESSAGE),
    ("LiteLLM around another", {"error": {"error": {"message": MESSAGE, "code": "503"}}}, 503, MESSAGE),
    ("MiniMax", {"choices": None, "base_resp": {"status_code": 1002, "status_msg": MESSAGE}}, 429, MESSAGE),
    ("MiniMax, by another number", {"base_resp": {"status_code": 1000, "status_msg": MESSAGE}}, 502, MESSAGE),
    ("MiniMax, later", {"type": "error", "error": {"type": "x", "message": MESSAGE, "http_code": "429"}}, 429, MESSAGE),
    (
        "OpenRouter, in a choice",
        {"object": "chat.completion", "choices": [{"finish_reason": "error", "error": {"code": 429, "message": MESSAGE}}]},
        429,
        MESSAGE,
    ),
    (
        "DeepSeek, in a choice",
        {"object": "chat.completion", "choices": [{"finish_reason": "insufficient_system_resource"}]},
        502,
        "The upstream gave up in the middle of its answer.",
    ),
    ("SiliconFlow", {"code": 50505, "message": MESSAGE, "data": None}, 502, MESSAGE),
    ("a name of its own", {"code": "UPSTREAM_BROKE", "msg": MESSAGE}, 502, MESSAGE),
    ("a status in words", {"status": "error", "message": MESSAGE}, 502, MESSAGE),
    ("no success", {"success": False, "message": MESSAGE}, 502, MESSAGE),
    ("AWS Lambda", {"errorMessage": MESSAGE, "errorType": "Sandbox.Timedout"}, 502, MESSAGE),
    ("Baidu", {"error_code": 18, "error_msg": MESSAGE, "id": "1"}, 502, MESSAGE),
    ("nothing said", {"error": {"code": 503}}, 503, "The upstream answered 503 and said no more."),
]  # fmt: skip


NAMES: list[tuple[str, str, int]] = [
    # who says it, in an event or under a status of 200; the status that it stands for
    ("OpenRouter", "provider_overloaded", 503),
    ("OpenRouter", "payment_required", 402),
    ("Mistral", "service_tier_capacity_exceeded", 429),
    ("Cerebras", "queue_exceeded", 429),
    ("Bedrock", "ThrottlingException", 429),
    ("Bedrock", "ServiceUnavailableException", 503),
    ("Bedrock", "com.amazon.coral.service#ModelTimeoutException", 408),
    ("DashScope", "Throttling.RateQuota", 429),
    ("Zhipu", "1302", 429),
    ("Ark", "ServerOverloaded", 429),
    ("LiteLLM", "throttling_error", 429),
    ("vLLM", "ServiceUnavailableError", 503),
]


@pytest.mark.parametrize(("name", "status"), [row[1:] for row in NAMES], ids=[" ".join(row[:2]) for row in NAMES])
def test_a_name_stands_for_a_status_where_none_is_given(name: str, status: int) -> None:
    for error in ({"code": name}, {"type": name}, {"message": MESSAGE, "metadata": {"error_type": name}}):
        assert of(error_in_data({"error": {"message": MESSAGE, **error}})).status == status


def of(said: Said | None) -> Said:
    assert said is not None
    return said


def error_of(said: Said) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(said.shaped)["error"]
    return error


@pytest.mark.parametrize(
    ("data", "status", "message"), [row[1:] for row in SPELLINGS], ids=[row[0] for row in SPELLINGS]
)
def test_every_spelling_is_read_wherever_it_stands(data: Any, status: int, message: str) -> None:
    body = json.dumps(data).encode()
    for said in (
        of(error_in_data(data)),
        of(error_in_events(json.dumps(data, indent=2).encode())),
        of(error_in_events(b": hello\n\ndata: " + body + b"\n\n")),
        of(error_in_events(b"data: " + body)),
        of(error_in_events(b"event: error\r\ndata: " + body + b"\r\n\r\n")),
        of(error_in_events(body)),
        of(error_in_events(b"error: " + body + b"\n\n")),
    ):
        assert (said.status, said.message) == (status, message)
        shaped = error_of(said)
        assert shaped.keys() >= {"message", "type", "param", "code"}
        assert shaped["message"] == message
        assert shaped["type"]

    for said in (error_in_body(418, body), error_in_body(418, b"data: " + body + b"\n\n")):
        assert said.status == 418
        assert said.message == message.replace("502", "418").replace("answered 503", "answered 418")


@pytest.mark.parametrize(
    "data",
    [
        {"id": "1", "choices": [{"message": {"content": "error"}}]},
        {"error": None, "choices": []},
        {"error": {}, "choices": []},
        {"error": False, "choices": [{}]},
        {"id": "resp_1", "object": "response", "status": "failed", "error": None, "output": []},
        {"id": "r", "object": "response", "status": "cancelled", "error": {"code": "x", "message": "y"}, "output": []},
        {"id": "f", "object": "fine_tuning.job", "status": "failed", "error": {"code": "invalid_file", "message": "y"}},
        {"id": "v", "object": "video", "status": "failed", "error": {"code": "moderation_blocked", "message": "y"}},
        {"errors": [], "data": [{"embedding": [0.1]}]},
        {"message": "200 is a status, code 400 is none", "code": 400, "choices": [{"text": "x"}]},
        {"detail": "high", "data": [{"url": "x"}]},
        {"code": 200, "message": "fine"},
        {"code": "0", "message": "fine"},
        {"code": "200", "message": "fine"},
        {"code": True, "message": "fine"},
        {"status": "received", "message": "a model's text"},
        {"status": "Success", "message": "fine"},
        {"status": None, "message": "a model's text"},
        {"error_msg": "", "id": "1"},
        {"message": "a model's text"},
        {"text": "what was said", "code": 429, "message": "x"},
        {"type": "response.output_text.delta", "delta": "error"},
        {"choices": [{"delta": {"content": '"error": {"code": 400}'}}]},
        [],
        [{"embedding": []}],
        "error",
        429,
        None,
    ],
)
def test_an_answer_is_no_error(data: Any) -> None:
    assert error_in_data(data) is None
    assert error_in_json(json.dumps(data).encode()) is None
    assert error_in_events(b"data: " + json.dumps(data).encode() + b"\n\n") is None


@pytest.mark.parametrize(
    "data",
    [
        {"id": "r", "object": "response", "status": "failed", "error": {"code": "server_error", "message": "y"}},
        {"id": None, "object": "response", "error": {"code": 429, "message": "y"}},
        {"object": "video", "error": {"code": 429, "message": "y"}},
        {"id": "c", "object": "chat.completion", "choices": None, "error": {"code": 429, "message": "y"}},
    ],
)
def test_an_object_of_the_api_that_the_call_did_not_get_is_one(data: Any) -> None:
    assert of(error_in_json(json.dumps(data).encode())).message == "y"


def test_the_first_error_of_several_events_is_found() -> None:
    events = b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n: keep-alive\n\ndata: {"error":{"code":400,"message":"x"}}\n\n'
    assert of(error_in_events(events)).status == 400
    assert error_in_events(b"data: [DONE]\n\n: x\n\n") is None


def test_an_event_called_error_is_one_whatever_it_holds() -> None:
    assert of(error_in_events(b"event: error\ndata: went away\n\n")).message == "went away"
    assert of(error_in_events(b'event: error\ndata: {"text": "went away", "status": 503}\n\n')).status == 503
    assert of(error_in_data({"message": "x"}, named_error=True)).message == "x"


def test_data_over_several_lines_is_joined() -> None:
    assert of(error_in_events(b'data: {"error":\ndata: {"code": 429}}\n\n')).status == 429


def test_fields_beside_the_four_are_kept_and_numbers_become_text() -> None:
    said = of(error_in_data({"error": {"message": "x", "code": 429, "metadata": {"raw": "y"}}}))
    assert error_of(said) == {
        "message": "x",
        "code": "429",
        "type": "upstream_error",
        "param": None,
        "metadata": {"raw": "y"},
    }
    assert (said.code, said.type, said.param) == ("429", None, None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><head><title>502 Bad Gateway</title></head><body><h1>nginx</h1></body></html>", "502 Bad Gateway"),
        (b"<!doctype html><style>p{color:red}</style><p>Please&nbsp;wait\n a &lt;moment&gt;", "Please wait a <moment>"),
        (b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>", "Reduce your rate."),
        (b"upstream connect error or\ndisconnect", "upstream connect error or disconnect"),
        (b"", "The upstream answered 503 and said no more."),
        (b"<title></title>", "The upstream answered 503 and said no more."),
        (b'{"cut": ', '{"cut":'),
        (b"\xff\xfe\x00", "\ufffd\ufffd\x00"),
        (b"[]", "The upstream answered 503 and said no more."),
        (b"17", "The upstream answered 503 and said no more."),
        (b'"in words"', "in words"),
    ],
)  # fmt: skip
def test_what_is_no_json_becomes_a_plain_message(body: bytes, message: str) -> None:
    said = error_in_body(503, body)
    assert (said.status, said.message, said.kind) == (503, message, Failure.OVERLOADED)
    assert error_of(said) == {"message": message, "type": "upstream_error", "param": None, "code": None}


def test_of_events_under_an_error_status_the_error_counts_and_else_the_first_that_says_anything() -> None:
    role = b'data: {"choices": [{"delta": {"role": "assistant"}}]}\n\n'
    said = error_in_body(500, b": hi\n\n" + role + b'data: {"error": {"message": "x", "code": "content_filter"}}\n\n')
    assert (said.message, said.kind) == ("x", Failure.CONTENT)
    assert error_in_body(500, b"data: oh no\n\n").message == "oh no"
    assert error_in_body(500, b"data: [DONE]\n\n").status == 500
    assert not said.is_shaped


def test_what_is_made_to_be_heavy_is_cut() -> None:
    assert len(error_in_body(500, b"x" * 5_000_000).message) <= LONGEST_MESSAGE
    assert error_in_body(500, b"[" * 1_000_000).status == 500
    assert error_in_body(500, b'{"error":' * 100_000).status == 500
    for piece in (b"<", b"<script", b"<title", b"<message>", b"data:\n", b"error:\n\n"):
        assert error_in_body(400, piece * 500_000).status == 400
    assert error_in_json(b'{"error": {"message": "' + b"x" * 2_000_000 + b'"}}') is None
    deep: Any = {"message": "x"}
    for _ in range(200):
        deep = {"x": deep}
    assert error_in_body(400, json.dumps({"error": {"message": "y", "more": deep}}).encode()).message == "y"


@pytest.mark.parametrize(
    ("body", "loops"),
    [
        pytest.param(b'{"vectors": [' + b"[]," * 349_000 + b"0]}", 20, id="a hundred thousand lists"),
        pytest.param(b'{"error": {"more": [' + b"{}," * 349_000 + b"0]}}", 20, id="an error of as many objects"),
        pytest.param(b'{"vectors": [' + b'"",' * 2_700_000 + b"0]}", 2, id="eight MiB without any name of an answer's"),
        pytest.param(b'{"data": [' + b'{"error": null},' * 500_000 + b"0]}", 2, id="eight MiB that mention errors"),
        pytest.param(b'{"object":[' + b'"finish_reason",' * 65_000 + b"0]}", 2, id="a MiB of reasons"),
    ],
)
def test_an_answer_that_is_made_to_be_heavy_keeps_nobody_waiting(body: bytes, loops: float) -> None:
    assert error_in_json(body) is None
    assert_costs(lambda: error_in_json(body), at_most=loops)


KINDS: list[tuple[int, Any, Failure]] = [
    (401, {}, Failure.CREDENTIAL),
    (402, {}, Failure.ACCOUNT),
    (403, {"error": {"message": "Country, region, or territory not supported"}}, Failure.ACCOUNT),
    (408, {}, Failure.UNABLE),
    (424, {}, Failure.UNABLE),
    (498, {}, Failure.UNABLE),
    (499, {}, Failure.UNABLE),
    (429, {}, Failure.RATE_LIMITED),
    (500, {}, Failure.SERVER_ERROR),
    (501, {}, Failure.SERVER_ERROR),
    (502, {}, Failure.OVERLOADED),
    (503, {}, Failure.OVERLOADED),
    (504, {}, Failure.OVERLOADED),
    (529, {}, Failure.OVERLOADED),
    (520, {}, Failure.SERVER_ERROR),
    (400, {}, Failure.CALLER),
    (404, {"detail": "Not Found"}, Failure.UNABLE),
    (404, {"error": {"code": "404", "message": "Resource not found"}}, Failure.UNABLE),
    (404, {}, Failure.UNABLE),
    (405, {"detail": "Method Not Allowed"}, Failure.UNABLE),
    (404, {"error": {"message": "Response with id 'resp_1' not found.", "code": None}}, Failure.CALLER),
    (409, {}, Failure.CALLER),
    (410, {"status": 410, "title": "Gone", "detail": "The model 'm' has reached its end of life on 2025-01-01"}, Failure.UNABLE),
    (413, {"error": {"message": "Request body too large"}}, Failure.CALLER),
    (422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}, Failure.CALLER),
    # models that an upstream lists and does not have
    (404, {"error": {"message": "The model `m` does not exist or you do not have access to it.", "code": "model_not_found"}}, Failure.UNABLE),
    (404, {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404}, Failure.UNABLE),
    (404, {"error": 'model "m" not found, try pulling it first'}, Failure.UNABLE),
    (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}, Failure.UNABLE),
    (400, {"error": {"message": "Model Not Exist", "code": "model_not_found"}}, Failure.UNABLE),
    (400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error", "param": None, "code": "invalid_request_error"}}, Failure.UNABLE),
    (404, {"error": {"message": "No endpoints found for m.", "code": 404}}, Failure.UNABLE),
    (400, {"error": {"message": "m is not a valid model ID", "code": 400}}, Failure.UNABLE),
    (404, [{"error": {"code": 404, "message": "models/m is not found for API version v1main, or is not supported for generateContent.", "status": "NOT_FOUND"}}], Failure.UNABLE),
    (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: m"}}, Failure.UNABLE),
    (404, {"error": {"message": "Not found the model m or Permission denied", "type": "resource_not_found_error"}}, Failure.UNABLE),
    (404, {"error": {"message": "Unable to access model m.", "code": "model_not_available"}}, Failure.UNABLE),
    (400, {"error": {"code": "unknown_model", "message": "Unknown model: m"}}, Failure.UNABLE),
    (400, {"object": "error", "message": "Invalid model: m", "type": "invalid_model", "code": "1500"}, Failure.UNABLE),
    (400, {"message": "The provided model identifier is invalid."}, Failure.UNABLE),
    (400, {"errors": [{"message": "AiError: No such model @cf/m or task", "code": 5007}], "success": False}, Failure.UNABLE),
    (400, {"error": {"message": "litellm.BadRequestError: Invalid model name passed in model=m. Call `/v1/models`", "code": "400"}}, Failure.UNABLE),
    (400, {"error": {"code": "1211", "message": "The model does not exist; check its code."}}, Failure.UNABLE),
    (404, {"status": 404, "title": "Not Found", "detail": "Function 'f1-a2': Not found for account 'abc'"}, Failure.UNABLE),
    (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "The given endpoint does not exist, please retry after checking the specified model and version deployment exists."}, Failure.UNABLE),
    (404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "No."}, Failure.UNABLE),
    (404, {"error": {"message": "No allowed providers are available for the selected model.", "code": 404}}, Failure.UNABLE),
    (404, {"error": {"message": "No endpoints available matching your guardrail restrictions and data policy.", "code": 404}}, Failure.UNABLE),
    (404, {"message": "This model version has reached the end of its life."}, Failure.UNABLE),
    (404, {"id": "1", "message": "model 'm' was removed on September 15, 2025."}, Failure.UNABLE),
    (404, {"detail": {"error": "Model is not available"}}, Failure.UNABLE),
    (404, {"error": {"code": "ModelNotOpen", "message": "Your account has not activated it.", "type": "NotFound"}}, Failure.UNABLE),
    (400, {"error": {"message": "The model `m` has been decommissioned and is no longer supported.", "type": "invalid_request_error", "code": "model_decommissioned"}}, Failure.UNABLE),
    (400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}, Failure.UNABLE),
    (400, {"detail": "Unknown model: m"}, Failure.UNABLE),
    (400, {"error": {"message": "invalid model ID", "type": "invalid_request_error", "param": None, "code": None}}, Failure.UNABLE),
    (400, {"message": "Invocation of model ID anthropic.m with on-demand throughput isn\u2019t supported."}, Failure.UNABLE),
    (400, {"error": {"code": "OperationNotSupported", "message": "The chatCompletion operation does not work with the specified model, m. Please choose different model and try again."}}, Failure.UNABLE),
    (400, {"error": {"code": "BadRequest", "message": "API version not supported"}}, Failure.UNABLE),
    (400, {"error": {"message": "The user wrote: model not exist"}}, Failure.CALLER),
    (400, {"error": {"message": "The user wrote: unknown model: m, invalid model ID"}}, Failure.CALLER),
    # a credential that is refused as a fault of the call
    (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}], Failure.CREDENTIAL),
    (400, [{"error": {"code": 400, "message": "API key expired. Please renew the API key.", "status": "INVALID_ARGUMENT"}}], Failure.CREDENTIAL),
    (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***. You can obtain an API key from https://console.x.ai."}, Failure.CREDENTIAL),
    (400, {"error": {"message": "The user wrote: API key not valid"}}, Failure.CALLER),
    (422, {"error": {"message": "API key not valid"}}, Failure.CALLER),
    # limits of tokens per minute that the call alone exceeds
    (413, {"error": {"message": "Request too large for model `m` in organization `o` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 7000, please reduce your message size and try again.", "type": "tokens", "code": "rate_limit_exceeded"}}, Failure.UNABLE),
    (429, {"error": {"message": "Request too large for gpt-4 in organization o on tokens per min (TPM): Limit 10000, Requested 20000. The input or output tokens must be reduced in order to run successfully.", "type": "tokens", "code": "rate_limit_exceeded"}}, Failure.UNABLE),
    (429, {"error": {"message": "Rate limit reached for gpt-4 on tokens per min (TPM): Limit 10000, Used 9000, Requested 2000.", "type": "tokens", "code": "rate_limit_exceeded"}}, Failure.RATE_LIMITED),
    # accounts
    (429, {"error": {"message": "You exceeded your current quota, please check your plan and billing details.", "type": "insufficient_quota", "code": "insufficient_quota"}}, Failure.ACCOUNT),
    (429, [{"error": {"code": 429, "message": "You exceeded your current quota, please check your plan.", "status": "RESOURCE_EXHAUSTED"}}], Failure.RATE_LIMITED),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to access the Anthropic API."}}, Failure.ACCOUNT),
    (400, {"error": {"code": "billing_hard_limit_reached", "message": "Billing hard limit has been reached"}}, Failure.ACCOUNT),
    (400, {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."}, Failure.ACCOUNT),
    (400, {"error": {"message": "Budget has been exceeded! Current cost: 1, Max budget: 0.5", "type": "budget_exceeded", "code": "400"}}, Failure.ACCOUNT),
    (401, {"error": {"message": "Authentication Error, ExceededBudget: Key over budget"}}, Failure.ACCOUNT),
    (412, {"error": {"message": "Account m is suspended, possibly due to reaching the monthly spending limit"}}, Failure.ACCOUNT),
    (429, {"error": {"message": "x", "code": "organization_spend_limit_exceeded"}}, Failure.ACCOUNT),
    (429, [{"error": {"code": 429, "message": "Your prepayment credits are depleted.", "status": "RESOURCE_EXHAUSTED"}}], Failure.ACCOUNT),
    (429, {"error": {"message": "x", "code": "project_spend_limit_exceeded"}}, Failure.ACCOUNT),
    (400, {"error": {"message": "x", "type": "invalid_request_error", "code": "blocked_api_access"}}, Failure.ACCOUNT),
    (400, {"error": {"message": "Organization has been restricted.", "type": "invalid_request_error", "code": "organization_restricted"}}, Failure.ACCOUNT),
    (400, {"error": {"message": "The model `m` requires terms acceptance.", "type": "invalid_request_error", "code": "model_terms_required"}}, Failure.ACCOUNT),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC."}}, Failure.ACCOUNT),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "This organization has been disabled."}}, Failure.ACCOUNT),
    (400, [{"error": {"code": 400, "message": "User location is not supported for the API use.", "status": "FAILED_PRECONDITION"}}], Failure.ACCOUNT),
    # content
    (403, {"code": "The caller does not have permission", "error": "Content violates usage guidelines. Failed check: X"}, Failure.CONTENT),
    (400, {"error": {"code": "SensitiveContentDetected", "message": "No."}}, Failure.CONTENT),
    (400, {"error": {"code": "InputTextSensitiveContentDetected", "message": "The request failed because the input text may contain sensitive information."}}, Failure.CONTENT),
    (400, {"error": {"message": "{'error': 'Violated guardrail policy', 'bedrock_guardrail_response': 'x'}", "code": "400"}}, Failure.CONTENT),
    (446, {"errors": [{"code": 2016, "message": "Prompt blocked due to security configurations"}]}, Failure.CONTENT),
    (400, {"error": {"code": "content_filter", "message": "The response was filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, Failure.CONTENT),
    (400, {"error": {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, Failure.CONTENT),
    (400, {"error": {"code": "moderation_blocked", "message": "Your request was rejected by the safety system."}}, Failure.CONTENT),
    (400, {"error": {"code": "invalid_prompt", "message": "Invalid prompt: your prompt was flagged."}}, Failure.CONTENT),
    (400, {"error": {"message": "Content Exists Risk", "type": "invalid_request_error", "code": "invalid_request_error"}}, Failure.CONTENT),
    (400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}}, Failure.CONTENT),
    (400, {"error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}}, Failure.CONTENT),
    (403, {"error": {"code": 403, "message": "Your chosen model requires moderation and your input was flagged", "metadata": {"reasons": ["x"]}}}, Failure.CONTENT),
    (500, {"error": {"code": "content_filter", "message": "x"}}, Failure.CONTENT),
    (500, {"error": {"message": "the word content policy alone"}}, Failure.SERVER_ERROR),
]  # fmt: skip

TOO_LONG: list[tuple[str, int, Any]] = [
    ("OpenAI", 400, {"error": {"message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens. Please reduce the length of the messages.", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}),
    ("Responses", 400, {"error": {"message": "Your input exceeds the context window of this model. Please adjust your input and try again.", "type": "invalid_request_error", "param": "input", "code": "context_length_exceeded"}}),
    ("LiteLLM", 400, {"error": {"message": "litellm.ContextWindowExceededError: x", "type": None, "param": None, "code": "400"}}),
    ("LiteLLM, by name", 500, {"error": {"code": "context_length_exceeded"}}),
    ("llama.cpp", 400, {"error": {"code": 400, "message": "the request exceeds the available size", "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192}}),
    ("llama.cpp, in the middle", 500, {"error": {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}}),
    ("llama.cpp, embeddings", 500, {"error": {"code": 500, "message": "input is too large to process. increase the physical batch size", "type": "server_error"}}),
    ("vLLM, nested", 400, {"error": {"message": "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens.", "type": "BadRequestError", "param": None, "code": 400}}),
    ("vLLM, flat", 400, {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "param": None, "code": 400}),
    ("vLLM, v1", 400, {"error": {"message": "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", "type": "BadRequestError", "code": 400}}),
    ("SGLang", 400, {"object": "error", "message": "The input (5000 tokens) is longer than the model's context length (4096 tokens).", "type": "BadRequestError", "param": None, "code": 400}),
    ("SGLang, requested", 400, {"object": "error", "message": "Requested token count exceeds the model's maximum context length of 4096 tokens.", "type": "BadRequestError", "code": 400}),
    ("TGI", 422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 100 `max_new_tokens`", "error_type": "validation"}),
    ("TGI, inputs", 422, {"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000", "error_type": "validation"}),
    ("Mistral", 400, {"object": "error", "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", "type": "invalid_request_prompt", "param": None, "code": "3051"}),
    ("LM Studio", 400, {"error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}),
    ("LM Studio, initial", 400, {"error": "The number of tokens to keep from the initial prompt is greater than the context length."}),
    ("Ollama", 400, {"error": "the input length exceeds the context length"}),
    ("Ollama, OpenAI's route", 400, {"error": {"message": "prompt too long; exceeded max context length by 4096 tokens", "type": "api_error", "param": None, "code": None}}),
    ("Gemini", 400, [{"error": {"code": 400, "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "status": "INVALID_ARGUMENT"}}]),
    ("Anthropic", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 208310 tokens > 200000 maximum"}}),
    ("Anthropic, with max_tokens", 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"}}),
    ("DeepSeek", 400, {"error": {"message": "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens.", "type": "invalid_request_error", "param": None, "code": "invalid_request_error"}}),
    ("OpenRouter", 400, {"error": {"message": "This endpoint's maximum context length is 8192 tokens. However, you requested about 10001 tokens", "code": 400}}),
    ("OpenRouter, its provider", 400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": "{\"message\":\"Input is too long for requested model.\"}", "provider_name": "Amazon Bedrock"}}}),
    ("Groq, a large body", 413, {"error": {"message": "Please reduce the length of the messages or completion.", "code": "context_length_exceeded"}}),
    ("xAI", 400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."}),
    ("Moonshot", 400, {"error": {"message": "Invalid request: Your request exceeded model token limit: 8192", "type": "invalid_request_error"}}),
    ("DashScope", 400, {"error": {"code": "invalid_parameter_error", "message": "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]"}}),
    ("Zhipu", 400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}),
    ("Vertex AI", 400, [{"error": {"code": 400, "message": "Unable to submit request because the input token count is 1048577 but model only supports up to 1048576. Reduce the input token count and try again.", "status": "INVALID_ARGUMENT"}}]),
    ("Cohere", 400, {"message": "too many tokens: size limit exceeded by 3 tokens. Try using shorter or fewer inputs. The limit for this model is 4081 tokens.", "code": 400}),
    ("GitHub Models", 413, {"error": {"code": "tokens_limit_reached", "message": "Request body too large for gpt-4o model. Max size: 8000 tokens."}}),
    ("SambaNova", 400, {"error": {"message": "The provided prompt is 5000 tokens long, so generating 1 tokens requires a sequence length of 5001, but the maximum supported sequence length is just 4096!"}}),
    ("GitHub Copilot, by name", 400, {"error": {"message": "No.", "code": "model_max_prompt_tokens_exceeded"}}),
    ("Qianfan", 400, {"error": {"code": "tokens_too_long", "message": "Prompt tokens too long", "type": "invalid_request_error"}}),
    ("SiliconFlow", 400, {"code": 20015, "message": "length of prompt_tokens (9000) must be less than max_seq_len (8192).", "data": None}),
    ("TensorRT-LLM", 400, {"object": "error", "message": "Prompt length (9000) exceeds maximum input length (8192).", "type": "BadRequestError", "param": None, "code": 400}),
    ("TensorRT-LLM, with max_tokens", 400, {"object": "error", "message": "The sum of prompt length (9000.0), query length (0) should not exceed max_num_tokens (8192)", "type": "BadRequestError", "code": 400}),
    ("vLLM, nothing left", 400, {"error": {"message": "max_tokens must be at least 1, got -15.", "type": "BadRequestError", "code": 400}}),
    ("watsonx", 400, {"errors": [{"code": "invalid_input_argument", "message": "the number of input tokens 5000 cannot exceed the total tokens limit 4096 for this model"}]}),
    ("Volcengine Ark", 400, {"error": {"code": "InvalidParameter", "message": "Total tokens of image and text exceed max message tokens.", "type": "BadRequest"}}),
    ("TabbyAPI", 400, {"detail": {"error": {"message": "Prompt length 5000 is greater than max_seq_len 4096"}}}),
    ("Bedrock, Titan", 400, {"message": "Input Tokens Exceeded: Number of input tokens exceeds maximum length", "code": 400}),
    ("OpenAI, embeddings", 400, {"error": {"message": "Invalid 'input[0]': maximum input length is 8192 tokens.", "type": "invalid_request_error", "param": None, "code": None}}),
    ("FastAPI", 400, {"detail": "This model's maximum context length is 4096 tokens."}),
    ("plain text", 400, "This model's maximum context length is 4096 tokens."),
]  # fmt: skip


@pytest.mark.parametrize(("status", "data", "kind"), KINDS)
def test_each_error_is_of_one_kind(status: int, data: Any, kind: Failure) -> None:
    assert error_in_body(status, json.dumps(data).encode()).kind is kind


@pytest.mark.parametrize(("status", "data"), [row[1:] for row in TOO_LONG], ids=[row[0] for row in TOO_LONG])
def test_too_long_is_understood_as_everybody_says_it(status: int, data: Any) -> None:
    body = data.encode() if isinstance(data, str) else json.dumps(data).encode()
    assert error_in_body(status, body).kind is Failure.CONTEXT_LENGTH
    assert error_in_body(status, b"data: " + body + b"\n\n").kind is Failure.CONTEXT_LENGTH or isinstance(data, str)
    if not isinstance(data, str):
        assert of(error_in_events(b"data: " + body + b"\n\n")).kind is Failure.CONTEXT_LENGTH


@pytest.mark.parametrize("status", [401, 403, 429])
def test_a_limit_or_a_refusal_that_mentions_the_context_is_still_one(status: int) -> None:
    said = error_in_body(status, b'{"error": {"message": "No long context window for this account."}}')
    assert said.kind is not Failure.CONTEXT_LENGTH


def test_an_error_of_no_known_status_is_not_taken_for_an_overload() -> None:
    said = of(error_in_json(b'{"error": {"message": "x"}}'))
    assert (said.status, said.named, said.kind) == (502, False, Failure.SERVER_ERROR)
    assert of(error_in_json(b'{"error": {"code": 502}}')).kind is Failure.OVERLOADED
