"""Clients that leave, at every stage: the upstream is let go within 100 ms and everything is back to base.

That nothing is left of sockets and tasks is held for every test of this suite.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp

from openai_gateway_asgi import Gateway, Timeouts, Upstream, UsageRecord, User
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import answer
from tests.reliability.clients import Client, request
from tests.reliability.gateways import at, chat, make_gateway
from tests.reliability.leaving import (
    EVENTS,
    STAGES,
    LocalSite,
    Play,
    Reading,
    Stage,
    bare,
    behind_base_http_middleware,
    endless_token,
    leave_at,
    needs_list,
    upstreams,
)
from tests.support.certificates import server_tls
from tests.support.servers import Http, Server, serve


@pytest.fixture(params=["h11", "httptools"])
def http(request: pytest.FixtureRequest) -> Http:
    return request.param


@pytest.fixture(params=[bare, behind_base_http_middleware])
def hosted(request: pytest.FixtureRequest) -> Callable[[ASGIApp], ASGIApp]:
    return request.param


class World:
    """A gateway before one upstream, served to a client, and what became of its calls."""

    def __init__(self, gateway: Gateway, server: Server, records: list[UsageRecord]) -> None:
        self.gateway, self.server, self.records = gateway, server, records

    async def client(self) -> Client:
        return await Client.to(self.server)

    async def back_to_base(self, calls: int) -> None:
        """All calls are over and recorded as left, and no place is held."""
        async with asyncio.timeout(5):
            while len(self.records) < calls or any(u.in_use for u in self.gateway.health().upstreams.values()):
                await asyncio.sleep(0)
        assert len(self.records) == calls


@contextlib.asynccontextmanager
async def world(
    upstreams: list[Upstream], http: Http, hosted: Callable[[ASGIApp], ASGIApp], **options: Any
) -> AsyncIterator[World]:
    records: list[UsageRecord] = []
    gateway = make_gateway(upstreams, timeouts=Timeouts(), records=records, **options)
    async with serve(hosted(gateway), http=http) as server:
        yield World(gateway, server, records)
    await gateway.aclose()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
async def test_at_every_stage(stage: Stage, tls: bool, http: Http, hosted: Callable[[ASGIApp], ASGIApp]) -> None:
    play, records = Play(), list[UsageRecord]()
    async with FakeUpstream(wire=[play], tls=server_tls() if tls else None) as upstream:
        gateway = make_gateway(
            upstreams(upstream.url, listed=needs_list(stage)),
            timeouts=Timeouts(),
            records=records,
            oauth_token=endless_token,
        )
        app = Reading(hosted(gateway))
        async with serve(app, http=http) as server:
            await leave_at(stage, LocalSite(gateway, app, server, records), upstream, play)
        await gateway.aclose()


async def test_between_two_tries(http: Http, hosted: Callable[[ASGIApp], ASGIApp]) -> None:
    slow_down = answer(429, ((b"Retry-After", b"2"),))
    async with FakeUpstream(wire=[slow_down]) as upstream, world([at(upstream)], http, hosted) as here:
        client = await here.client()
        await client.send(request(chat()))
        await upstream.until_requests(1)
        await asyncio.sleep(0.05)
        client.leave()
        await here.back_to_base(1)
        assert upstream.methods == {"POST": 1}


async def test_while_waiting_for_a_token_that_others_wait_for_too(
    http: Http, hosted: Callable[[ASGIApp], ASGIApp]
) -> None:
    asked, given = asyncio.Event(), asyncio.Event()
    cancelled = 0

    async def oauth_token(user: User, request: Request, upstream: Upstream) -> str:
        nonlocal cancelled
        asked.set()
        try:
            await given.wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return "token"

    async with FakeUpstream(wire=[answer()]) as upstream:
        upstreams = [at(upstream, auth_type="system_oauth")]
        async with world(upstreams, http, hosted, oauth_token=oauth_token) as here:
            leaving, staying = await here.client(), await here.client()
            await leaving.send(request(chat()))
            await staying.send(request(chat(), close=True))
            await asked.wait()
            await asyncio.sleep(0.05)
            leaving.leave()
            async with asyncio.timeout(5):
                while len(here.records) < 1:
                    await asyncio.sleep(0)
            given.set()
            assert b" 200 " in await staying.until(b"\r\n")
            await staying.close()
            await here.back_to_base(2)
            assert (cancelled, upstream.methods) == (1, {"POST": 1})


async def test_one_that_reads_nothing_holds_no_more_than_the_buffers(
    http: Http, hosted: Callable[[ASGIApp], ASGIApp]
) -> None:
    sent = 0

    async def endless(call: Any) -> None:
        nonlocal sent
        await call.read_body()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        event = EVENTS[1] * 50
        while not call.connection.peer_gone.is_set():
            await call.send(event)
            sent += len(event)

    settings = {"send_timeout": 0.5}
    async with FakeUpstream(wire=[endless]) as upstream:
        async with world([at(upstream)], http, hosted, settings=settings) as here:
            client = await here.client()
            client.reader._limit = 1024  # type: ignore[attr-defined]
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(request(chat(stream=True)))
            await upstream.until_requests(1)
            await upstream.connections[0].closed(within=5)
            await here.back_to_base(1)
            await client.close()
    assert sent < 64 * 1024 * 1024
