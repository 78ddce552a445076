"""The fault matrix: every way an upstream can fail, over http and https, streamed and not, on real sockets.

Each cell says what the client gets and how often the upstream was asked. All cells share the rest: the answer's shape
and time, nothing of the upstream's in it, nothing left open, no place held, and the next call succeeds.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from openai_gateway_asgi import Gateway, Timeouts
from openai_gateway_asgi.errors import ResponseAborted
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import DONE, chat_events
from openai_gateway_asgi.testing.answers import sse as event
from openai_gateway_asgi.testing.wire import (
    EVENTS,
    JSON,
    Call,
    WireScript,
    answer,
    chunked,
    close_before_headers,
    conflicting_lengths,
    endless_103,
    flood_of_103,
    garbage,
    gzip_sse,
    hang,
    head,
    huge_headers,
    length_and_chunked,
    raw,
    refusing_url,
    reset,
    sse,
)
from openai_gateway_asgi.upstream import breaker
from tests.reliability.gateways import assert_error, at, call, chat, healthy, make_gateway, talk
from tests.support.certificates import server_tls
from tests.support.leaks import lasting, stall_watch

WHOLE = chat_events(chat())
OK = b'{"id": "1"}'
LIMIT = 0.3
"""Seconds that the gateway is told to wait, in the cells that are about waiting."""
IN_TIME = 0.5
"""Seconds beyond the deadlines and waits that an answer may take."""

BROKEN = "broken"
"""In place of a code: the answer had begun, and its framing was broken."""
ERROR_EVENT = "error event"


async def recovered(call: Call) -> None:
    await call.read_body()
    streams = json.loads(call.request.body)["stream"]
    await (sse(*WHOLE) if streams else answer(200, body=OK))(call)


async def dripping_head(call: Call) -> None:
    await call.read_body()
    for byte in head(200, ((b"X-Slow", b"x" * 1000),)):
        if call.connection.peer_gone.is_set():
            return
        await call.send(bytes([byte]))
        await asyncio.sleep(0.01)


async def dripping_comments(call: Call) -> None:
    await call.read_body()
    await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))))
    while not call.connection.peer_gone.is_set():
        await call.send(chunked(b": thinking\n\n"))
        await asyncio.sleep(0.02)


async def silent_after_head(call: Call) -> None:
    await call.read_body()
    await call.send(head(200, (*JSON, (b"Content-Length", b"100"))))
    await call.until_peer_closes()


def packets(*pieces: bytes, close: bool = False) -> WireScript:
    """Sends each piece in a packet of its own, far enough from the next that it is read by itself."""

    async def send(call: Call) -> None:
        await call.read_body()
        for piece in pieces:
            await call.send(piece)
            await asyncio.sleep(0.03)
        if close:
            call.close()

    return send


@dataclass(frozen=True)
class Fault:
    name: str
    script: WireScript
    status: int
    code: str | None
    """Of the error, ``BROKEN`` or ``ERROR_EVENT``; None: the upstream's own body."""
    asked: int = 1
    only: bool | None = None
    """Whether it is for streams only, or for whole answers only."""
    timeouts: Timeouts = field(default_factory=Timeouts)


HASTY = Timeouts(first_event=LIMIT, answer=LIMIT, idle=LIMIT)
STREAM, BODY = True, False
TEXT = ((b"Content-Type", b"text/plain"),)

UNAVAILABLE = "upstream_unavailable"
TIMEOUT = "upstream_timeout"

