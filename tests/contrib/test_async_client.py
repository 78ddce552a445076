"""Django's own test clients: the asynchronous one reaches the gateway, the other is told what it cannot do."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User as Account
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.test.utils import setup_test_environment, teardown_test_environment

from openai_gateway_asgi.contrib.django import orm_safe
from openai_gateway_asgi.contrib.django.orm import own_threads
from openai_gateway_asgi.testing import OWN_PAGE, stream_answer
from openai_gateway_asgi.testing.answers import chat as chat_answer
from openai_gateway_asgi.testing.answers import chat_events
from tests.contrib.site import sign_in

CHAT = {"model": "gpt-small", "messages": [{"role": "user", "content": "Hello?"}]}
MIDDLEWARE = "openai_gateway_asgi.contrib.django.gateway_middleware"
PATH = "/llm/v1/chat/completions"


@pytest.fixture(autouse=True)
def _as_djangos_own_test_runner_has_it() -> Iterator[None]:
    setup_test_environment()
    with override_settings(
        MIDDLEWARE=[MIDDLEWARE, *settings.MIDDLEWARE], OPENAI_GATEWAY="tests.contrib.mounted.application"
    ):
        yield
    teardown_test_environment()


@pytest.fixture
def upstream():
    from tests.contrib.mounted import upstream

    upstream.requests.clear()
    return upstream


@pytest.fixture
async def client() -> AsyncClient:
    client = AsyncClient()
    client.cookies[settings.SESSION_COOKIE_NAME] = await sign_in("ada")
    return client


async def chat(client: AsyncClient, **fields: Any) -> HttpResponse | StreamingHttpResponse:
    return await client.post(PATH, CHAT | fields, content_type="application/json", headers=OWN_PAGE)


async def test_a_signed_in_client_chats(client: AsyncClient, upstream: Any) -> None:
    answer = await chat(client)

    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "Hello from upstream."
    assert answer.headers["x-gateway-request-id"]
    assert json.loads(upstream.last.body) == CHAT


async def test_a_stream_is_one(client: AsyncClient) -> None:
    answer = await chat(client, stream=True)

    assert answer.streaming
    assert answer.headers["content-type"].startswith("text/event-stream")
    pieces = [piece async for piece in answer.streaming_content]
    assert len(pieces) > 3
    assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


async def test_a_stream_that_is_left_ends_its_upstream_call(client: AsyncClient, upstream: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield chat_events({"model": "gpt-small"})[1]
        await asyncio.Event().wait()

    upstream.answer("/chat/completions", stream_answer(endless()))
    try:
        answer = await chat(client, stream=True)
        pieces = answer.streaming_content
        assert b"Hello" in await anext(pieces)
        await pieces.aclose()
        await upstream.until_closed_early()
    finally:
        upstream.answer("/chat/completions", lambda request: chat_answer(request.json()))


async def test_queries_methods_and_other_answers_cross_as_well(client: AsyncClient) -> None:
    listed = await client.get("/llm/v1/models", query_params={"limit": "1"})
    head = await client.head("/llm/v1/models")
    unknown = await client.get("/llm/nothing")

    assert [model["id"] for model in listed.json()["data"]] == ["gpt-small"]
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(listed.content))
    assert unknown.json()["error"]["code"] == "not_found"


async def test_without_a_session_it_is_a_stranger_and_from_elsewhere_it_is_refused(client: AsyncClient) -> None:
    assert (await chat(AsyncClient())).status_code == 401
    assert (
        await client.post(PATH, CHAT, content_type="application/json", headers={"sec-fetch-site": "cross-site"})
    ).status_code == 403


async def test_the_sites_own_pages_are_served_as_before(client: AsyncClient) -> None:
    assert (await client.get("/page/")).content == b"GET by ada"
    assert (await client.get("/llmx/")).status_code == 404


async def test_a_host_that_is_not_the_sites_is_refused_here_too(client: AsyncClient) -> None:
    answer = await client.get("/llm/v1/models", headers={"host": "evil.test"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "disallowed_host")


async def test_orm_callables_run_in_djangos_own_thread_whatever_the_mount_says() -> None:
    """So they see what a ``TestCase`` has written and not committed."""
    from tests.contrib import mounted

    where: list[object] = []

    @orm_safe
    def resolve_user() -> None:
        where.append((threading.get_ident(), own_threads.get()))

    async def gateway(scope: Any, receive: Any, send: Any) -> None:
        await resolve_user()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    real, mounted.application.gateway = mounted.application.gateway, gateway
    try:
        assert (await AsyncClient().get("/llm/v1/models")).status_code == 204
        assert where == [(await orm_safe(threading.get_ident)(), None)]
    finally:
        mounted.application.gateway = real


async def test_what_the_gateway_raises_comes_out() -> None:
    from tests.contrib import mounted

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    real, mounted.application.gateway = mounted.application.gateway, broken
    try:
        with pytest.raises(ZeroDivisionError):
            await AsyncClient().get("/llm/v1/models")
    finally:
        mounted.application.gateway = real


def test_the_synchronous_client_is_told_what_is_needed() -> None:
    answer = Client().post(PATH, CHAT, content_type="application/json")

    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_served")
    assert "ASGI" in answer.json()["error"]["message"]
    assert Client().get("/page/").content == b"GET by nobody"


def plain_middleware(get_response: Any) -> Any:
    """Knows nothing of coroutines, so Django puts a thread between."""
    return lambda request: get_response(request)


async def test_plain_middleware_around_and_behind_is_no_hindrance(client: AsyncClient) -> None:
    behind = [MIDDLEWARE, f"{__name__}.plain_middleware", *settings.MIDDLEWARE[1:]]
    with override_settings(MIDDLEWARE=behind):
        assert (await chat(client)).status_code == 200
        assert (await client.get("/page/")).content == b"GET by ada"


async def test_without_a_gateway_to_be_found_the_site_is_served_as_before() -> None:
    with override_settings(OPENAI_GATEWAY=None):
        assert (await AsyncClient().get("/page/")).content == b"GET by nobody"
        assert (await AsyncClient().get(PATH)).status_code == 404


async def test_accounts_count_as_ever() -> None:
    await sign_in("ada")

    assert await Account.objects.acount() == 1
