"""What an exception of the host's says to the client."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from fastapi import HTTPException

from openai_gateway_asgi.host.refusals import OURS, UNSAID, refusal_of


@pytest.mark.parametrize(
    ("detail", "message", "code", "param"),
    [
        ("Slow down.", "Slow down.", "rate_limit_exceeded", None),
        ({"message": "Slow down."}, "Slow down.", "rate_limit_exceeded", None),
        ({"message": "No.", "code": "quota", "param": "model", "more": 1}, "No.", "quota", "model"),
        ({"error": {"message": "No.", "code": 7}}, "No.", "7", None),
        ({"message": "No.", "error": "quota"}, "No.", "rate_limit_exceeded", None),
        # It was hidden once; the host has chosen what it says, and a client has to learn the reason.
        ({"reason": "quota", "left": 0}, '{"reason":"quota","left":0}', "rate_limit_exceeded", None),
        ({"message": ["a"]}, '{"message":["a"]}', "rate_limit_exceeded", None),
        ([{"loc": ["body"], "msg": "No."}], '[{"loc":["body"],"msg":"No."}]', "rate_limit_exceeded", None),
        (17, "17", "rate_limit_exceeded", None),
        ("", UNSAID, "rate_limit_exceeded", None),
        ({"message": object()}, UNSAID, "rate_limit_exceeded", None),
        (object(), UNSAID, "rate_limit_exceeded", None),
    ],
)
def test_case_254_the_details_text_is_the_message(detail: Any, message: str, code: str, param: str | None) -> None:
    refusal = refusal_of(HTTPException(429, detail))

    assert refusal is not None
    assert refusal.status == 429
    assert refusal.detail() == {"message": message, "type": "rate_limit_error", "param": param, "code": code}


def test_an_exception_with_a_status_alone_will_do() -> None:
    class Throttled(Exception):
        status_code = 429

    refusal = refusal_of(Throttled("of no interest"))

    assert refusal is not None
    assert (refusal.status, refusal.message, refusal.headers) == (429, UNSAID, ())


@pytest.mark.parametrize("status", [200, 302, 399, 600, 999, "403", None])
def test_other_statuses_are_no_refusals(status: Any) -> None:
    error = Exception()
    error.status_code = status  # type: ignore[attr-defined]

    assert refusal_of(error) is None


def test_its_headers_go_along() -> None:
    headers: dict[str, Any] = {"Retry-After": 5, "WWW-Authenticate": "Bearer", "X-Quota": " none left "}

    refusal = refusal_of(HTTPException(429, headers=headers))

    assert refusal is not None
    assert refusal.headers == ((b"retry-after", b"5"), (b"www-authenticate", b"Bearer"), (b"x-quota", b"none left"))


def test_what_frames_the_answer_and_cookies_do_not() -> None:
    refusal = refusal_of(HTTPException(401, headers={name.decode().title(): "0" for name in OURS}))

    assert refusal is not None
    assert refusal.headers == ()
    assert {b"content-length", b"content-type", b"transfer-encoding", b"set-cookie"} <= OURS


@pytest.mark.parametrize(("name", "value"), [("X-A", "a\r\nset-cookie: b"), ("X A", "a"), ("X-A", "☃"), ("", "a")])
def test_a_header_that_cannot_be_sent_is_left_out_and_told_of(
    name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = refusal_of(HTTPException(429, "Slow down.", headers={name: value, "Retry-After": "5"}))

    assert refusal is not None
    assert (refusal.message, refusal.headers) == ("Slow down.", ((b"retry-after", b"5"),))
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