FAULTS = [
    # before the answer
    Fault("close", close_before_headers, 502, UNAVAILABLE, 3),
    Fault("reset", reset, 502, UNAVAILABLE, 3),
    Fault("hang", hang, 504, TIMEOUT, timeouts=HASTY),
    Fault("drip", dripping_head, 504, TIMEOUT, timeouts=HASTY),
    Fault("103-for-ever", endless_103, 504, TIMEOUT, timeouts=HASTY),
    Fault("garbage", garbage, 502, UNAVAILABLE, 3),
    Fault("huge-headers", huge_headers(200_000), 502, UNAVAILABLE, 3),
    Fault("many-headers", answer(200, tuple((b"X-%d" % n, b"v" * 1000) for n in range(200))), 502, UNAVAILABLE, 3),
    Fault("two-lengths", conflicting_lengths, 502, UNAVAILABLE, 3),
    Fault("nul-in-header", raw(head(200, ((b"X-A", b"a\0b"), (b"Content-Length", b"2"))) + b"{}", close=True), 502, UNAVAILABLE, 3),
    Fault("switching-protocols", raw(head(101, ((b"Upgrade", b"x"), (b"Connection", b"Upgrade"))), close=True), 502, UNAVAILABLE, 3),
    Fault("redirect", answer(307, ((b"Location", b"http://169.254.169.254/"),)), 502, "upstream_error"),
    Fault("status-999", raw(head(999, (*JSON, (b"Content-Length", b"2"))) + b"{}"), 502, "upstream_error", 3),
    Fault("empty", answer(200, body=b""), 502, UNAVAILABLE, 3),
    Fault("empty-without-length", raw(head(200, JSON), close=True), 502, UNAVAILABLE, 3),
    # answers that refuse
    Fault("500", answer(500), 500, None, 3),
    Fault("500-page", answer(500, ((b"Content-Type", b"text/html"),), b"<html>"), 500, None, 3),
    Fault("429", answer(429, (*JSON, (b"Retry-After-Ms", b"10"))), 429, None, 3),
    Fault("429-long", answer(429, (*JSON, (b"Retry-After", b"30"))), 429, None, 1),
    Fault("503-long", answer(503, (*JSON, (b"Retry-After", b"30"))), 503, None, 1),
    Fault("401", answer(401), 502, "upstream_credential", 1),
    Fault("400", answer(400), 400, None, 1),
    Fault("413", raw(head(413, (*JSON, (b"Connection", b"close"), (b"Content-Length", b"2"))) + b"{}", close=True), 413, None, 1),
    Fault("400-cut", raw(head(400, (*JSON, (b"Content-Length", b"100"))) + b'{"error"', close=True), 502, UNAVAILABLE, 3),
    Fault("400-hang", raw(head(400, (*JSON, (b"Content-Length", b"100"))) + b'{"error"'), 504, TIMEOUT, 1, timeouts=HASTY),
    # answers that are odd and yet whole
    Fault("103s", flood_of_103(100), 200, None, only=BODY),
    Fault("json-for-a-stream", answer(200, body=OK), 502, "upstream_error", 3, STREAM),
    Fault("stream-for-json", sse(*WHOLE), 502, "upstream_error", 3, BODY),
    Fault("length-and-chunked", length_and_chunked, 502, UNAVAILABLE, 3),
    # bodies
    Fault("empty-then-hang", silent_after_head, 504, TIMEOUT, timeouts=HASTY),
    Fault("short-body", packets(head(200, (*JSON, (b"Content-Length", b"100"))) + b'{"cut": ', close=True), 502, UNAVAILABLE, 3),
    Fault("cut-chunk", packets(head(200, (*JSON, (b"Transfer-Encoding", b"chunked"))) + b"64\r\nonly this", close=True), 502, UNAVAILABLE, 3),
    Fault("bad-chunk", packets(head(200, (*JSON, (b"Transfer-Encoding", b"chunked"))) + chunked(b"good"), b"zz\r\nbad\r\n"), 502, UNAVAILABLE, 3),
    Fault("bad-chunk-at-once", raw(head(200, (*JSON, (b"Transfer-Encoding", b"chunked"))) + chunked(b"good") + b"zz\r\n"), 502, UNAVAILABLE, 3),
    Fault("body-hangs", raw(head(200, (*JSON, (b"Content-Length", b"9"))) + b'{"a": '), 504, TIMEOUT, 1, timeouts=HASTY),
    Fault("short-text", packets(head(200, (*TEXT, (b"Content-Length", b"100"))) + b"cut", close=True), 200, BROKEN, only=BODY),
    Fault("text-hangs", raw(head(200, (*TEXT, (b"Content-Length", b"9"))) + b"some"), 200, BROKEN, only=BODY, timeouts=HASTY),
    # events
    Fault("no-event", sse(ending="whole"), 502, UNAVAILABLE, 3, STREAM),
    Fault("cut-before-event", sse(b": hello\n\n", ending="cut"), 502, UNAVAILABLE, 3, STREAM),
    Fault("reset-in-first-event", sse(WHOLE[0][:9], ending="reset"), 502, UNAVAILABLE, 3, STREAM),
    Fault("hang-before-event", sse(ending="open"), 504, TIMEOUT, 1, STREAM, HASTY),
    Fault("comments-for-ever", dripping_comments, 504, TIMEOUT, 1, STREAM, HASTY),
    Fault("in-band-error", sse(event({"error": {"message": "No.", "code": 503}})), 503, None, 3, STREAM),
    Fault("page", answer(200, ((b"Content-Type", b"text/html"),), b"<html>"), 502, "upstream_error", 3, STREAM),
    Fault("ended-early", sse(*WHOLE[:3]), 200, ERROR_EVENT, 1, STREAM),
    Fault("cut", sse(*WHOLE[:3], ending="cut"), 200, ERROR_EVENT, 1, STREAM),
    Fault("reset-after-events", sse(*WHOLE[:3], ending="reset"), 200, ERROR_EVENT, 1, STREAM),
    Fault("cut-in-event", sse(*WHOLE[:3], WHOLE[3][:20], ending="cut"), 200, ERROR_EVENT, 1, STREAM),
    Fault("bad-chunk-in-stream", packets(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))) + chunked(WHOLE[1]), b"zz\r\n"), 200, ERROR_EVENT, 1, STREAM),
    Fault("falls-silent", sse(*WHOLE[:3], ending="open"), 200, ERROR_EVENT, 1, STREAM, HASTY),
    Fault("cut-in-long-event", sse(WHOLE[1], b"data: " + b"x" * 200_000, ending="cut"), 200, BROKEN, 1, STREAM),
    Fault("bad-gzip", raw(head(200, (*EVENTS, (b"Content-Encoding", b"gzip"), (b"Content-Length", b"9"))) + b"not gzip!"), 502, "upstream_error", 3, STREAM),
]  # fmt: skip

