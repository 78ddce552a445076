"""The log: one line per call, per failed attempt, per breaker, per change of configuration; nothing forged, no secrets."""

from __future__ import annotations

import json
import logging
import ssl
from hashlib import sha256
from typing import Any

import pytest

from openai_gateway_asgi import GatewayConfig, Settings, User
from openai_gateway_asgi.host.notices import EVERY
from openai_gateway_asgi.observe.config_log import log_change
from openai_gateway_asgi.testing import error_answer, json_answer
from tests.cases.gateways import A, upstream_a, upstream_b, world

CHAT = "/chat/completions"
LOGGER = "openai_gateway_asgi"


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, LOGGER)


def lines(caplog: pytest.LogCaptureFixture, field: str) -> list[Any]:
    return [record for record in caplog.records if hasattr(record, field)]


async def test_a_call_that_fails_says_its_error_and_reason_and_trace(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
        await w.chat("nobody-has-it", headers={"traceparent": parent})
    [line] = lines(caplog, "call")
    assert line.name == LOGGER
    assert line.getMessage().endswith(f" error=model_not_found reason=unknown trace_id={'ab' * 16}")
    assert line.call["reason"] == "unknown"
    assert line.call["trace_id"] == "ab" * 16


async def test_the_data_of_a_line_are_plain_values_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with world(upstream_a(), upstream_b()) as w:
        w.upstream.answer(CHAT, error_answer(503), json_answer({"usage": {"prompt_tokens": 1}}))
        await w.chat()
    [line] = lines(caplog, "call")
    assert json.loads(json.dumps(line.call)) == line.call
    assert [attempt["upstream"] for attempt in line.call["tries"]] == ["A", "B"]
    assert line.call["tries"][0]["failure"] == "overloaded"
    assert line.call["usage"] == {"input": 1}
    [warning] = lines(caplog, "attempt")
    assert json.loads(json.dumps(warning.attempt)) == warning.attempt


@pytest.mark.parametrize(
    ("setting", "shown"),
    [("id", "u1"), ("hash", sha256(b"u1").hexdigest()[:16]), ("none", "hidden")],
)
async def test_users_are_named_as_the_settings_say(setting: Any, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    async with world(settings=Settings(log_users=setting)) as w:
        await w.chat(headers={"x-test-user": "u1"})
        await w.ask("GET", "/config", headers={"x-test-user": "u1"})
        assert w.records[0].user.id == "u1"
    [call], [refusal] = lines(caplog, "call"), lines(caplog, "refusal")
    assert f" user={shown} " in call.getMessage()
    assert f" user={shown} " in refusal.getMessage()
    assert (call.call["user"], refusal.refusal["user"]) == (shown, shown)


@pytest.mark.parametrize(
    ("method", "path", "headers", "reason"),
    [
        ("POST", CHAT, {"x-test-user": "stranger"}, "unauthenticated"),
        ("POST", '/no"thing status=200', {}, "not_found"),
        ("DELETE", CHAT, {}, "method_not_allowed"),
        ("GET", "/config", {"x-test-user": "u1"}, "permission_denied"),
        ("GET", "/models/x", {}, "unknown"),
    ],
)
async def test_a_request_that_became_no_call_leaves_a_line_and_no_record(
    method: str, path: str, headers: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(resolve_user=lambda r: _user(r.headers.get("x-test-user"))) as w:
        response = await w.ask(method, path, headers=headers, json={} if method == "POST" else None)
        assert w.records == []
    [line] = lines(caplog, "refusal")
    assert line.levelno == logging.INFO
    assert line.getMessage().isprintable()
    assert f" status={response.status} " in line.getMessage()
    assert line.getMessage().endswith(f"reason={reason}")
    assert line.refusal["reason"] == reason
    assert lines(caplog, "call") == []


def _user(name: str | None) -> User | None:
    return None if name == "stranger" else User("u1") if name else User("a1", role="admin")


async def test_each_attempt_that_fails_is_a_warning_in_words(caplog: pytest.LogCaptureFixture) -> None:
    async with world(upstream_a(), upstream_b()) as w:
        said = json_answer({"error": {"message": "Incorrect API key provided: sk-ab****yz.", "type": "x"}}, 401)
        w.upstream.answer(CHAT, said, error_answer(500, "out of memory"))
        await w.chat()
    first, second = lines(caplog, "attempt")
    assert (first.levelno, first.name) == (logging.WARNING, f"{LOGGER}.upstreams")
    assert ' cause="401: Incorrect API key provided: ***" ' in first.getMessage()
    assert "see whether it is the right one" in first.getMessage()
    assert first.attempt["failure"] == "credential"
    assert ' cause="500: out of memory"' in second.getMessage()
    assert " attempt=2 upstream=B model=m1 failure=server_error " in second.getMessage()


@pytest.mark.parametrize("status", [400, 409, 413, 418, 422])
@pytest.mark.parametrize("logged", [False, True])
async def test_what_an_upstream_says_of_other_statuses_may_be_the_prompt(
    status: int, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    error = {"error": {"message": "canary is no good", "type": "t", "param": "messages", "code": "c"}}
    async with world(settings=Settings(retries=0, log_upstream_messages=logged)) as w:
        w.upstream.answer(CHAT, json_answer(error, status))
        await w.chat()
        [attempt] = w.records[0].tries
    [warning] = lines(caplog, "attempt")
    assert ("canary" in caplog.text + repr(warning.__dict__) + repr(attempt)) is logged
    assert attempt.cause is not None
    assert (attempt.cause.status, attempt.cause.code, attempt.cause.param) == (status, "c", "messages")
    assert logged or f'"{status}: code c, param messages"' in warning.getMessage()


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 429, 500, 503])
async def test_what_an_upstream_says_of_account_and_load_is_kept(status: int, caplog: pytest.LogCaptureFixture) -> None:
    message = "why: " + "x " * 400
    async with world() as w:
        w.upstream.answer(CHAT, json_answer({"error": {"message": message, "type": "t"}}, status))
        await w.chat()
        [attempt] = w.records[0].tries
    assert attempt.cause is not None
    assert attempt.cause.message.startswith("why: x x")
    assert len(attempt.cause.message) <= 300
    assert "why: x x" in caplog.text


async def test_a_message_makes_no_line_and_no_field_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        message = 'a\r\nb" upstream=forged \u2028 c'
        w.upstream.answer(CHAT, json_answer({"error": {"message": message, "code": "x\ny upstream=forged"}}, 500))
        await w.chat()
    [warning] = lines(caplog, "attempt")
    assert warning.getMessage().isprintable()
    assert ' cause="500: a b\\" upstream=forged c"' in warning.getMessage()
    assert "code" not in warning.attempt


async def test_a_flood_of_equal_warnings_is_folded(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    async with world() as w:
        monkeypatch.setattr(w.gateway._parts.notices, "_clock", lambda: now)
        w.upstream.answer(CHAT, error_answer(503))
        for number in range(60):
            await w.chat(user=str(number))
        told = lines(caplog, "attempt")
        assert len(told) == 1
        now = EVERY + 1
        await w.chat()
        _, folded, again = lines(caplog, "attempt")
        assert folded.attempt["upstream"] == "A"
        assert folded.more > 1
        assert f"{folded.more} more since the last such line. The last: " in folded.getMessage()
        assert again.getMessage().startswith("attempt failed: ")


async def test_what_was_only_counted_is_told_when_the_gateway_closes(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as w:
        w.upstream.answer(CHAT, error_answer(500, "a"), error_answer(500, "b"))
        await w.chat()
        await w.chat()
    assert ["1 more" in line.getMessage() for line in lines(caplog, "attempt")] == [False, True]


async def test_a_breaker_that_opens_and_closes_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with world(upstream_a(), upstream_b()) as w:
        w.upstream.host("a").answer(CHAT, *[error_answer(503)] * 5, json_answer({}))
        for _ in range(5):
            await w.chat()
        [opened] = lines(caplog, "breaker")
        assert opened.levelno == logging.WARNING
        assert opened.breaker == {"state": "open", "upstream": "A", "model": "m1"}
        assert " upstream=A model=m1 for=1.0 " in opened.getMessage()
        await w.ask("POST", "/verify", json={"url": A, "key": "ka"})
        _, closed = lines(caplog, "breaker")
        assert closed.breaker["state"] == "closed"


async def test_a_change_of_configuration_is_told_by_names_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with world(upstream_a(), upstream_b()) as w:
        await w.chat()
        body = {
            "ENABLE_OPENAI_API": True,
            "OPENAI_API_BASE_URLS": [A, "http://c/v1"],
            "OPENAI_API_KEYS": ["canary-key", "canary-other"],
            "OPENAI_API_CONFIGS": {
                "0": {"name": "A", "model_ids": ["m1"], "headers": {"x-secret": "canary-header"}},
                "1": {"name": "C"},
            },
        }
        answer = await w.post("/config/update", body)
        assert answer.status == 200, answer.body
    [line] = lines(caplog, "change")
    assert (line.levelno, line.name) == (logging.INFO, f"{LOGGER}.config")
    assert line.getMessage() == "configuration changed by=a1 added=C removed=B changed=A:api_key,headers"
    assert line.change["changed"] == {"A": ["api_key", "headers"]}
    assert "canary" not in caplog.text + repr(line.__dict__)


def test_a_change_that_was_made_elsewhere_says_so_and_what_it_was(caplog: pytest.LogCaptureFixture) -> None:
    before = GatewayConfig(upstreams=[upstream_a(), upstream_b()], version="1")
    after = GatewayConfig(
        enabled=False, upstreams=[upstream_b(), upstream_a(weight=2)], fallbacks={"m1": ["m2"]}, version="2"
    )
    log_change(before, after, None)
    log_change(after, after, "ann by=root")
    first, second = lines(caplog, "change")
    assert first.getMessage() == (
        "configuration changed by=store changed=A:weight changed=enabled changed=fallbacks changed=order"
    )
    assert first.change["by"] is None
    assert second.getMessage() == 'configuration changed by="ann by=root" nothing'


async def test_no_certificate_no_name_no_server_each_in_its_own_words(caplog: pytest.LogCaptureFixture) -> None:
    import httpx

    untrusted = ssl.SSLCertVerificationError(1, "certificate verify failed")
    untrusted.verify_message = "self-signed certificate"

    def fails(request: Any) -> Any:
        raise httpx.ConnectError("failed") from untrusted

    async with world(upstream_a()) as w:
        w.upstream.answer(CHAT, fails)
        await w.chat()
    [warning] = lines(caplog, "attempt")
    assert 'cause="certificate of a is self-signed"' in warning.getMessage()
    assert "verify_tls" in warning.getMessage()
