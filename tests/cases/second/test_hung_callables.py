"""Case 284: while a callable of the host's hangs, a client that leaves is noticed and the call ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from openai_gateway_asgi import Gateway, GatewayConfig, MemoryStore, Settings, Upstream, User, everyone
from openai_gateway_asgi.http import background
from openai_gateway_asgi.layers import forward
from openai_gateway_asgi.testing import FakeUpstream
from tests.reliability.clients import Client, request
from tests.reliability.gateways import assert_error
from tests.reliability.leaving import bare, behind_base_http_middleware
from tests.support.asgi import Conversation, ask
from tests.support.leaks import stall_watch
from tests.support.servers import Http, serve

AT_ONCE = 0.15
"""Seconds: the promised 100 ms, and the turn of a clock in which a call is not watched yet."""

ANN, ROOT = User("ann"), User("root", role="admin")


@dataclass
class Hang:
    """A callable that never comes back."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, *_: Any) -> Any:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class HangingStore(MemoryStore):
    """A store of the host's own; ``load`` or ``save`` hangs."""

    shared = True

    def __init__(self, upstreams: list[Upstream], hang: Hang, what: str) -> None:
        super().__init__(upstreams)
        self._hang, self._what = hang, what

    async def load(self) -> GatewayConfig:
        return await self._hang() if self._what == "load" else await super().load()

    async def save(self, config: GatewayConfig, *, replaces: str | None) -> GatewayConfig:
        return await self._hang() if self._what == "save" else await super().save(config, replaces=replaces)


class Calls:
    """Around the gateway: how many of its calls are under way."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.under_way += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1


CHAT = {"model": "m", "messages": []}
OWN = {"model": "own", "messages": []}
NAMES_A_FILE = {"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}
TARGET = {"url": "http://a/v1", "key": "", "config": {"auth_type": "system_oauth"}}
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + b"a" * 100_000 + b"\r\n--x--\r\n"
)
FILE_ALONE = b"--x\r\n" + FORM.partition(b"m\r\n--x\r\n")[2]
JSON, MULTIPART = b"application/json", b"multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Place:
    """Where a callable hangs: its name, and the call that comes to it."""

    hangs: str
    path: str
    body: Any = None
    user: User = ANN
    method: str = "POST"
    content_type: bytes = JSON

    @property
    def content(self) -> bytes:
        return (
            self.body if isinstance(self.body, bytes) else b"" if self.body is None else json.dumps(self.body).encode()
        )

    @property
    def id(self) -> str:
        return f"{self.hangs} {self.method} {self.path}"


BEFORE_THE_BODY = [
    *(
        Place(hangs, path, body, content_type=content_type)
        for hangs in ("resolve_user", "load")
        for path, body, content_type in (
            ("/v1/chat/completions", CHAT, JSON),
            ("/v1/audio/transcriptions", FORM, MULTIPART),
            ("/v1/config/update", {}, JSON),
            ("/v1/verify", TARGET, JSON),
        )
    ),
    Place("session_token", "/v1/chat/completions", CHAT),
    Place("session_token", "/v1/audio/transcriptions", FORM, content_type=MULTIPART),
    Place("authorize_group", "/v1/batches", {"input_file_id": "f"}),
    Place("authorize_group", "/v1/files", FILE_ALONE, content_type=MULTIPART),
    Place("authorize_group", "/v1/images/edits", FORM, content_type=MULTIPART),
]
OF_USERS = [
    place
    for place in BEFORE_THE_BODY
    if place.hangs != "load" and place.path not in ("/v1/config/update", "/v1/verify")
]
WITHOUT_BODY = [
    Place("resolve_user", "/v1/models", method="GET"),
    Place("resolve_user", "/v1/config", method="GET", user=ROOT),
    Place("load", "/v1/models", method="GET"),
    Place("authorize_group", "/v1/files", method="GET"),
    Place("visible_models", "/v1/models", method="GET"),
    Place("authorize_model", "/v1/models/m", method="GET"),
    Place("oauth_token", "/v1/config/upstreams/1/models", method="GET", user=ROOT),
]
BEHIND_THE_BODY = [
    Place("authorize_model", "/v1/chat/completions", CHAT),
    Place("authorize_model", "/v1/audio/transcriptions", FORM, content_type=MULTIPART),
    Place("authorize_group", "/v1/responses", NAMES_A_FILE),
    Place("oauth_token", "/v1/chat/completions", OWN),
    Place("context", "/v1/chat/completions", CHAT),
    Place("oauth_token", "/v1/verify", TARGET, ROOT),
    Place("save", "/v1/config/update", {"OPENAI_API_BASE_URLS": [], "OPENAI_API_KEYS": [], "OPENAI_API_CONFIGS": {}}, ROOT),
]  # fmt: skip


def make_gateway(place: Place, hang: Any, upstream: FakeUpstream | None = None, **options: Any) -> Gateway:
    upstreams = [
        Upstream("http://a/v1", name="plain", model_ids=["m"]),
        Upstream("http://b/v1", name="own", auth_type="system_oauth", model_ids=["own"]),
    ]
    callables: dict[str, Any] = {
        "resolve_user": lambda request: place.user,
        "authorize_model": everyone,
        "authorize_group": lambda user, group: True,
        "visible_models": None,
        "oauth_token": lambda user, request, upstream: "token",
        "context": lambda user, request: {},
        "record_usage": None,
        "session_token": None,
    }
    if place.hangs == "session_token":
        upstreams.append(Upstream("http://c/v1", name="session", auth_type="session", model_ids=["s"]))
    store: Any = upstreams
    if place.hangs in callables:
        callables[place.hangs] = hang
    else:
        store = HangingStore(upstreams, hang, place.hangs)
    settings = Settings(forward_user_info=True, retries=0, **options)
    return Gateway(store, settings=settings, transport=(upstream or FakeUpstream()).transport(), **callables)


@dataclass
class World:
    calls: Calls
    hang: Hang
    client: Client
    gateway: Gateway

    async def leave(self, place: Place) -> None:
        """The call is over at once."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5), stall_watch() as stalls:
            await self.hang.asked.wait()
            await asyncio.sleep(0.05)
            assert self.calls.under_way == 1
            left = loop.time()
            self.client.leave()
            while self.calls.under_way:
                await asyncio.sleep(0)
            took = loop.time() - left
        assert took < AT_ONCE + stalls.lost
        if place.hangs != "load":  # others may wait for the same look at the store
            await asyncio.wait_for(self.hang.cancelled.wait(), 1)


