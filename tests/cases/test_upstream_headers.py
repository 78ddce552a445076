"""Cases 94 to 97, and the request headers of the allow-list. The chat id comes from the host's ``context`` only.

Header templates (94) and the signed form (the second half of 95) are not served yet.
"""

from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi import Settings, Upstream

from .gateways import EAGER, chat, world

ALWAYS = {
    "accept-encoding": "identity",
    "authorization": "Bearer ka",
    "content-type": "application/json",
    "host": "a",
}

IDENTITY = ("x-openwebui-user-name", "x-openwebui-user-id", "x-openwebui-user-email", "x-openwebui-user-role")


def forwarding(**options: Any) -> Settings:
    return Settings(retries=0, forward_user_info=True, **options)


async def test_case_095_the_upstream_is_told_who_asks() -> None:
    async with world(settings=forwarding(), context=lambda user, request: {"chat_id": "c/9 ü"}) as w:
        await w.chat(headers={"x-test-user": "zoe"})
        seen = {name: w.upstream.last.header(name) for name in (*IDENTITY, "x-openwebui-chat-id")}
    assert seen == {
        "x-openwebui-user-name": "Zo%C3%AB %CE%A9%2Cx",
        "x-openwebui-user-id": "z%201",
        "x-openwebui-user-email": "zo%C3%AB@x.test",
        "x-openwebui-user-role": "user",
        "x-openwebui-chat-id": "c/9%20%C3%BC",
    }


async def test_case_095_without_a_chat_there_is_no_chat_id() -> None:
    async with world(settings=forwarding()) as w:
        await w.post("/chat/completions", chat(metadata={"chat_id": "c9"}))
        assert w.upstream.last.header("x-openwebui-user-id") == "a1"
        assert w.upstream.last.header("x-openwebui-chat-id") is None


async def test_case_095_unasked_the_upstream_learns_nothing_of_the_user() -> None:
    async with world(context=lambda user, request: {"chat_id": "c9"}) as w:
        await w.chat(headers={"x-test-user": "zoe"})
        assert not [name for name, _ in w.upstream.last.headers if name.lower().startswith(b"x-openwebui")]


async def test_a_caller_cannot_say_who_asks() -> None:
    listed = ("content-type", "x-user")
    async with world(settings=forwarding(user_id_header="X-User", forwarded_headers=listed)) as w:
        await w.chat(headers={"x-user": "root", "x-openwebui-user-id": "root"})
        assert w.upstream.last.header_values("x-user") == ["a1"]
        assert w.upstream.last.header("x-openwebui-user-id") is None


@pytest.mark.parametrize(
    ("base_url", "sent"),
    [
        ("https://openrouter.ai/api/v1", ("https://app.test", "My app")),
        ("https://evil.test/openrouter.ai/v1", (None, None)),
        ("https://openrouter.ai.evil.test/v1", (None, None)),
    ],
)
async def test_case_096_openrouter_is_told_which_app_calls(base_url: str, sent: tuple[str | None, str | None]) -> None:
    settings = Settings(attribution_title="My app", attribution_referer="https://app.test")
    async with world(Upstream(base_url, model_ids=["m1"]), settings=settings) as w:
        await w.chat()
        assert (w.upstream.last.header("http-referer"), w.upstream.last.header("x-title")) == sent


async def test_case_097_only_harmless_headers_of_the_client_go_on() -> None:
    kept = {
        "accept": "text/event-stream",
        "user-agent": "sdk/1",
        "openai-beta": "assistants=v2",
        "idempotency-key": "i",
        "x-client-request-id": "c",
        "x-stainless-lang": "python",
        "traceparent": "00-1",
    }
    left = {
        "authorization": "Bearer mine",
        "api-key": "mine",
        "x-api-key": "mine",
        "cookie": "a=b",
        "openai-organization": "org",
        "openai-project": "proj",
        "x-foo": "1",
        "x-forwarded-for": "10.0.0.1",
        "forwarded": "for=10.0.0.1",
        "via": "1.1 x",
        "te": "trailers",
        "expect": "100-continue",
        "proxy-authorization": "Basic x",
        "accept-encoding": "gzip",
        "origin": "http://x",
    }
    async with world() as w:
        assert (await w.chat(headers={**kept, **left})).status == 200
        sent = {name.decode().lower(): value.decode() for name, value in w.upstream.last.headers}
        length = str(len(w.upstream.last.body))
    hops = sent.pop("x-gateway-hops")
    assert sent == {**ALWAYS, **kept, "content-length": length}
    assert "mine" not in hops


async def test_what_the_clients_connection_header_names_stays_behind_but_never_ours() -> None:
    async with world() as w:
        named = "close, user-agent, Authorization , content-length"
        await w.chat(headers={"connection": named, "user-agent": "x", "accept": "y"})
        request = w.upstream.last
        assert request.header("user-agent") is None
        assert request.header("connection") is None
        assert (request.header("accept"), request.header("authorization")) == ("y", "Bearer ka")
        assert request.header("content-length") == str(len(request.body))


async def test_the_host_can_let_more_headers_pass() -> None:
    settings = Settings(forwarded_headers=("content-type", "x-app-*"))
    async with world(settings=settings) as w:
        await w.chat(headers={"x-app-tenant": "t", "user-agent": "x"})
        assert w.upstream.last.header("x-app-tenant") == "t"
        assert w.upstream.last.header("user-agent") is None


async def test_a_failing_context_callable_fails_the_call() -> None:
    def fails(*args: object) -> dict[str, str]:
        raise RuntimeError

    async with world(settings=forwarding(), context=fails) as w:
        assert (await w.chat()).status == 500
        assert w.upstream.requests == []


async def test_context_is_not_asked_where_nobody_wants_to_know() -> None:
    asked: list[object] = []

    def context(*args: object) -> dict[str, str]:
        asked.append(args)
        return {}

    async with world(settings=EAGER, context=context) as w:
        await w.chat()
    assert asked == []
