"""``ALLOWED_HOSTS`` holds for the gateway as it does for Django's own pages."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.test import override_settings
from starlette.types import ASGIApp

from openai_gateway_asgi import Gateway, Upstream, User, everyone
from openai_gateway_asgi.contrib.django import mount
from openai_gateway_asgi.contrib.django.allowed_hosts import _require_allowed, refused_host
from openai_gateway_asgi.testing import FakeUpstream
from tests.support.asgi import Response, ask, make_scope
from tests.support.servers import serve

CHAT = {"model": "gpt-small", "messages": []}


@pytest.fixture
def upstream() -> FakeUpstream:
    return FakeUpstream(["gpt-small"])


@pytest.fixture
def site(upstream: FakeUpstream) -> ASGIApp:
    gateway = Gateway(
        [Upstream("http://upstream.test/v1", api_key="sk-upstream")],
        resolve_user=lambda request: User("ada"),
        authorize_model=everyone,
        transport=upstream.transport(),
    )
    return mount(gateway, "/llm", inside=get_asgi_application())


async def chat(site: ASGIApp, *headers: tuple[bytes, bytes], **scope: Any) -> Response:
    given = [(b"content-type", b"application/json"), *headers]
    return await ask(site, "POST", "/llm/v1/chat/completions", headers=given, json=CHAT, **scope)


@pytest.mark.parametrize(
    ("allowed", "host", "served"),
    [
        (["127.0.0.1"], b"127.0.0.1", True),
        (["127.0.0.1"], b"127.0.0.1:8000", True),
        (["127.0.0.1"], b"evil.test", False),
        (["my.site"], b"my.site", True),
        (["my.site"], b"MY.Site.", True),
        (["my.site"], b"www.my.site", False),
        ([".my.site"], b"www.my.site", True),
        (["*"], b"anything.test", True),
        (["*"], b"not a name", False),
        (["*"], b"a.test,b.test", False),
        (["*"], b"a.test\xff", False),
        (["*"], b"", False),
        ([], b"localhost", False),
    ],
)
async def test_it_is_served_under_the_names_that_django_is(
    site: ASGIApp, upstream: FakeUpstream, allowed: list[str], host: bytes, served: bool
) -> None:
    with override_settings(ALLOWED_HOSTS=allowed):
        answer = await chat(site, (b"host", host))
        assert djangos_verdict(host.decode("latin-1")) is served

    assert answer.status == (200 if served else 400)
    if not served:
        assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
        assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("disallowed_host", "host")
        assert upstream.requests == []


def djangos_verdict(host: str) -> bool:
    request = HttpRequest()
    request.META = {"HTTP_HOST": host}
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True


async def test_while_debugging_an_empty_list_means_this_machine(site: ASGIApp) -> None:
    with override_settings(ALLOWED_HOSTS=[], DEBUG=True):
        assert (await chat(site, (b"host", b"localhost:8000"))).status == 200
        assert (await chat(site, (b"host", b"evil.test"))).status == 400


async def test_behind_a_proxy_the_name_that_counts_is_the_forwarded_one(site: ASGIApp) -> None:
    headers = (b"host", b"10.0.0.7"), (b"x-forwarded-host", b"my.site")
    with override_settings(ALLOWED_HOSTS=["my.site"]):
        assert (await chat(site, *headers)).status == 400
        with override_settings(USE_X_FORWARDED_HOST=True):
            assert (await chat(site, *headers)).status == 200
            assert (await chat(site, (b"host", b"my.site"))).status == 200
            assert (await chat(site, (b"host", b"my.site"), (b"x-forwarded-host", b"evil.test"))).status == 400


async def test_two_hosts_are_none(site: ASGIApp) -> None:
    with override_settings(ALLOWED_HOSTS=["*"]):
        assert (await chat(site, (b"host", b"a.test"), (b"host", b"b.test"))).status == 400


@pytest.mark.parametrize(("server", "served"), [(("127.0.0.1", 8000), True), (("evil.test", 80), False), (None, False)])
async def test_without_a_host_the_servers_own_name_counts(site: ASGIApp, server: Any, served: bool) -> None:
    assert (await chat(site, server=server)).status == (200 if served else 400)


async def test_a_host_learns_what_to_add_from_its_log(site: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        await chat(site, (b"host", b"evil\r\n.test"))

    (line,) = [record.getMessage() for record in caplog.records if record.name == "openai_gateway_asgi"]
    assert "ALLOWED_HOSTS" in line
    assert "evil\\r\\n.test" in line


async def test_head_and_websockets_are_refused_alike(site: ASGIApp) -> None:
    host = {"host": "evil.test"}
    got = await ask(site, "GET", "/llm/v1/models", headers=host)
    head = await ask(site, "HEAD", "/llm/v1/models", headers=host)
    assert (head.status, head.body, head.header("content-length")) == (400, b"", str(len(got.body)))

    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = make_scope(path="/llm/v1/realtime", type="websocket", headers=host)
    await site(scope, receive, send)
    assert sent == ["websocket.close"]


async def test_over_a_socket(site: ASGIApp) -> None:
    async with serve(site) as server, httpx.AsyncClient(verify=False, trust_env=False) as client:
        assert (await client.get(f"{server.url}/llm/v1/models")).status_code == 200
        refused = await client.get(f"{server.url}/llm/v1/models", headers={"host": "evil.test"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "disallowed_host")


def test_what_strangers_send_is_remembered_within_bounds() -> None:
    with override_settings(ALLOWED_HOSTS=["*"]):
        for number in range(2_000):
            assert refused_host(make_scope(headers={"host": f"host-{number}.test"})) is None
        assert _require_allowed.cache_info().currsize == 256
    assert refused_host(make_scope(headers={"host": "host-1999.test"})) == "host-1999.test"
    assert _require_allowed.cache_info().currsize == 0
