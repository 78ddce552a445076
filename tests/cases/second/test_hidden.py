"""Case 278: no ``repr`` of anything in a traceback or a debugger's local variables shows a secret."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.requests import Request

from openai_gateway_asgi import (
    FileStore,
    Gateway,
    GatewayConfig,
    MemoryStore,
    Secret,
    Settings,
    Upstream,
    User,
    config_from_data,
    config_to_data,
    upstreams_from_env,
)
from openai_gateway_asgi.config import from_wire, verify_target
from openai_gateway_asgi.errors import ConfigError, InvalidRequest, ResponseAborted
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import answer, close_before_headers, hang, raw, sse, truncated_chunk
from tests.reliability.gateways import SHORT, trust
from tests.support import token_endpoint as token_endpoint_module
from tests.support.asgi import Conversation, ask
from tests.support.frames import Shown, every_raise
from tests.support.token_endpoint import token_endpoint

CANARY = "c4n4ry"
KEY, HEADER, QUERY, PROXY = f"sk-{CANARY}", f"{CANARY}-header", f"{CANARY}-query", f"{CANARY}-proxy"
CALLER = {
    "authorization": f"Bearer {CANARY}-own",
    "api-key": f"{CANARY}-own",
    "x-api-key": f"{CANARY}-own",
    "cookie": f"flavour={CANARY}; sessionid={CANARY}",
    "proxy-authorization": f"Basic {CANARY}",
    "x-token": CANARY,
}
HIDDEN_IN_QUERY = f"?key={CANARY}&api_key={CANARY}"
NOWHERE = "http://127.0.0.1:1"
FIXED: dict[str, Any] = {"headers": {"X-Secret": HEADER}, "query": {"key": QUERY}}
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nbearer\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--x--\r\n'
)


def upstreams(url: str) -> list[Upstream]:
    """One for each place that a secret can stand in."""
    proxy = f"http://me:{PROXY}@{url.partition('//')[2]}"
    return [
        Upstream(f"{url}/v1", name="bearer", api_key=KEY, model_ids=["bearer"], **FIXED),
        Upstream(url, name="azure", provider="azure", api_key=KEY, model_ids=["azure"], **FIXED),
        Upstream(f"{url}/v1", name="basic", headers={"Authorization": f"Basic {CANARY}"}, model_ids=["basic"]),
        Upstream(f"{url}/v1", name="oauth", auth_type="system_oauth", model_ids=["oauth"]),
        Upstream(f"{url}/v1", name="bad", auth_type="system_oauth", model_ids=["bad"]),
        Upstream(f"{url}/v1", name="own", auth_type="session", model_ids=["own"], forward_cookies=["flavour"]),
        Upstream("http://up.test/v1", name="proxied", api_key=KEY, proxy=proxy, model_ids=["proxied"]),
        Upstream("https://up.test/v1", name="tunnelled", api_key=KEY, proxy=proxy, model_ids=["tunnelled"]),
        Upstream(f"{NOWHERE}/v1", name="refusing", api_key=KEY, model_ids=["refusing"], **FIXED),
        Upstream(f"{url.replace('http:', 'https:')}/v1", name="no-tls", api_key=KEY, model_ids=["no-tls"]),
        Upstream(f"{url}/v1", name="listed", api_key=KEY, **FIXED),
    ]


MODELS = [upstream.name for upstream in upstreams("http://u.test")]


@pytest.fixture
def shown() -> Iterator[Shown]:
    """All that was looked at in the test shows nothing."""
    shown = Shown(CANARY)
    yield shown
    assert sorted(shown.places) == []


def make_gateway(shown: Shown, given: Any, **options: Any) -> Gateway:
    """Every callable of the host's looks around, as with a breakpoint in it."""

    def looking(answer: Any) -> Any:
        async def call(*_: Any) -> Any:
            here = asyncio.current_task()
            assert here is not None
            shown.look_at(here.get_stack(limit=1)[0])
            await asyncio.sleep(0)
            shown.look_at_tasks()
            return answer

        return call

    async def oauth_token(user: User, request: Request, upstream: Upstream) -> str:
        await looking(None)()
        return f"{CANARY}-oauth" if upstream.name != "bad" else f"{CANARY}\n"

    callables = {
        "resolve_user": looking(User("root", role="admin")),
        "authorize_model": looking(True),
        "oauth_token": oauth_token,
        "context": looking({"chat_id": "1"}),
        "record_usage": looking(None),
    }
    settings = Settings(timeouts=SHORT, retries=0, forward_user_info=True, verify_tls=trust())
    return Gateway(given, settings=settings, **{**callables, **options})


