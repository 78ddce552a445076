"""A call that is over is gone: nothing of it waits for a garbage collection.

What a call holds (its body, which may be large, its user, its credentials) would otherwise stay until the next one,
and with thousands of streams that collection is a stall of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence

import pytest

from openai_gateway_asgi.bodies.payload import NOTHING, Payload
from openai_gateway_asgi.errors import ResponseAborted
from openai_gateway_asgi.exchange import Exchange
from openai_gateway_asgi.http.asgi import ASGIApp, Message, Receive, Scope, Send
from openai_gateway_asgi.http.timers import GRACE
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import EVENTS, Call, WireScript, answer, chunked, head, sse
from openai_gateway_asgi.upstream.request_body import NO_BODY
from tests.reliability.gateways import ANN, CHAT, at, chat, make_gateway
from tests.reliability.test_faults import FAULTS, HASTY, OK, WHOLE, Fault, packets
from tests.support.asgi import make_scope
from tests.support.leaks import cyclic_garbage

LASTS = GRACE * 2
"""Seconds after which a call has clocks and a watcher of its own."""


class CallByHand:
    """One call without a server or a client that could keep something of it."""

    def __init__(self, *, stream: bool) -> None:
        body = json.dumps(chat(stream=stream)).encode()
        headers = {**ANN, "content-type": "application/json", "content-length": str(len(body))}
        self._raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._to_come: list[Message] = [{"type": "http.request", "body": body}]
        self.left = asyncio.Event()
        self.answered = asyncio.Event()

    async def receive(self) -> Message:
        if self._to_come:
            return self._to_come.pop()
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.answered.set()

    async def make(self, gateway: object) -> None:
        with contextlib.suppress(ResponseAborted):
            await gateway(make_scope("POST", CHAT, headers=self._raw), self.receive, self.send)  # type: ignore[operator]


async def left_by_a_call(scripts: Sequence[WireScript], *, stream: bool, leaves: bool = False) -> list[object]:
    """What of the gateway's a call leaves for the next collection."""
    async with FakeUpstream(wire=scripts) as upstream:
        gateway = make_gateway([at(upstream)], timeouts=HASTY)
        with cyclic_garbage() as garbage:
            call = CallByHand(stream=stream)
            making = asyncio.create_task(call.make(gateway))
            if leaves:
                await call.answered.wait()
                call.left.set()
            await making
            del call, making
            for _ in range(3):
                await asyncio.sleep(0)  # what was cancelled comes to its end
        await gateway.aclose()
    return [each for each in garbage if isinstance(each, Exchange | Payload)]


async def lasting(call: Call) -> None:
    await call.read_body()
    await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))) + chunked(WHOLE[0]))
    await asyncio.sleep(LASTS)
    await call.send(b"".join(map(chunked, WHOLE[1:])) + chunked(b""))


async def endless(call: Call) -> None:
    await call.read_body()
    await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))) + chunked(WHOLE[1]))
    await call.until_peer_closes()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_call_that_succeeds_leaves_nothing(stream: bool) -> None:
    assert not await left_by_a_call([sse(*WHOLE) if stream else answer(200, body=OK)], stream=stream)


async def test_a_stream_that_lasts_leaves_nothing() -> None:
    assert not await left_by_a_call([lasting], stream=True)


async def test_an_open_stream_does_not_hold_what_was_asked() -> None:
    """A thousand streams that were asked with a picture each would hold a gigabyte."""
    seen: list[Exchange] = []

    def looking(app: ASGIApp) -> ASGIApp:
        async def look(scope: Scope, receive: Receive, send: Send) -> None:
            exchange = Exchange.of(scope)
            assert "messages" in exchange.payload
            seen.append(exchange)
            await app(scope, receive, send)

        return look

    async with FakeUpstream(wire=[endless]) as upstream:
        gateway = make_gateway([at(upstream)], layers=[looking])
        call = CallByHand(stream=True)
        making = asyncio.create_task(call.make(gateway))
        await call.answered.wait()
        assert seen[0].payload is NOTHING
        assert seen[0].upstream_body is NO_BODY
        call.left.set()
        await making
        await gateway.aclose()


async def test_a_client_that_leaves_leaves_nothing_behind() -> None:
    assert not await left_by_a_call([endless], stream=True, leaves=True)


async def test_one_that_is_retried_leaves_nothing() -> None:
    assert not await left_by_a_call([packets(close=True), answer(200, body=OK)], stream=False)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_call_that_fails_leaves_nothing(fault: Fault) -> None:
    assert not await left_by_a_call([fault.script] * fault.asked, stream=fault.only is not False)
