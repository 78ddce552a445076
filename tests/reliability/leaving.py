"""The stages of a call at which its client may leave, and what is to be seen of the call afterwards.

One scripted upstream plays all of them, so that the same stages are left in any host, behind any server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openai_gateway_asgi import Gateway, Upstream, UsageRecord, User
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import chat_events
from openai_gateway_asgi.testing.wire import Call, answer, hang, sse
from tests.reliability.clients import Client, request
from tests.reliability.gateways import CHAT, at, chat
from tests.support.leaks import stall_watch
from tests.support.servers import Server

AT_ONCE = 0.15
"""Seconds in which a call is to be over, and its upstream let go: the promised 100 ms, and what it takes to see it."""

BEFORE_FIRST_BYTE = "client_gone_before_first_byte"
EVENTS = chat_events(chat(stream=True))


class Site(Protocol):
    """A served gateway: in this process, or in one of its own."""

    prefix: str
    token: bytes
    """Of a user who may call every model."""

    async def connect(self) -> Client: ...

    async def read(self) -> int:
        """How many messages with a part of a body have been read from clients."""

    async def outcomes(self) -> list[str]:
        """Of the calls that are over."""

    async def in_use(self) -> int:
        """How many places at upstreams are taken."""


class LocalSite:
    """A gateway served in this process."""

    def __init__(
        self,
        gateway: Gateway,
        app: Reading,
        server: Server,
        records: list[UsageRecord],
        *,
        prefix: str = "",
        token: bytes = b"ann",
    ) -> None:
        self.prefix, self.token = prefix, token
        self._gateway, self._app, self._server, self._records = gateway, app, server, records

    async def connect(self) -> Client:
        return await Client.to(self._server)

    async def read(self) -> int:
        return self._app.count

    async def outcomes(self) -> list[str]:
        return [record.outcome for record in self._records]

    async def in_use(self) -> int:
        return sum(upstream.in_use for upstream in self._gateway.health().upstreams.values())


def upstreams(url: str, *, listed: bool) -> list[Upstream]:
    """``listed``: one of them has to be asked for its models first."""
    if listed:
        return [Upstream(f"{url}/v1", name="listed", max_concurrency=1000)]
    return [
        at(url, name="wide", models=["gpt", "silent"], max_concurrency=1000),
        at(url, name="narrow", models=["narrow"], max_concurrency=1),
        at(url, name="token", models=["token"], auth_type="system_oauth"),
    ]


async def endless_token(user: User, request: Request, upstream: Upstream) -> str:
    """A host's own token that never comes."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


class Play:
    """The upstream's part; its models are told when ``lists`` is set."""

    def __init__(self) -> None:
        self.lists = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        if call.request.target.endswith(b"/models"):
            await self.lists.wait()
            await answer(200, body=b'{"data": [{"id": "late"}]}')(call)
        elif b"multipart" in call.request.values("content-type")[0]:
            await call.until_peer_closes()
        else:
            match json.loads(await call.read_body())["model"]:
                case "silent":
                    await hang(call)
                case "late":
                    await answer(200)(call)
                case _:
                    await sse(*EVENTS[:2], ending="open")(call)


class Reading:
    """Around a whole app: counts what it reads of bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted() -> Message:
            message = await receive()
            self.count += bool(message.get("body"))
            return message

        await self.app(scope, counted, send)


def bare(app: ASGIApp) -> ASGIApp:
    return app


def behind_base_http_middleware(app: ASGIApp) -> ASGIApp:
    async def passing_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    return BaseHTTPMiddleware(app, dispatch=passing_on)


FORM = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n' + b"a" * 400_000
)


@dataclass(frozen=True)
class World:
    site: Site
    upstream: FakeUpstream
    play: Play

    async def ask(self, body: object, **options: Any) -> Client:
        """A client whose request has been read as far as it was sent."""
        before = await self.site.read()
        client = await self.site.connect()
        await client.send(request(body, path=self.site.prefix + CHAT, token=self.site.token, **options))
        await until(lambda: self._read_since(before))
        return client

    async def _read_since(self, before: int) -> bool:
        return await self.site.read() > before

    async def over(self, calls: int) -> bool:
        return len(await self.site.outcomes()) >= calls

    async def leave(self, client: Client, *, closes: bool = False, outcome: str = BEFORE_FIRST_BYTE) -> None:
        """The call of ``client`` is over at once, and so is, where it ``closes``, the upstream's connection."""
        calls = len(await self.site.outcomes()) + 1
        loop = asyncio.get_running_loop()
        async with stall_watch() as stalls:
            left = loop.time()
            client.leave()
            if closes:
                await self.upstream.connections[-1].closed()
            else:
                await until(lambda: self.over(calls))
            took = loop.time() - left
        assert took < AT_ONCE + stalls.lost  # what a busy machine takes is not the gateway's
        await until(lambda: self.over(calls))
        assert (await self.site.outcomes())[calls - 1] == outcome
        await client.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(5):
        while not await holds():
            await asyncio.sleep(0)


async def during_the_upload(world: World) -> None:
    client = await world.ask(b'{"model": "gpt", ', length=1000)
    await world.leave(client)
    assert world.upstream.connections == []


async def during_the_upload_of_a_form(world: World) -> None:
    path, content_type = world.site.prefix + "/v1/audio/transcriptions", b"multipart/form-data; boundary=x"
    client = await world.site.connect()
    await client.send(request(FORM, path=path, token=world.site.token, content_type=content_type, length=1_000_000))
    await world.upstream.until_requests(1)
    await world.leave(client, closes=True)


async def before_the_answer(world: World) -> None:
    client = await world.ask(chat(model="silent"))
    await world.upstream.until_requests(1)
    await world.leave(client, closes=True)


async def before_the_first_event(world: World) -> None:
    client = await world.ask(chat(model="silent", stream=True))
    await world.upstream.until_requests(1)
    await world.leave(client, closes=True)


async def between_two_events(world: World) -> None:
    client = await world.ask(chat(stream=True))
    await client.until(b"data: ")
    await world.leave(client, closes=True, outcome="client_gone")


async def while_waiting_for_a_place(world: World) -> None:
    holding = await world.ask(chat(model="narrow", stream=True))
    await holding.until(b"data: ")
    waiting = await world.ask(chat(model="narrow", stream=True))
    await world.leave(waiting)
    assert (await world.site.in_use(), world.upstream.open_connections) == (1, 1)
    await world.leave(holding, closes=True, outcome="client_gone")


async def while_waiting_for_a_token(world: World) -> None:
    await world.leave(await world.ask(chat(model="token")))
    assert world.upstream.connections == []


async def while_waiting_for_a_shared_list(world: World) -> None:
    leaving, staying = await world.ask(chat(model="late")), await world.ask(chat(model="late"), close=True)
    await world.upstream.until_requests(1)
    await world.leave(leaving)
    world.play.lists.set()
    assert b" 200 " in await staying.until(b"\r\n")
    await staying.close()
    assert world.upstream.methods == {"GET": 1, "POST": 1}


STAGES = (
    during_the_upload,
    during_the_upload_of_a_form,
    before_the_answer,
    before_the_first_event,
    between_two_events,
    while_waiting_for_a_place,
    while_waiting_for_a_token,
    while_waiting_for_a_shared_list,
)

Stage = Callable[[World], Awaitable[None]]


def needs_list(stage: Stage) -> bool:
    return stage is while_waiting_for_a_shared_list


async def leave_at(stage: Stage, site: Site, upstream: FakeUpstream, play: Play) -> None:
    """Goes through the stage; at its end no place is taken."""
    await stage(World(site, upstream, play))
    assert await site.in_use() == 0