@contextlib.asynccontextmanager
async def world(place: Place, http: Http = "h11", hosted: Callable[[ASGIApp], ASGIApp] = bare) -> AsyncIterator[World]:
    hang = Hang()
    gateway = make_gateway(place, hang)
    calls = Calls(gateway)
    app = hosted(Starlette(routes=[Mount("/openai", calls)]))
    async with serve(app, http=http) as server:
        client = await Client.to(server)
        yield World(calls, hang, client, gateway)
        await client.close()
    await gateway.aclose()


def said(place: Place, content: bytes, *, length: int) -> bytes:
    whole = request(content, path="/openai" + place.path, content_type=place.content_type, length=length)
    return whole.replace(b"POST", place.method.encode(), 1)


@pytest.fixture(params=["h11", "httptools"])
def http(request: pytest.FixtureRequest) -> Http:
    return request.param


@pytest.fixture(params=[bare, behind_base_http_middleware])
def hosted(request: pytest.FixtureRequest) -> Callable[[ASGIApp], ASGIApp]:
    return request.param


@pytest.mark.parametrize("place", [*BEFORE_THE_BODY, *WITHOUT_BODY, *BEHIND_THE_BODY], ids=lambda place: place.id)
async def test_case_284_a_client_that_sent_all_and_leaves(
    place: Place, http: Http, hosted: Callable[[ASGIApp], ASGIApp]
) -> None:
    async with world(place, http, hosted) as here:
        await here.client.send(said(place, place.content, length=len(place.content)))
        await here.leave(place)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("place", BEFORE_THE_BODY, ids=lambda place: place.id)
async def test_case_284_a_client_that_leaves_while_it_sends(place: Place, share: float, http: Http) -> None:
    async with world(place, http) as here:
        part = place.content[: int(len(place.content) * share)]
        await here.client.send(said(place, part, length=len(place.content) + 10))
        await here.leave(place)