CELLS = [
    pytest.param(fault, stream, tls, id=f"{fault.name}-{'stream' if stream else 'whole'}-{'https' if tls else 'http'}")
    for fault in FAULTS
    for stream in (True, False)
    for tls in (False, True)
    if fault.only in (None, stream)
]


@pytest.mark.parametrize(("fault", "stream", "tls"), CELLS)
async def test_a_fault_has_its_answer_and_leaves_nothing_behind(
    fault: Fault, stream: bool, tls: bool, monkeypatch: pytest.MonkeyPatch, loop_errors: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(breaker, "LONGEST_ASKED", 0.1)
    async with FakeUpstream(
        wire=[*[fault.script] * fault.asked, recovered], tls=server_tls() if tls else None
    ) as upstream:
        gateway = make_gateway([at(upstream, max_concurrency=1)], timeouts=fault.timeouts)

        async with lasting(0, IN_TIME + (LIMIT if fault.timeouts is HASTY else 0)):
            await assert_outcome(gateway, fault, stream, upstream)

        assert upstream.methods == Counter({"POST": fault.asked})
        await assert_recovered(gateway, upstream, stream)
        await gateway.aclose()
    if tls:
        loop_errors[:] = [context for context in loop_errors if not is_shutdown_noise(context)]


def is_shutdown_noise(context: dict[str, Any]) -> bool:
    """CPython's TLS says this of a connection that is closed in the same turn as its peer's end arrives."""
    return context["message"] == "Fatal error on SSL protocol" and "UNWRAPPED" in repr(context["exception"])


async def assert_outcome(gateway: Gateway, fault: Fault, stream: bool, upstream: FakeUpstream) -> None:
    async with talk(gateway, chat(stream=stream)) as talking:
        start = await talking.receive_start()
        assert start.status == fault.status
        if fault.code == BROKEN:
            with pytest.raises(ResponseAborted):
                await talking.receive_rest()
            return
        body = await talking.receive_rest()
    for private in (str(upstream.port), "sk-", "Traceback", "169.254", "aiohttp"):
        assert private not in body.decode()
    if fault.code == ERROR_EVENT:
        assert body.count(b"event: error\ndata: ") == 1
        assert body.endswith(b"\n\n")
        assert DONE not in body
    elif fault.code is not None:
        assert_error(type(start)(start.status, start.headers, body), fault.status, fault.code)


async def assert_recovered(gateway: Gateway, upstream: FakeUpstream, stream: bool) -> None:
    async with asyncio.timeout(5):
        while (await call(gateway, chat(stream=stream))).status != 200:
            await asyncio.sleep(0.02)  # a cool-down that the upstream asked for
    answered = await call(gateway, chat(stream=stream))
    assert answered.body == (b"".join(WHOLE) if stream else OK)
    assert (await healthy(gateway))["127.0.0.1"]["in_use"] == 0
    async with asyncio.timeout(2):
        while upstream.open_connections > 1:  # one that is idle, and its own end is noticed a moment later
            await asyncio.sleep(0)


# Failures to connect: nothing reaches the upstream


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_port_that_refuses_is_a_502(stream: bool) -> None:
    with refusing_url() as url:
        gateway = make_gateway([at(url)])
        assert_error(await call(gateway, chat(stream=stream)), 502, UNAVAILABLE)
        await gateway.aclose()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_certificate_that_is_not_trusted_is_a_502(stream: bool) -> None:
    async with FakeUpstream(wire=[answer()], tls=server_tls()) as upstream:
        gateway = make_gateway([at(upstream)], settings={"verify_tls": True})
        error = assert_error(await call(gateway, chat(stream=stream)), 502, UNAVAILABLE)
        assert "certificate" not in error["message"].lower()
        assert upstream.requests == []
        await gateway.aclose()


async def test_https_to_a_port_that_speaks_http_is_a_502() -> None:
    async with FakeUpstream(wire=[answer()], on_connect=greet) as upstream:
        gateway = make_gateway([at(upstream.url.replace("http:", "https:"))])
        assert_error(await call(gateway), 502, UNAVAILABLE)
        await gateway.aclose()


async def greet(connection: Any) -> None:
    connection.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.writer.close()


async def test_a_handshake_that_hangs_is_a_504_and_not_tried_again() -> None:
    accepted: list[Any] = []

    async def hold(connection: Any) -> None:
        accepted.append(connection)
        await connection.peer_gone.wait()

    async with FakeUpstream(wire=[answer()], on_connect=hold) as upstream:
        gateway = make_gateway([at(upstream.url.replace("http:", "https:"))], timeouts=Timeouts(connect=LIMIT))
        async with lasting(LIMIT, LIMIT + IN_TIME):
            assert_error(await call(gateway), 504, TIMEOUT)
        assert len(accepted) == 1
        await gateway.aclose()


async def test_when_every_upstream_fails_each_has_been_asked_as_often_as_the_table_says() -> None:
    async with (
        FakeUpstream(wire=[close_before_headers]) as a,
        FakeUpstream(wire=[hang]) as b,
        FakeUpstream(wire=[answer(500)]) as c,
    ):
        upstreams = [at(a, name="a"), at(b, name="b", timeouts=HASTY), at(c, name="c")]
        gateway = make_gateway(upstreams, settings={"max_attempts": 10})
        assert_error_status(await call(gateway), 500)
        assert [sum(each.methods.values()) for each in (a, b, c)] == [3, 1, 3]
        await gateway.aclose()


def assert_error_status(answered: Any, status: int) -> None:
    assert answered.status == status


# Answers that would cost memory


async def test_a_compression_bomb_in_a_stream_goes_through_in_small_pieces() -> None:
    size = 64 * 1024 * 1024
    async with FakeUpstream(wire=[gzip_sse(b"data: " + b"0" * size + b"\n\n")]) as upstream:
        gateway = make_gateway([at(upstream)], timeouts=Timeouts())
        longest = total = 0
        async with stall_watch() as stalls, talk(gateway, read_ahead=False) as talking:
            await talking.receive_start()
            while (piece := await talking.receive_chunk()) is not None:
                longest, total = max(longest, len(piece)), total + len(piece)
        assert total > size
        assert longest <= 1024 * 1024
        assert stalls.loops < 20
        await gateway.aclose()


async def test_a_compressed_body_is_passed_on_unopened() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    async with FakeUpstream(wire=[answer(200, (*JSON, (b"Content-Encoding", b"gzip")), bomb)]) as upstream:
        gateway = make_gateway([at(upstream)])
        answered = await call(gateway)
        assert (answered.body, answered.header("content-encoding")) == (bomb, "gzip")
        await gateway.aclose()


async def test_an_endless_refusal_is_not_held() -> None:
    async def endless(call: Call) -> None:
        await call.read_body()
        await call.send(head(400, (*JSON, (b"Transfer-Encoding", b"chunked"))))
        while not call.connection.peer_gone.is_set():
            await call.send(chunked(b"x" * 65536))

    async with FakeUpstream(wire=[endless]) as upstream:
        gateway = make_gateway([at(upstream)], timeouts=Timeouts())
        answered = await call(gateway)
        assert_error(answered, 400)
        assert len(answered.body) < 1000
        await upstream.connections[0].closed()
        await gateway.aclose()
