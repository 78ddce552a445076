"""Case 252: the application has read the body before its route hands the request to the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from openai_gateway_asgi import Gateway, Settings, Upstream, User, everyone
from openai_gateway_asgi.testing import FakeUpstream, json_answer
from tests.hosts.apps import Place
from tests.support.asgi import ask
from tests.support.servers import serve

BODY = '{"model": "tiny-chat",  "messages": [{"role": "user", "content": "H\\u00e9llo?"}], "big": 12345678901234567890}'
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ntiny-chat\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\nsound\r\n--x--\r\n'
)
Read = Callable[[Request], Any]


class Asked(BaseModel):
    model: str


@pytest.fixture
def gateway(upstream: FakeUpstream) -> Gateway:
    return Gateway(
        [Upstream("http://upstream.test/v1", api_key="sk-upstream", model_ids=["tiny-chat"])],
        authorize_model=everyone,
        settings=Settings(upload_idle=0.05),
        transport=upstream.transport(),
    )


def in_fastapi(gateway: Gateway, read: Read, *, hands_on: bool) -> ASGIApp:
    async def signed_in(request: Request) -> User:
        await read(request)
        return User("ada")

    app = FastAPI()

    @app.api_route("/ai/{path:path}", methods=["GET", "POST"])
    async def ai(request: Request, user: User = Depends(signed_in)) -> Response:  # noqa: B008  # as FastAPI has it
        return gateway.response(user, request=request) if hands_on else gateway.response(user)

    return app


def in_starlette(gateway: Gateway, read: Read, *, hands_on: bool) -> ASGIApp:
    async def ai(request: Request) -> Response:
        await read(request)
        return gateway.response(User("ada"), request=request) if hands_on else gateway.response(User("ada"))

    return Starlette(routes=[Route("/ai/{path:path}", ai, methods=["GET", "POST"])])


@pytest.fixture(params=[in_fastapi, in_starlette])
def host(request: pytest.FixtureRequest) -> Callable[..., ASGIApp]:
    return request.param


async def chat(app: ASGIApp, path: str = "/ai/v1/chat/completions"):
    headers = {"content-type": "application/json"}
    return await ask(app, "POST", path, body=BODY.encode(), headers=headers, strict=False)


async def drained(request: Request) -> None:
    """As `request.form()` does it."""
    async for _ in request.stream():
        pass


async def no_more(request: Request) -> None:
    pass


@pytest.mark.parametrize("read", [Request.json, Request.body, no_more])
async def test_case_252_the_body_that_the_request_kept_is_used(
    gateway: Gateway, upstream: FakeUpstream, host: Callable[..., ASGIApp], read: Read
) -> None:
    answer = await chat(host(gateway, read, hands_on=True))

    assert answer.status == 200
    assert json.loads(upstream.last.body) == json.loads(BODY)
    assert b"12345678901234567890" in upstream.last.body


async def test_case_252_the_same_over_sockets_with_a_stream_and_a_client_that_goes_on(
    gateway: Gateway, upstream: FakeUpstream
) -> None:
    async with serve(in_fastapi(gateway, Request.json, hands_on=True)) as server:
        async with Place(f"{server.url}/ai/v1").client("any") as client:
            for _ in range(2):
                stream = await client.chat.completions.create(model="tiny-chat", messages=[], stream=True)
                assert [chunk async for chunk in stream][1].choices[0].delta.content == "Hello"


async def test_case_252_a_form_kept_as_bytes_is_used(
    gateway: Gateway, upstream: FakeUpstream, host: Callable[..., ASGIApp]
) -> None:
    upstream.answer("/audio/transcriptions", json_answer({"text": "Hello"}))
    answer = await upload(host(gateway, Request.body, hands_on=True))

    assert answer.status == 200
    assert b"sound" in upstream.last.body


async def upload(app: ASGIApp):
    headers = {"content-type": "multipart/form-data; boundary=x"}
    return await ask(app, "POST", "/ai/v1/audio/transcriptions", body=FORM, headers=headers, strict=False)


@pytest.mark.parametrize("send", [chat, upload])
async def test_case_252_without_it_the_408_and_the_log_name_the_cause(
    gateway: Gateway, host: Callable[..., ASGIApp], send: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    answer = await send(host(gateway, Request.body, hands_on=False))

    assert answer.status == 408
    error = answer.json()["error"]
    assert error["code"] == "request_timeout"
    assert "gateway.response(user, request=request)" in error["message"]
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith("request_timeout: ")
    assert "gateway.response(user, request=request)" in line
    assert "POST /ai/v1/" in line


async def test_a_client_that_stalls_in_the_middle_is_still_to_blame_itself(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    async def dripping() -> AsyncIterator[dict[str, object]]:
        yield {"type": "http.request", "body": b'{"model"', "more_body": True}

    pieces = dripping()
    sent: list[Any] = []

    async def receive() -> Any:
        try:
            return await anext(pieces)
        except StopAsyncIteration:
            await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/ai/v1/chat/completions",
        "path_params": {"path": "v1/chat/completions"},
        "headers": [(b"content-type", b"application/json")],
        "query_string": b"",
    }
    await gateway.response(User("ada"))(scope, receive, send)

    assert sent[0]["status"] == 408
    assert b"stalled" in sent[1]["body"]
    assert caplog.records == []


async def test_a_body_that_nobody_kept_is_told_at_once_and_is_the_hosts_failure(
    gateway: Gateway,
    upstream: FakeUpstream,
    host: Callable[..., ASGIApp],
    caplog: pytest.LogCaptureFixture,
) -> None:
    for send in (upload, chat):
        answer = await send(host(gateway, drained, hands_on=True))

        assert (answer.status, answer.json()["error"]["code"]) == (500, "body_already_read")
        assert answer.header("x-should-retry") == "false"
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # one a minute
    assert "request.body()" in caplog.text
    assert upstream.requests == []


@pytest.mark.parametrize("read", [Request.json, drained])
async def test_a_request_without_a_body_is_not_disturbed(
    gateway: Gateway, host: Callable[..., ASGIApp], read: Read
) -> None:
    async def tolerant(request: Request) -> None:
        with contextlib.suppress(json.JSONDecodeError):
            await read(request)

    answer = await ask(host(gateway, tolerant, hands_on=True), "GET", "/ai/v1/models", strict=False)

    assert answer.status == 200


async def test_a_body_that_fastapi_itself_has_read_is_used(gateway: Gateway, upstream: FakeUpstream) -> None:
    app = FastAPI()

    @app.post("/ai/{path:path}")
    async def ai(request: Request, asked: Asked) -> Response:
        return gateway.response(User(asked.model), request=request)

    assert (await chat(app)).status == 200
    assert json.loads(upstream.last.body) == json.loads(BODY)


async def test_a_middleware_that_keeps_what_it_reads_needs_no_help(gateway: Gateway) -> None:
    class Reading(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            await request.body()
            return await call_next(request)

    async def ai(request: Request) -> Response:
        return gateway.response(User("ada"))

    app = Starlette(routes=[Route("/ai/{path:path}", ai, methods=["POST"])], middleware=[Middleware(Reading)])

    assert (await chat(app)).status == 200


def test_the_request_is_starlettes(gateway: Gateway) -> None:
    with pytest.raises(TypeError, match="Request"):
        gateway.response(User("ada"), request={"type": "http"})  # type: ignore[arg-type]


async def test_the_client_is_told_so_by_the_sdk(gateway: Gateway) -> None:
    async with serve(in_fastapi(gateway, Request.json, hands_on=False)) as server:
        async with Place(f"{server.url}/ai/v1").client("any") as client:
            with pytest.raises(openai.APIStatusError) as caught:
                await client.chat.completions.create(model="tiny-chat", messages=[])
    assert caught.value.status_code == 408