def test_the_look_finds_what_is_there() -> None:
    """So that the others do not pass for looking nowhere."""
    while_raised, told = Shown(CANARY), Shown(CANARY)
    with every_raise(while_raised), pytest.raises(ConfigError) as raised:
        Upstream("http://u.test", prefix_id=f"{CANARY}\n")  # which is no secret
    told.look_at_error(raised.value)
    assert while_raised.places
    assert told.places


# Calls


ANSWERS = {
    "fine": answer(200, body=b'{"choices": [{"finish_reason": "stop"}]}'),
    "401": answer(401),
    "400": answer(400, body=b'{"error": {"message": "No."}}'),
    "500": answer(500),
    "407": answer(407),
    "no answer": close_before_headers,
    "cut": truncated_chunk,
    "not HTTP": raw(b"SSH-2.0\r\n", close=True),
    "stream": sse(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', ending="reset"),
}


@pytest.mark.parametrize("given", ANSWERS)
async def test_case_278_wherever_a_call_fails_no_local_variable_shows_one(given: str, shown: Shown) -> None:
    async with FakeUpstream(wire=[ANSWERS[given]]) as upstream:
        gateway = make_gateway(shown, MemoryStore(upstreams(upstream.url)))
        with every_raise(shown):
            for number, model in enumerate([*MODELS, "nobody's"]):
                body = {"model": model, "messages": [], "stream": number % 2 == 0}
                with contextlib.suppress(ResponseAborted):
                    await ask(gateway, "POST", f"/v1/chat/completions{HIDDEN_IN_QUERY}", json=body, headers=CALLER)
            for method, path in (
                ("GET", "/v1/models"),
                ("GET", "/v1/files"),
                ("GET", "/nothing"),
                ("PUT", "/v1/models"),
            ):
                with contextlib.suppress(ResponseAborted):
                    await ask(gateway, method, path + HIDDEN_IN_QUERY, headers=CALLER)
        shown.look_at_objects()
        await gateway.aclose()
    assert shown.looked > 1000


REFUSED: list[dict[str, Any]] = [
    {"body": b"{"},
    {"body": b'{"model": 1}'},
    {"body": b"{}", "headers": {"content-type": "text/plain"}},
    {"body": b"{}", "headers": {"content-encoding": "gzip"}},
    {"json": {"model": "bearer", "api_key": "x"}},
    {"json": {"model": "bearer", "previous_response_id": "r"}},
    {"body": FORM, "headers": {"content-type": "multipart/form-data; boundary=x"}},
    {"body": FORM[:-9], "headers": {"content-type": "multipart/form-data; boundary=x"}},
    {"body": FORM, "headers": {"content-type": "multipart/form-data"}},
    {"json": {"model": "bearer"}, "headers": {"origin": "http://evil.test", "sec-fetch-site": "cross-site"}},
    {"json": {"model": "bearer"}, "headers": {"x-gateway-hops": "0" * 16}},
    {"json": {"model": "bearer"}, "headers": {"traceparent": "a\x00b"}},
    {"json": {"model": "bearer"}, "query": b"a=%" + b"x" * 70_000},
    {"json": {"model": "bearer"}, "query": b"a=\xff"},
]


@pytest.mark.parametrize("request_", REFUSED, ids=range(len(REFUSED)))
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/audio/transcriptions", "/v1/audio/speech"])
async def test_case_278_wherever_a_call_is_refused(path: str, request_: dict[str, Any], shown: Shown) -> None:
    async with FakeUpstream(wire=[answer()]) as upstream:
        gateway = make_gateway(shown, MemoryStore(upstreams(upstream.url)))
        headers = {"content-type": "application/json", **CALLER, **request_.get("headers", {})}
        options = {name: value for name, value in request_.items() if name != "headers"}
        with every_raise(shown):
            await ask(gateway, "POST", path, headers=headers, **options)
        await gateway.aclose()


async def test_case_278_while_an_upstream_is_waited_for(shown: Shown) -> None:
    async with FakeUpstream(wire=[hang]) as upstream:
        gateway = make_gateway(shown, MemoryStore(upstreams(upstream.url)))
        for number, model in enumerate(("bearer", "azure", "oauth", "own", "proxied", "tunnelled", "basic"), 1):
            body = {"model": model, "messages": []}
            with every_raise(shown):
                async with Conversation(gateway, "POST", "/v1/chat/completions", json=body, headers=CALLER):
                    await upstream.until_requests(number)
                    await asyncio.sleep(0)
                    shown.look_at_tasks()
                    shown.look_at_objects()
        await gateway.aclose()


async def test_case_278_whatever_a_host_raises_and_its_server_gets(shown: Shown) -> None:
    def failing(*_: Any) -> Any:
        raise RuntimeError("the host's own")

    for name in ("resolve_user", "authorize_model", "oauth_token", "context"):
        async with FakeUpstream(wire=[answer()]) as upstream:
            gateway = make_gateway(shown, MemoryStore(upstreams(upstream.url)), **{name: failing})
            with every_raise(shown):
                await ask(
                    gateway, "POST", "/v1/chat/completions", json={"model": "oauth", "messages": []}, headers=CALLER
                )
            await gateway.aclose()


async def test_case_278_what_a_cut_answer_raises_to_the_server(shown: Shown) -> None:
    cut = raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 100\r\n\r\nabc", close=True
    )
    async with FakeUpstream(wire=[cut]) as upstream:
        gateway = make_gateway(shown, MemoryStore(upstreams(upstream.url)))
        for path in ("/v1/files/f/content", "/v1/containers/c/files/f/content"):
            with pytest.raises(ResponseAborted) as raised:
                await ask(gateway, "GET", path, headers=CALLER)
            shown.look_at_error(raised.value)
        await gateway.aclose()


