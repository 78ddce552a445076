"""A gateway that was configured to call itself, and pages of other sites that call it in a user's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from starlette.requests import Request

from openai_gateway_asgi import Gateway, MemoryStore, Settings, Timeouts, Upstream, User
from openai_gateway_asgi.testing import FakeUpstream
from tests.reliability.clients import Client, request
from tests.reliability.gateways import ANN, CHAT, assert_error, chat, make_gateway, named
from tests.support.asgi import ask
from tests.support.servers import serve


@pytest.mark.parametrize("stream", [True, False])
async def test_a_gateway_that_calls_itself_ends_as_508_after_one_hop(stream: bool) -> None:
    gateways: list[Gateway] = []
    calls: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["path"])
        await gateways[0](scope, receive, send)

    async with serve(app, lifespan="off") as server:
        itself = Upstream(f"{server.url}/v1", api_key="ann", model_ids=["gpt"])
        gateways.append(make_gateway([itself], timeouts=Timeouts()))
        client = await Client.to(server)
        await client.send(request(chat(stream=stream), close=True))
        answer = await client.rest()
        await client.close()
        await gateways[0].aclose()

    assert answer.startswith(b"HTTP/1.1 508 ")
    assert b'"loop_detected"' in answer
    assert calls == [CHAT, CHAT]


COOKIE = {"cookie": "session=x"}
JSON = {"content-type": "application/json"}
SITES: list[tuple[Mapping[str, str], bool]] = [
    ({**COOKIE}, False),
    ({**COOKIE, "sec-fetch-site": "cross-site"}, False),
    ({**COOKIE, "sec-fetch-site": "same-site"}, False),
    ({**COOKIE, "sec-fetch-site": "same-origin"}, True),
    ({**COOKIE, "sec-fetch-site": "none"}, True),
    ({**COOKIE, "sec-fetch-site": "Same-Origin"}, True),
    ({**COOKIE, "sec-fetch-site": "same-origin, cross-site"}, False),
    ({**COOKIE, "origin": "https://evil.test", "host": "app.test"}, False),
    ({**COOKIE, "origin": "http://app.test", "host": "app.test"}, True),
    ({**COOKIE, "origin": "http://app.test.evil.test", "host": "app.test"}, False),
    ({**COOKIE, "origin": "http://app.test:8080", "host": "app.test"}, False),
    ({**COOKIE, "origin": "null", "host": "app.test"}, False),
    ({**COOKIE, "origin": "https://trusted.test", "sec-fetch-site": "cross-site"}, True),
    ({**COOKIE, "origin": "https://trusted.test.evil.test"}, False),
    ({**COOKIE, "referer": "http://app.test/", "host": "app.test"}, False),
    ({**ANN}, True),
    ({**ANN, "origin": "https://evil.test", "sec-fetch-site": "cross-site"}, True),
    ({**ANN, **COOKIE, "origin": "https://evil.test", "sec-fetch-site": "cross-site"}, True),
]


@pytest.mark.parametrize(("headers", "served"), SITES)
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/config"])
async def test_a_caller_known_by_a_cookie_alone_is_served_on_the_hosts_own_pages_only(
    headers: Mapping[str, str], served: bool, path: str
) -> None:
    asked: list[Request] = []

    async def resolve_user(request: Request) -> User:
        asked.append(request)
        return User(id="ann", role="admin")

    upstream = FakeUpstream()
    gateway = Gateway(
        MemoryStore([named("a")]),
        resolve_user=resolve_user,
        authorize_model=lambda user, model: True,
        settings=Settings(trusted_origins=("https://trusted.test",)),
        transport=upstream.transport(),
    )
    body: Any = {"json": chat(), "method": "POST"} if path == CHAT else {"method": "GET"}

    answer = await ask(gateway, path=path, headers=headers, **body)

    silent_read = path == "/v1/models" and not {"sec-fetch-site", "origin"} & set(headers)
    if served or silent_read:  # a page over plain HTTP brings neither header (case 249)
        assert answer.status == 200
    else:
        assert_error(answer, 403, "cross_site_request")
        assert asked == upstream.requests == []


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_of_another_site_can_send_is_no_json(content_type: str) -> None:
    upstream = FakeUpstream()
    gateway = make_gateway([named("a")], transport=upstream.transport())
    headers = {**ANN, "content-type": content_type}
    assert (await ask(gateway, "POST", CHAT, body=b'{"model": "gpt"}', headers=headers)).status in (400, 415)
    assert upstream.requests == []
