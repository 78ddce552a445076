"""Every usual way of a test into an app: Starlette's client, the ASGI transports of httpx and httpx2, Django's client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from openai_gateway_asgi import Gateway, User, everyone
from openai_gateway_asgi.testing import OTHER_SITE, OWN_PAGE, FakeUpstream, browser

CHAT = {"model": "gpt-small", "messages": [{"role": "user", "content": "hi"}]}
PATH = "/openai/v1/chat/completions"
SIGNED_IN = {"session": "ada"}


def app(fake: FakeUpstream) -> Starlette:
    gateway = Gateway(
        [fake.upstream],
        resolve_user=lambda request: User("ada") if request.cookies.get("session") == "ada" else None,
        authorize_model=everyone,
        transport=fake.transport(),
    )
    return Starlette(routes=[Mount("/openai", gateway)], lifespan=gateway.lifespan)


def test_a_browser_is_a_page_of_the_apps_own() -> None:
    client = browser(app(FakeUpstream()), cookies=SIGNED_IN)
    assert client.post(PATH, json=CHAT).status_code == 200


def test_what_another_sites_page_sends_is_refused() -> None:
    client = browser(app(FakeUpstream()), cookies=SIGNED_IN, headers=OTHER_SITE)
    answer = client.post(PATH, json=CHAT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site_request")


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
@pytest.mark.parametrize(("page", "status"), [(OWN_PAGE, 200), (OTHER_SITE, 403)], ids=["own page", "other site"])
async def test_the_asgi_transports(library: Any, page: Mapping[str, str], status: int) -> None:
    transport = library.ASGITransport(app(FakeUpstream()))
    options = {"base_url": "http://app.test", "cookies": SIGNED_IN, "headers": dict(page)}
    async with library.AsyncClient(transport=transport, **options) as client:
        assert (await client.post(PATH, json=CHAT)).status_code == status


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_the_fake_is_an_application_for_their_transports_too(library: Any) -> None:
    fake = FakeUpstream(["a-model"])
    async with library.AsyncClient(transport=library.ASGITransport(fake), base_url="http://fake.test") as client:
        assert (await client.get("/v1/models")).json()["data"][0]["id"] == "a-model"


async def test_one_that_serves_from_a_thread_tells_its_news_to_any_loop() -> None:
    with FakeUpstream() as fake:
        async with httpx.AsyncClient() as client:
            asking = asyncio.create_task(client.post(f"{fake.url}/v1/chat/completions", json=CHAT))
            await fake.until_requests(1)
            assert (await asking).status_code == 200
