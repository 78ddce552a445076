"""Case 251: what ``docs/testing-your-app.md`` tells hosts to write in their tests is run here, as it stands there."""

from __future__ import annotations

import contextlib
import inspect
import re
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.testclient import TestClient

from openai_gateway_asgi import Gateway, Upstream, everyone
from openai_gateway_asgi.testing import FakeUpstream
from tests.hosts.apps import HOSTS, MODELS, USERS, Host
from tests.support.servers import ROOT

PAGE = ROOT / "docs/testing-your-app.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def written() -> dict[str, Any]:
    """All that the page's blocks define, one after the other."""
    names: dict[str, Any] = {"__name__": "of_the_page"}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)
    return names


TESTS = {name: value for name, value in written().items() if name.startswith("test_")}
SYNCHRONOUS = {name: test for name, test in TESTS.items() if not inspect.iscoroutinefunction(test)}


def test_the_page_has_tests_of_both_kinds() -> None:
    assert len(SYNCHRONOUS) >= 6
    assert len(TESTS) > len(SYNCHRONOUS)


@pytest.mark.parametrize("test", SYNCHRONOUS.values(), ids=SYNCHRONOUS)
def test_case_251_what_the_page_says_works(test: Callable[..., None], request: pytest.FixtureRequest) -> None:
    test(**{name: request.getfixturevalue(name) for name in inspect.signature(test).parameters})


@pytest.mark.parametrize("name", sorted(TESTS.keys() - SYNCHRONOUS.keys()))
async def test_case_251_and_in_an_event_loop_too(name: str) -> None:
    await TESTS[name]()


def test_case_251_with_a_lifespan_over_and_over(caplog: pytest.LogCaptureFixture) -> None:
    """Each ``with`` and each request outside of one has an event loop of its own; the gateway follows."""
    page = written()
    app = page["faked_app"](page["FakeUpstream"](["gpt-small"]))
    for _ in range(2):
        with TestClient(app, headers=page["OWN_PAGE"]) as client:
            client.post("/login/bob")
            for _ in range(2):
                assert client.post("/openai/v1/chat/completions", json=page["CHAT"]).status_code == 200
    client = TestClient(app, headers=page["OWN_PAGE"])
    client.post("/login/bob")
    assert client.get("/openai/v1/models").status_code == 200
    assert caplog.records == []


def test_case_251_with_real_connections_to_an_upstream() -> None:
    page = written()
    with page["FakeUpstream"](["gpt-small"]) as fake:
        app = page["make_app"]([fake.upstream])
        for _ in range(2):
            client = TestClient(app, headers=page["OWN_PAGE"])
            client.post("/login/bob")
            assert client.post("/openai/v1/chat/completions", json=page["CHAT"]).status_code == 200
        with TestClient(app, headers=page["OWN_PAGE"]) as client:
            client.post("/login/bob")
            assert client.post("/openai/v1/chat/completions", json=page["CHAT"]).status_code == 200


OWN_USERS = [host for host in HOSTS if host.name != "fastapi-route"]  # whose dependency knows tokens only


@pytest.mark.parametrize("host", OWN_USERS, ids=lambda host: host.name)
def test_case_251_the_same_in_every_host(host: Host) -> None:
    fake = FakeUpstream(list(MODELS))
    client = TestClient(host.build(by_cookie(fake)), base_url="http://127.0.0.1", cookies={"session": "ada-token"})

    def chat(page: str) -> int:
        body = {"model": "tiny-chat", "messages": []}
        path = f"{host.prefix}/v1/chat/completions"
        return client.post(path, json=body, headers={"sec-fetch-site": page}).status_code

    assert chat("same-origin") == 200
    assert chat("cross-site") == 403
    assert len(fake.requests) == 2  # the list, and one chat


def by_cookie(fake: FakeUpstream) -> Gateway:
    return Gateway(
        [Upstream("http://models.test/v1", api_key="any")],
        resolve_user=lambda request: USERS.get(request.cookies.get("session", "")),
        authorize_model=everyone,
        transport=fake.transport(),
    )


def test_case_255_a_lifespan_that_drains_on_a_signal_runs_there_as_well(caplog: pytest.LogCaptureFixture) -> None:
    gateway = by_cookie(FakeUpstream(list(MODELS)))

    @contextlib.asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        async with gateway.lifespan(app):
            with gateway.drain_on(signal.SIGTERM, within=20):
                yield

    for kind in (Starlette, FastAPI):
        app = kind(lifespan=lifespan)
        app.mount("/llm", gateway)
        with TestClient(app, cookies={"session": "ada-token"}) as client:
            assert client.get("/llm/v1/models").status_code == 200
    assert caplog.text.count("drain_on does nothing here") == 2


def test_case_251_without_a_word_of_whose_page_it_is_the_refusal_says_what_helps() -> None:
    page = written()
    client = TestClient(page["faked_app"](page["FakeUpstream"]()))
    client.post("/login/bob")

    refusal = client.post("/openai/v1/chat/completions", json=page["CHAT"])

    assert refusal.status_code == 403
    assert "sec-fetch-site" in refusal.json()["error"]["message"].lower()