async def test_case_284_a_client_that_sent_half_a_megabyte_is_seen_to_leave_behind_it(http: Http) -> None:
    place = Place("resolve_user", "/v1/chat/completions", {**CHAT, "user": "x" * 500_000})
    async with world(place, http) as here:
        await here.client.send(said(place, place.content, length=len(place.content)))
        await here.leave(place)


# What came meanwhile is not lost


def gated(place: Place, upstream: FakeUpstream) -> tuple[Gateway, asyncio.Event]:
    """A gateway whose callable comes back when the event is set."""
    gate = asyncio.Event()
    answers = {"session_token": "token", "resolve_user": place.user, "authorize_group": True}

    async def wait(*_: Any) -> Any:
        await gate.wait()
        return answers[place.hangs]

    return make_gateway(place, wait, upstream), gate


@pytest.mark.parametrize("place", OF_USERS, ids=lambda place: place.id)
@pytest.mark.parametrize("size", [1, 1_000, 1_000_000])
async def test_case_284_a_body_that_came_while_the_callable_took_its_time_is_whole(place: Place, size: int) -> None:
    upstream = FakeUpstream()
    gateway, gate = gated(place, upstream)
    headers = {"content-type": place.content_type.decode()}
    content = place.content
    async with Conversation(gateway, "POST", place.path, body=None, headers=headers) as talk:
        step = max(size, len(content) // 200)
        pieces = [content[at : at + step] for at in range(0, len(content), step)]
        half = len(pieces) // 2
        for piece in pieces[:half]:
            talk.send_body(piece, more=True)
        await asyncio.sleep(0.1)
        gate.set()
        for piece in pieces[half:]:
            talk.send_body(piece, more=True)
        talk.send_body(b"", more=False)
        got = await talk.whole()

    assert got.status in (200, 404), got.body  # the recorder answers, or does not know the path
    assert upstream.last.body.count(b"a" * 100_000) == content.count(b"a" * 100_000)
    assert place.content_type is MULTIPART or upstream.last.json() == place.body
    await gateway.aclose()


# A callable that hangs while its client stays


@pytest.mark.parametrize(
    "place",
    [place for place in (*BEFORE_THE_BODY, *WITHOUT_BODY, *BEHIND_THE_BODY) if place.hangs not in ("load", "save")],
    ids=lambda place: place.id,
)
async def test_a_callable_that_takes_too_long_is_cancelled_and_told_of(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    hang = Hang()
    gateway = make_gateway(place, hang, callable_timeout=0.2)
    got = await ask(
        gateway, place.method, place.path, body=place.content, headers={"content-type": place.content_type.decode()}
    )

    assert_error(got, 500, "host_failure")
    assert hang.cancelled.is_set()
    assert f"{place.hangs} took longer than 0.2 s" in caplog.text
    await gateway.aclose()


# The record


async def test_case_284_a_record_that_hangs_is_left_to_itself_when_its_client_leaves(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "CLOSING", 0.1)
    place = Place("record_usage", "/v1/chat/completions", {"model": "nobody's", "messages": []})
    async with world(place, http) as here:
        await here.client.send(said(place, place.content, length=len(place.content)))
        async with asyncio.timeout(5):
            await here.hang.asked.wait()
            here.client.leave()
            while here.calls.under_way:
                await asyncio.sleep(0)
        assert not here.hang.cancelled.is_set()
        await here.gateway.aclose()
        assert here.hang.cancelled.is_set()


# A transport of the host's own


class Hanging(httpx.AsyncByteStream):
    """A stream that begins and then neither goes on nor closes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'data: {"choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        await asyncio.Event().wait()


async def test_case_284_a_stream_of_the_hosts_that_does_not_close_holds_its_call_no_longer_than_it_may(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(forward, "CLOSING", 0.2)

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Hanging())

    upstreams = [Upstream("http://a/v1", model_ids=["m"])]
    gateway = Gateway(upstreams, resolve_user=lambda request: ANN, authorize_model=everyone, transport=Transport())
    async with Conversation(gateway, "POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as talk:
        await talk.receive_start()
        talk.disconnect()
        async with asyncio.timeout(5):
            while talk.running:
                await asyncio.sleep(0.01)
    assert "did not close" in caplog.text
    await gateway.aclose()
