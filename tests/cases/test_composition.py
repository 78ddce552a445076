"""The gateway inside hosts, and its layers beside one another: cases 140 and 142."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp

from openai_gateway_asgi import Exchange, Gateway, Grant, Grants, admins_only, everyone
from openai_gateway_asgi.contrib.django import mount
from tests.cases.conftest import MakeWorld
from tests.cases.world import A, B, M, World
from tests.contrib import site
from tests.support.asgi import Conversation, Lint, ask, make_scope

site.set_up()

HEADERS = {"authorization": "Bearer u1"}


async def _page(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the host's own pages were asked")


def _starlette(gateway: ASGIApp) -> ASGIApp:
    return Starlette(routes=[Mount("/openai", gateway)])


def _nested(gateway: ASGIApp) -> ASGIApp:
    return Starlette(routes=[Mount("/outer", Starlette(routes=[Mount("/openai", gateway)]))])


def _fastapi(gateway: ASGIApp) -> ASGIApp:
    app = FastAPI()
    app.mount("/openai", gateway)
    return app


def _django(gateway: ASGIApp) -> ASGIApp:
    return mount(gateway, "/openai", inside=_page)


HOSTS = [(_starlette, "/openai"), (_nested, "/outer/openai"), (_fastapi, "/openai"), (_django, "/openai")]


@pytest.mark.parametrize("root_path", ["", "/proxy"])
@pytest.mark.parametrize(("host", "path"), HOSTS)
async def test_case_140_every_host_serves_the_same(
    world: World, host: Callable[[ASGIApp], ASGIApp], path: str, root_path: str
) -> None:
    app = host(Lint(world.gateway))
    listed = await ask(app, "GET", f"{path}/models", headers=HEADERS, root_path=root_path, strict=False)
    assert [model["id"] for model in listed.json()["data"]] == ["gpt-small", "gpt-large"]
    called = await ask(
        app,
        "POST",
        f"{path}/v1/chat/completions",
        headers=HEADERS,
        json={"model": "gpt-small", "messages": M},
        root_path=root_path,
        strict=False,
    )
    assert called.status == 200
    assert world.up.last.path == "/v1/chat/completions"


async def test_case_140_without_lifespan_everything_opens_on_first_use(world: World) -> None:
    assert await world.ids()
    await world.gateway.aclose()
    assert await world.ids(), "what is closed opens again"


async def test_case_140_a_websocket_is_refused_before_it_is_accepted(world: World) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await world.gateway({"type": "websocket", "path": "/realtime", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_case_140_the_lifespan_scope_is_answered(world: World) -> None:
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await world.gateway({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_case_140_an_unknown_scope_is_an_error_of_the_server(world: World) -> None:
    async def unused(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(RuntimeError, match="telnet"):
        await world.gateway({"type": "telnet"}, unused, unused)


async def test_case_140_the_hosts_scope_stays_as_it_was(world: World) -> None:
    scope = make_scope("GET", "/models", root_path="/openai", headers=HEADERS)
    async with Conversation(world.gateway, **scope) as talk:
        assert (await talk.whole()).status == 200
    assert "openai_gateway_asgi.exchange" not in talk.scope


BODY = {"model": "pb.m1", "messages": M, "max_completion_tokens": 7, "stream": False, "custom": {"b": 1, "a": 2.50}}
REMOVABLE = ["CheckModelAccess", "RefuseCrossSite", "RecordUsage", "ServeSpeech", "RefuseDisabled", "ListModels"]


async def _sent(make_world: MakeWorld, policy: Any) -> Any:
    world = make_world([A, replace(B, prefix_id="pb", model_ids=["m1"])], authorize_model=policy)
    answer = await world.post("/chat/completions", BODY, "a1")
    assert answer.status_code == 200
    request = world.up.last
    headers = sorted(pair for pair in request.headers if pair[0] != b"x-gateway-hops")  # each gateway has its own mark
    return request.method, request.raw_path, request.query, headers, request.body


@pytest.mark.parametrize("policy", [admins_only, Grants({}), Grants({"pb.m1": Grant(users={"a1"})}, admins=False)])
async def test_case_142_a_policy_does_not_change_what_is_sent(make_world: MakeWorld, policy: Any) -> None:
    assert await _sent(make_world, policy) == await _sent(make_world, everyone)


@pytest.mark.parametrize("layer", REMOVABLE)
async def test_case_142_a_layer_taken_out_does_not_change_what_is_sent(
    make_world: MakeWorld, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await _sent(make_world, everyone)
    monkeypatch.setattr(f"openai_gateway_asgi.chain.{layer}", lambda app, **_: app)
    assert await _sent(make_world, everyone) == whole


async def test_case_142_the_rewrites_alone_make_the_difference(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await _sent(make_world, everyone)
    body = whole[-1]
    assert b'"max_tokens":7' in body
    assert b'"model":"m1"' in body
    assert b'{"b":1,"a":2.5}' in body.replace(b" ", b"")


# Layers of the host's own: in one documented place.


async def test_a_hosts_layer_knows_user_model_and_payload_and_nothing_is_rewritten_yet(make_world: MakeWorld) -> None:
    seen: list[Any] = []

    class Guard:
        def __init__(self, app: ASGIApp, *, mark: str) -> None:
            self.app, self.mark = app, mark

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            exchange = Exchange.of(scope)
            seen.append((self.mark, exchange.user.id, exchange.resolved.id, exchange.payload.read("model", str)))
            await self.app(scope, receive, send)

    world = make_world(
        [replace(A, prefix_id="pa")], layers=[Middleware(Guard, mark="first"), lambda app: Guard(app, mark="second")]
    )
    assert (await world.chat("pa.gpt-small", "u1")).status_code == 200
    assert seen == [(mark, "u1", "pa.gpt-small", "pa.gpt-small") for mark in ("first", "second")]
    await world.models()
    assert len(seen) == 2


async def _raises(app: ASGIApp, scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("the rules are away")


async def _does_nothing(app: ASGIApp, scope: Any, receive: Any, send: Any) -> None:
    pass


async def _puts_a_dict(app: ASGIApp, scope: Any, receive: Any, send: Any) -> None:
    exchange: Any = Exchange.of(scope)
    exchange.payload = {"model": "gpt-small"}
    await app(scope, receive, send)


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (_raises, "a layer raised RuntimeError"),
        (_does_nothing, "a layer returned without an answer"),
        (_puts_a_dict, "a layer put a dict into exchange.payload"),
    ],
)
async def test_a_layer_that_fails_is_the_hosts_failure_and_the_log_says_how(
    make_world: MakeWorld, does: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    def layer(app: ASGIApp) -> ASGIApp:
        async def failing(scope: Any, receive: Any, send: Any) -> None:
            await does(app, scope, receive, send)

        return failing

    world = make_world([A], layers=[lambda app: app, layer])
    answer = await world.chat("gpt-small", "u1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "host_failure")
    assert told in caplog.text


async def test_what_fails_below_a_layer_is_not_said_to_be_the_layers(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*args: Any) -> None:
        raise RuntimeError("a fault of the gateway's")

    monkeypatch.setattr("openai_gateway_asgi.layers.select_upstream.SelectUpstream.__call__", broken)
    world = make_world([A], layers=[lambda app: app])
    answer = await world.chat("gpt-small", "u1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "a layer" not in caplog.text


async def test_a_hosts_layer_is_not_asked_about_what_is_denied(make_world: MakeWorld) -> None:
    def never(app: ASGIApp) -> ASGIApp:
        async def layer(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError("a denied call came this far")

        return layer

    world = make_world([A], authorize_model=admins_only, layers=[never])
    assert (await world.chat("gpt-small", "u1")).status_code == 404


def test_a_gateway_needs_a_policy() -> None:
    with pytest.raises(TypeError, match="authorize_model"):
        Gateway([A])  # type: ignore[call-arg]
