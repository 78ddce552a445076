"""Planted secrets: none of them is to be found in anything that leaves the gateway but by the way it is meant for."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.requests import Request

from openai_gateway_asgi import (
    ConfigError,
    FileStore,
    Gateway,
    GatewayConfig,
    MemoryStore,
    Model,
    Settings,
    Upstream,
    User,
)
from openai_gateway_asgi.errors import ResponseAborted
from openai_gateway_asgi.testing import Answer, FakeRequest, FakeUpstream, error_answer, stream_answer
from openai_gateway_asgi.testing.answers import chat_events, sse
from openai_gateway_asgi.testing.wire import answer, close_before_headers, hang, head, raw
from tests.reliability.gateways import ADMIN, ANN, CHAT, SHORT, USERS, chat, everyone
from tests.support import token_endpoint as token_endpoint_module
from tests.support.asgi import Response, ask
from tests.support.token_endpoint import TokenEndpoint, token_endpoint

CANARY = "c4n4ry"
"""In every secret, so that one search finds any of them."""

KEY = f"sk-{CANARY}-key"
HEADER = f"{CANARY}-header"
PROXY = f"{CANARY}-proxy"
OAUTH = f"{CANARY}-oauth"
COOKIE = f"{CANARY}-cookie"
OWN = f"{CANARY}-own"


class _Everything(logging.Formatter):
    """What any handler could write of a record."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{super().format(record)} {record.__dict__!r} {vars(record)}"


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """All that any logger says, tracebacks and arguments included."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Everything())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def upstreams() -> list[Upstream]:
    """One for each place that a secret can stand in."""
    shared: Any = {"headers": {"X-Secret": HEADER}, "proxy": f"http://me:{PROXY}@127.0.0.1:1"}
    return [
        Upstream("http://bearer.test/v1", api_key=KEY, model_ids=["bearer"], **shared),
        Upstream("http://azure.test", provider="azure", api_key=KEY, model_ids=["azure"], **shared),
        Upstream("http://oauth.test/v1", auth_type="system_oauth", model_ids=["oauth"]),
        Upstream("http://session.test/v1", auth_type="session", model_ids=["session"], forward_cookies=["flavour"]),
        Upstream("http://listed.test/v1", api_key=KEY),
    ]


MODELS = ("bearer", "azure", "oauth", "session")
CALLER = {"authorization": f"Bearer {OWN}", "cookie": f"flavour={COOKIE}; sessionid={COOKIE}"}


def make_gateway(
    transport: httpx.AsyncBaseTransport | None, given: list[Upstream] | None = None, **options: Any
) -> Gateway:
    async def resolve_user(request: Request) -> User | None:
        return USERS["root" if request.headers.get("x-admin") else "ann"]

    async def oauth_token(user: User, request: Request, upstream: Upstream) -> str:
        return OAUTH

    return Gateway(
        MemoryStore(given or upstreams()),
        resolve_user=resolve_user,
        authorize_model=options.pop("authorize_model", everyone),
        oauth_token=oauth_token,
        settings=Settings(timeouts=SHORT, retries=0, forward_user_info=True, show_routing="all"),
        transport=transport,
        **options,
    )


def raising(error: Exception) -> Any:
    def respond(request: FakeRequest) -> Answer:
        raise error

    return respond


def broken_stream(request: FakeRequest) -> Answer:
    async def events():  # type: ignore[no-untyped-def]
        yield chat_events(chat())[1]
        raise httpx.ReadError(f"sent {request.headers}")

    return stream_answer(events())


FAULTS = {
    "fine": None,
    "refused": raising(httpx.ConnectError(f"no route with {KEY}")),
    "timeout": raising(httpx.ReadTimeout(f"{KEY}")),
    "broken": raising(RuntimeError(f"the transport knows {KEY} and {OAUTH}")),
    "401": error_answer(401, f"Incorrect API key provided: {KEY}"),
    "500": error_answer(500),
    "redirect": Answer([], 302, [("location", f"http://elsewhere.test/?key={KEY}")]),
    "set-cookie": Answer([b"{}"], 200, [("set-cookie", f"a={KEY}"), ("x-api-key", KEY), ("server", KEY)]),
    "cut": broken_stream,
    "in-band-401": stream_answer([sse({"error": {"message": f"Bad key {KEY}", "code": "invalid_api_key"}})]),
}


def assert_silent(said: io.StringIO, *answers: Response) -> None:
    assert CANARY not in said.getvalue()
    for each in answers:
        assert CANARY.encode() not in each.body
        assert not [pair for pair in each.headers if CANARY.encode() in b"".join(pair)]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stream", [True, False])
async def test_no_answer_and_no_log_shows_one(fault: str, stream: bool, said: io.StringIO) -> None:
    upstream = FakeUpstream()
    if FAULTS[fault] is not None:
        upstream.answer("/chat/completions", FAULTS[fault])
    gateway = make_gateway(upstream.transport())
    answers = [
        await ask(gateway, "POST", CHAT, json=chat(model=model, stream=stream), headers={"api-key": "x", **CALLER})
        for model in MODELS
    ]
    sent = b"".join(value for request in upstream.requests for _, value in request.headers).decode()

    assert all(secret in sent for secret in (KEY, HEADER, OAUTH, OWN, COOKIE)), "the secrets were never used"
    if "401" in fault:
        answers.pop()  # there it is the caller's own token, and the caller's own refusal
    if fault == "broken":  # what a host's own transport says of itself is logged for the host
        said.truncate(0)
    assert_silent(said, *answers)


@pytest.mark.parametrize("script", [close_before_headers, hang, answer(401), answer(500)])
async def test_no_error_of_the_real_transport_shows_one(script: Any, said: io.StringIO) -> None:
    async with FakeUpstream(wire=[script]) as upstream:
        given = [Upstream(f"{upstream.url}/v1", api_key=KEY, headers={"X-Secret": HEADER}, model_ids=["bearer"])]
        gateway = make_gateway(None, given)
        assert_silent(said, await ask(gateway, "POST", CHAT, json=chat(model="bearer"), headers=ANN))
        assert KEY.encode() in upstream.requests[0].head
        await gateway.aclose()


async def test_a_proxy_that_refuses_shows_none(said: io.StringIO) -> None:
    async with FakeUpstream(wire=[answer(407)]) as proxy:
        given = [
            Upstream("http://u.test/v1", api_key=KEY, proxy=proxy.url.replace("//", f"//me:{PROXY}@"), model_ids=["m"])
        ]
        gateway = make_gateway(None, given)
        assert_silent(said, await ask(gateway, "POST", CHAT, json=chat(model="m"), headers=ANN))
        assert proxy.requests[0].values("proxy-authorization")
        await gateway.aclose()


async def test_administrators_see_masks_only(said: io.StringIO) -> None:
    upstream = FakeUpstream()
    gateway = make_gateway(upstream.transport())
    admin = {**ADMIN, "x-admin": "1", "api-key": "x"}
    answers = [
        await ask(gateway, "GET", path, headers=admin)
        for path in ("/v1/config", "/v1/config/health", *(f"/v1/config/upstreams/{n}/models" for n in range(6)))
    ]
    config = answers[0].json()
    answers += [
        await ask(gateway, "POST", "/v1/config/update", json=config, headers=admin),
        await ask(gateway, "POST", "/v1/config/update", json={**config, "OPENAI_API_KEYS": ["short"]}, headers=admin),
        await ask(gateway, "POST", "/v1/verify", json={"url": "http://bearer.test/v1", "key": KEY}, headers=admin),
        await ask(
            gateway,
            "POST",
            "/v1/verify",
            json={"url": "http://bearer.test/v1", "key": KEY, "config": {"auth_type": KEY}},
            headers=admin,
        ),
        await ask(gateway, "GET", "/v1/models", headers=admin),
    ]

    assert answers[0].status == 200
    assert_silent(said, *answers)


def test_nothing_that_python_prints_shows_one() -> None:
    given = upstreams()
    gateway = make_gateway(FakeUpstream().transport(), given)
    store = MemoryStore(given)
    printed = [
        repr(each) for each in (given, gateway, store, *(up.api_key for up in given), *(up.headers for up in given))
    ]
    printed += [str(up.api_key) for up in given] + [f"{up.api_key} {up.api_key!r:>80}" for up in given]
    assert CANARY not in " ".join(printed)
    for up in given:
        with contextlib.suppress(Exception):
            assert CANARY.encode() not in pickle.dumps(up.api_key)
        with contextlib.suppress(TypeError, msgspec.ValidationError):
            assert CANARY.encode() not in msgspec.json.encode(up.api_key)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": f"{CANARY}\n"},
        {"headers": {"X-Secret": f"{CANARY}\r\n"}},
        {"headers": {f"{CANARY} name": "x"}},
        {"proxy": f"ftp://me:{CANARY}@127.0.0.1"},
        {"api_key": [CANARY]},
    ],
)
def test_no_fault_of_the_configuration_shows_one(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        Upstream("http://u.test/v1", **options)
    if "name" not in str(options):
        assert CANARY not in "".join(traceback.format_exception_only(raised.value))


async def test_what_a_callable_of_the_hosts_raises_is_not_told_to_clients() -> None:
    def authorize_model(user: User, model: Model) -> bool:
        raise RuntimeError(f"the database at {CANARY} is down")

    gateway = make_gateway(FakeUpstream().transport(), authorize_model=authorize_model)
    answered = await ask(gateway, "POST", CHAT, json=chat(model="bearer"), headers=ANN)

    assert answered.status == 500
    assert CANARY.encode() not in answered.body


# Entra ID: the token, and the secret that the token's own endpoint asks for


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenEndpoint]:
    monkeypatch.setattr(token_endpoint_module, "SECRET", f"{CANARY}-identity")
    monkeypatch.setattr(token_endpoint_module, "TOKEN_STEM", f"{CANARY}.{'t' * 30}.")
    with token_endpoint(monkeypatch) as endpoint:
        yield endpoint


def entra_gateway(upstream: FakeUpstream) -> Gateway:
    azure = Upstream("https://azure.test/openai/v1", auth_type="microsoft_entra_id", model_ids=["token"])
    return make_gateway(upstream.transport(), [azure])


async def seen_by_all(gateway: Gateway) -> list[Response]:
    """What a caller gets, streamed and not, and what administrators are shown."""
    admin = {**ADMIN, "x-admin": "1", "api-key": "x"}
    answers = [
        await ask(gateway, "POST", CHAT, json=chat(model="token", stream=stream), headers=ANN)
        for stream in (False, True)
    ]
    return answers + [await ask(gateway, "GET", path, headers=admin) for path in ("/v1/config", "/v1/config/health")]


@pytest.mark.parametrize("fault", [None, error_answer(401, f"Bad token {CANARY}"), raising(RuntimeError("?"))])
async def test_an_entra_token_is_shown_to_its_upstream_alone(
    fault: Any, endpoint: TokenEndpoint, said: io.StringIO
) -> None:
    upstream = FakeUpstream()
    if fault is not None:
        upstream.answer("/chat/completions", fault)
    gateway = entra_gateway(upstream)

    assert_silent(said, *await seen_by_all(gateway))
    assert CANARY in (upstream.last.header("authorization") or "")
    assert endpoint.requests
    await gateway.aclose()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, f'{{"error": "{CANARY}"}}'.encode()),
        (400, f'{{"error": "invalid", "error_description": "no {CANARY}"}}'.encode()),
        (200, f'{{"access_token": "{CANARY}.{"t" * 30}", "expires_on": "soon"}}'.encode()),
        (200, f"not json {CANARY}".encode()),
    ],
    ids=["500", "400", "bad-expiry", "no-json"],
)
async def test_what_a_token_endpoint_says_is_not_passed_on(
    status: int, body: bytes, endpoint: TokenEndpoint, said: io.StringIO
) -> None:
    endpoint.status, endpoint.broken = status, body
    gateway = entra_gateway(FakeUpstream())

    answers = await seen_by_all(gateway)

    assert {answer.status for answer in answers[:2]} == {502}
    for each in answers:
        assert CANARY.encode() not in each.body
    assert f"{CANARY}-identity" not in said.getvalue()
    assert f"{CANARY}.{'t' * 30}" not in said.getvalue()
    await gateway.aclose()


# Where secrets are kept, and what is raised to hosts


async def test_a_file_of_the_configuration_is_its_owners_alone_and_no_fault_of_it_shows_one(
    tmp_path: Path, said: io.StringIO
) -> None:
    path = tmp_path / "gateway.json"
    store = FileStore(path)
    await store.save(GatewayConfig(upstreams=upstreams()), replaces=None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert CANARY in path.read_text()

    def gateway() -> Gateway:
        return Gateway(
            FileStore(path),
            resolve_user=lambda request: USERS["root"],
            authorize_model=everyone,
            oauth_token=lambda user, request, upstream: None,
        )

    whole, here = path.read_text(), inspect.currentframe()
    for damaged in (whole[:-20], whole.replace('"session"', '"sess"')):
        path.write_text(whole)
        started = gateway()
        path.write_text(damaged)
        answered = await ask(started, "GET", "/v1/config", headers=ADMIN)
        assert_silent(said, answered)
        with pytest.raises(ConfigError) as raised:
            await FileStore(path).load()
        assert CANARY not in "".join(traceback.format_exception_only(raised.value))
        await started.aclose()
        # A start that fails is looked at by people and tools that show the local variables of every frame.
        with pytest.raises(ConfigError) as stopped:
            gateway()
        assert stopped.value.__context__ is None
        ours = [frame for frame, _ in traceback.walk_tb(stopped.value.__traceback__) if frame is not here]
        assert ours
        assert CANARY not in repr([frame.f_locals for frame in ours])


@pytest.mark.parametrize(
    "configs", ["not json", '{"0": {"auth_type": "c4n4ry"}}', '{"0": {"proxy": "ftp://me:c4n4ry@x"}}']
)
def test_no_fault_of_the_environment_shows_one(configs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URLS", "http://u.test/v1")
    monkeypatch.setenv("OPENAI_API_KEYS", f"{KEY};{KEY}\n")
    monkeypatch.setenv("OPENAI_API_CONFIGS", configs)
    with pytest.raises(ConfigError) as raised:
        Gateway(resolve_user=lambda request: USERS["root"], authorize_model=everyone)
    assert KEY not in "".join(traceback.format_exception(raised.value))


async def test_what_is_raised_to_the_server_shows_none() -> None:
    headers = ((b"Content-Type", b"text/plain"), (b"Content-Length", b"100"))
    async with FakeUpstream(wire=[raw(head(200, headers) + b"cut", close=True)]) as upstream:
        given = [Upstream(f"{upstream.url}/v1", api_key=KEY, headers={"X-Secret": HEADER}, model_ids=["bearer"])]
        gateway = make_gateway(None, given)
        with pytest.raises(ResponseAborted) as raised:
            await ask(gateway, "POST", CHAT, json=chat(model="bearer"), headers=ANN)
        assert CANARY not in "".join(traceback.format_exception(raised.value))
        await gateway.aclose()


async def test_what_other_routes_answer_shows_none(said: io.StringIO) -> None:
    upstream = FakeUpstream()
    upstream.answer("", error_answer(401, f"Bad key {KEY}"))
    gateway = make_gateway(upstream.transport(), [named_canary := Upstream("http://b.test/v1", api_key=KEY)])
    assert KEY not in repr(named_canary)
    admin = {**ADMIN, "x-admin": "1", "api-key": "x"}
    form = (
        b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nbearer\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--x--\r\n'
    )
    answers = [
        await ask(gateway, "GET", "/v1/models", headers=admin),
        await ask(gateway, "GET", "/v1/files", headers=admin),
        await ask(gateway, "POST", "/v1/audio/speech", json={"model": "bearer", "input": "x"}, headers=admin),
        await ask(
            gateway,
            "POST",
            "/v1/audio/transcriptions",
            body=form,
            headers={**admin, "content-type": "multipart/form-data; boundary=x"},
        ),
    ]
    assert_silent(said, *answers)
