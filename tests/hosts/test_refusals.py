"""What the host's own code refuses reaches the client as it was meant, in every host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import HTTPException
from starlette.exceptions import HTTPException as StarletteException
from starlette.types import ASGIApp, Receive, Scope, Send

from openai_gateway_asgi import (
    Gateway,
    GatewayError,
    InvalidRequest,
    NotFound,
    Outcome,
    PayloadTooLarge,
    PermissionDenied,
    RateLimited,
    Unauthenticated,
    Upstream,
    UsageRecord,
    everyone,
)
from openai_gateway_asgi.testing import FakeUpstream
from tests.hosts.apps import Host, resolve_user
from tests.support.asgi import Response, ask

CHAT = {"model": "tiny-chat", "messages": [{"role": "user", "content": "Hello?"}]}
DETAIL = {"message": "Slow down.", "code": "quota"}
Raise = Callable[[], Exception]


class Blowing:
    """A layer that raises what it is told to."""

    def __init__(self, app: ASGIApp, error: Exception) -> None:
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise self._error


def of_a_layer(error: Exception) -> dict[str, Any]:
    return {"layers": [lambda app: Blowing(app, error)]}


def of_a_callable(error: Exception) -> dict[str, Any]:
    def authorize_model(user: object, model: object) -> bool:
        raise error

    return {"authorize_model": authorize_model}


def of_an_async_callable(error: Exception) -> dict[str, Any]:
    async def authorize_model(user: object, model: object) -> bool:
        raise error

    return {"authorize_model": authorize_model}


async def chat(host: Host, upstream: FakeUpstream, **options: Any) -> tuple[Response, UsageRecord]:
    records: list[UsageRecord] = []
    given = {"resolve_user": resolve_user, "authorize_model": everyone, "record_usage": records.append, **options}
    gateway = Gateway([Upstream("http://upstream.test/v1")], transport=upstream.transport(), **given)
    headers = {"authorization": "Bearer ada-token"}
    path = f"{host.prefix}/v1/chat/completions"
    answer = await ask(host.build(gateway), "POST", path, json=CHAT, headers=headers, strict=False)
    return answer, records[0]


@pytest.fixture(params=[of_a_callable, of_an_async_callable, of_a_layer])
def place(request: pytest.FixtureRequest) -> Callable[[Exception], dict[str, Any]]:
    return request.param


@pytest.mark.parametrize("kind", [HTTPException, StarletteException])
async def test_case_254_an_exception_with_a_status_is_that_status_with_its_headers_and_text(
    kind: Callable[..., Exception], place: Callable[[Exception], dict[str, Any]], host: Host, upstream: FakeUpstream
) -> None:
    error = kind(429, headers={"Retry-After": "5"}, detail=DETAIL)

    answer, record = await chat(host, upstream, **place(error))

    assert (answer.status, answer.header("retry-after")) == (429, "5")
    assert answer.json()["error"] == {
        "message": "Slow down.",
        "type": "rate_limit_error",
        "param": None,
        "code": "quota",
    }
    assert (record.status, record.outcome, record.error) == (429, Outcome.REJECTED, "quota")
    assert upstream.calls("/chat/completions") == []


@pytest.mark.parametrize(
    ("error", "status", "type"),
    [
        (InvalidRequest("No.", param="messages"), 400, "invalid_request_error"),
        (Unauthenticated("No."), 401, "authentication_error"),
        (PermissionDenied("No."), 403, "permission_error"),
        (NotFound("No."), 404, "invalid_request_error"),
        (PayloadTooLarge("No."), 413, "invalid_request_error"),
        (RateLimited("No.", headers={"Retry-After": "5"}), 429, "rate_limit_error"),
    ],
)
async def test_case_254_the_public_errors_are_what_they_say(
    error: GatewayError, status: int, type: str, place: Callable[[Exception], dict[str, Any]], upstream: FakeUpstream
) -> None:
    host = Host("bare", lambda gateway: gateway, "")

    answer, record = await chat(host, upstream, **place(error))

    assert answer.status == record.status == status
    assert answer.json()["error"] == {"message": "No.", "type": type, "param": error.param, "code": error.code}
    assert record.outcome is Outcome.REJECTED
    assert answer.header("retry-after") == ("5" if status == 429 else None)


async def test_an_exception_of_a_layers_without_a_status_is_a_500(upstream: FakeUpstream) -> None:
    host = Host("bare", lambda gateway: gateway, "")

    answer, record = await chat(host, upstream, **of_a_layer(ValueError("secret")))

    assert (answer.status, record.outcome) == (500, Outcome.FAILED)
    assert b"secret" not in answer.body


def test_a_kind_of_ones_own_may_have_headers_of_its_own() -> None:
    class OutOfQuota(GatewayError):
        status = 429
        code = "quota"
        headers = {"Retry-After": "60"}  # type: ignore[assignment]  # noqa: RUF012  # untyped hosts write it so

    assert OutOfQuota("No.").headers == ((b"retry-after", b"60"),)


@pytest.mark.parametrize("headers", [{"x-a": "a\r\nb: c"}, {"x a": "a"}, {"x-a": "☃"}])
def test_headers_that_cannot_be_sent_are_refused_where_they_are_written(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"the header .x"):
        RateLimited("No.", headers=headers)