async def test_case_278_in_a_route_of_the_hosts_own(shown: Shown) -> None:
    recorder = FakeUpstream()
    gateway = make_gateway(shown, MemoryStore(upstreams(NOWHERE)), transport=recorder.transport())
    app = FastAPI()

    def account() -> User:
        return User("ann")

    @app.api_route("/ai/{path:path}", methods=["GET", "POST"])
    async def ai(path: str, user: User = Depends(account)) -> Any:  # noqa: B008 - as FastAPI has it
        return gateway.response(user)

    transport = httpx.ASGITransport(app)
    with every_raise(shown):
        async with httpx.AsyncClient(transport=transport, base_url="http://host.test", headers=CALLER) as client:
            for model in ("bearer", "own", "nobody's"):
                await client.post("/ai/v1/chat/completions", json={"model": model, "messages": []})
    shown.look_at_objects()
    await gateway.aclose()


async def test_case_278_a_token_of_entra_id(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_endpoint_module, "TOKEN_STEM", f"{CANARY}.{'t' * 30}.")
    with token_endpoint(monkeypatch):
        given = [Upstream("https://azure.test/openai/v1", auth_type="microsoft_entra_id", model_ids=["m"])]
        upstream = FakeUpstream()
        gateway = make_gateway(shown, given, transport=upstream.transport())
        with every_raise(shown):
            got = await ask(
                gateway, "POST", "/v1/chat/completions", json={"model": "m", "messages": []}, headers=CALLER
            )
        assert got.status == 200
        assert CANARY in (upstream.last.header("authorization") or "")
        shown.look_at_objects()
        await gateway.aclose()


# The configuration

CONFIGS: list[Any] = [
    {"0": {"headers": {"X-A": f"{CANARY}\n"}}},
    {"0": {"headers": {"X-A": CANARY, "x-a": CANARY}}},
    {"0": {"headers": {"X-A": [CANARY]}}},
    {"0": {"headers": [CANARY]}},
    {"0": {"headers": {"X-A": CANARY}, "weight": 0}},
    {"0": {"headers": {"X-A": CANARY}, "unknown": 1}},
    {"0": {"query": {"key": f"{CANARY}\n"}}},
    {"0": {"query": {"key": CANARY, "model": CANARY}}},
    {"0": {"proxy": f"ftp://me:{CANARY}@p.test"}},
    {"0": {"proxy": f"http://me:{CANARY}@p.test:0"}},
    {"0": {"proxy": f"http://me:{CANARY}@p.test/path"}},
    {"0": {"proxy": f"http://me:{CANARY}@"}},
    {"0": {"proxy": [CANARY]}},
    {"0": [CANARY]},
    [CANARY],
    {"0": {"headers": {"X-A": f"••••{CANARY}"}}},
]
KEYS: list[Any] = [[f"{CANARY}\n"], [f"{CANARY}ü"], [[CANARY]], {"a": CANARY}, CANARY, [f"••••{CANARY}"]]
URLS = [
    f"http://me:{CANARY}@u.test",
    f"http://u.test?key={CANARY}#x",
    f"http://u.test?{CANARY}",
    f"http://u.test:x?key={CANARY}",
    f"http://me:{CANARY}@u.test:99999",
    f"http://u.test?key={CANARY}&key={CANARY}",
]
DOCUMENTS = [
    *[([NOWHERE], [KEY], configs) for configs in CONFIGS],
    *[([NOWHERE], keys, {}) for keys in KEYS],
    *[([url], [KEY], {}) for url in URLS],
    ([NOWHERE], [KEY], {}, {"unknown": CANARY}),
    ([NOWHERE], [KEY], {}, {"ENABLE_OPENAI_API": CANARY}),
    ([NOWHERE, NOWHERE], [KEY, KEY], {"0": {"name": "a"}, "1": {"name": "a"}}),
    ([NOWHERE], [KEY], {"0": {"auth_type": "system_oauth"}}),
]


def document(urls: Any, keys: Any, configs: Any, more: Any = {}) -> dict[str, Any]:
    return {"OPENAI_API_BASE_URLS": urls, "OPENAI_API_KEYS": keys, "OPENAI_API_CONFIGS": configs, **more}


@pytest.fixture
def current() -> GatewayConfig:
    return GatewayConfig(True, [Upstream(NOWHERE, api_key=KEY, **FIXED)])


@pytest.mark.parametrize("parts", DOCUMENTS, ids=range(len(DOCUMENTS)))
async def test_case_278_a_faulty_configuration_wherever_it_comes_from(
    parts: Any, shown: Shown, current: GatewayConfig, tmp_path: Path
) -> None:
    faulty = document(*parts)
    path = tmp_path / "gateway.json"
    path.write_text(json.dumps(faulty))
    gateway = make_gateway(shown, MemoryStore(current.upstreams))
    with every_raise(shown):
        for read in (lambda: from_wire(faulty, current), lambda: config_from_data(faulty)):
            with contextlib.suppress(InvalidRequest, ConfigError):
                read()
        with contextlib.suppress(ConfigError):
            store = FileStore(path)
            store._load()  # on this thread, so that it is looked at
        got = await ask(gateway, "POST", "/v1/config/update", json=faulty, headers=CALLER)
        assert got.status in (200, 400)
    await gateway.aclose()


@pytest.mark.parametrize("parts", DOCUMENTS, ids=range(len(DOCUMENTS)))
async def test_case_278_a_faulty_trial(parts: Any, shown: Shown, current: GatewayConfig) -> None:
    urls, keys, configs, *_ = parts
    body = {"url": urls[0], "key": keys[0] if isinstance(keys, list) else keys, "config": configs}
    if isinstance(configs, dict):
        body["config"] = configs.get("0")
    with every_raise(shown), contextlib.suppress(InvalidRequest):
        verify_target(body, current)


@pytest.mark.parametrize("parts", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_case_278_a_faulty_environment(parts: Any, shown: Shown) -> None:
    urls, keys, configs, *_ = parts
    environ = {
        "OPENAI_API_BASE_URLS": ";".join(urls),
        "OPENAI_API_KEYS": ";".join(map(str, keys)),
        "OPENAI_API_CONFIGS": json.dumps(configs),
        "AIOHTTP_CLIENT_TIMEOUT": "x",
    }
    with every_raise(shown):
        with contextlib.suppress(ConfigError):
            upstreams_from_env(environ)
        with contextlib.suppress(ConfigError):
            upstreams_from_env({**environ, "OPENAI_API_CONFIGS": f'{{"0": "{CANARY}'})
        with pytest.raises(ConfigError):
            Settings.from_env(environ)


@pytest.mark.parametrize(
    "arguments",
    [
        {"api_key": f"{CANARY}\n"},
        {"api_key": [CANARY]},
        {"api_key": CANARY.encode()},
        {"headers": {"X-A": f"{CANARY}\n"}},
        {"headers": [CANARY]},
        {"query": {"a": f"{CANARY}\n"}},
        {"proxy": f"ftp://me:{CANARY}@p.test"},
        {"proxy": f"http://me:{CANARY}@p.test:x"},
        {"api_key": KEY, **FIXED, "weight": 0},
        {"api_key": KEY, **FIXED, "base_url": f"http://me:{CANARY}@u.test"},
        {"base_url": f"http://u.test?key={CANARY}&%zz=%ff"},
        {"base_url": f"http://u.test?{CANARY}"},
    ],
    ids=range(12),
)
def test_case_278_a_faulty_upstream_in_the_code(arguments: dict[str, Any], shown: Shown) -> None:
    with every_raise(shown), pytest.raises(ConfigError) as raised:
        Upstream(**{"base_url": "http://u.test", **arguments})
    shown.look_at_error(raised.value)


def test_case_278_a_secret_that_is_none(shown: Shown) -> None:
    with every_raise(shown), pytest.raises(TypeError) as raised:
        Secret(CANARY.encode())  # type: ignore[arg-type]
    shown.look_at_error(raised.value)


@pytest.mark.parametrize("damage", [b"{", b'{"a": "' + CANARY.encode() + b'\xff"}', CANARY.encode()])
async def test_case_278_a_file_and_a_body_that_are_no_json(
    damage: bytes, shown: Shown, current: GatewayConfig, tmp_path: Path
) -> None:
    path = tmp_path / "gateway.json"
    path.write_bytes(damage)
    gateway = make_gateway(shown, MemoryStore(current.upstreams))
    with every_raise(shown):
        with pytest.raises(ConfigError) as raised:
            FileStore(path)._load()
        headers = {**CALLER, "content-type": "application/json"}
        for route in ("/v1/config/update", "/v1/verify"):
            assert (await ask(gateway, "POST", route, body=damage, headers=headers)).status == 400
    shown.look_at_error(raised.value)
    await gateway.aclose()


async def test_case_278_a_file_that_cannot_be_written(shown: Shown, tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    path.mkdir()
    config = GatewayConfig(True, upstreams(NOWHERE))
    with every_raise(shown), pytest.raises(ConfigError) as raised:
        FileStore(path)._save(config, None)
    shown.look_at_error(raised.value)
    assert CANARY in repr(config_to_data(config))  # which is the host's to hide
