"""The transport against scripted sockets. That no socket or task is left is checked after every test (conftest)."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import os
import ssl
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock, call

import httpx
import pytest
import uvloop

from openai_gateway_asgi.testing import FakeUpstream, wire
from openai_gateway_asgi.testing.wire import Call, WireScript, answer, chunked, head, raw, sse
from openai_gateway_asgi.upstream.call import Call as OneCall
from openai_gateway_asgi.upstream.request_body import Body
from openai_gateway_asgi.upstream.request_head import outgoing
from openai_gateway_asgi.upstream.transport import AiohttpTransport
from tests.support.certificates import client_tls, server_tls
from tests.support.leaks import lasting, open_sockets

PROMPT = 0.1  # seconds in which a closing must be seen at the upstream


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport(keepalive=4) as made:
        yield made


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


class Streamed(httpx.AsyncByteStream):
    """A request body that is streamed: its pieces, then what ``then`` does."""

    def __init__(self, *pieces: bytes, then: Callable[[], object] = lambda: None) -> None:
        self.pieces, self.then, self.ended = pieces, then, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                yield piece
            self.then()
        finally:
            self.ended = True


class Stalled(Streamed):
    """A request body that gives its pieces and then neither more nor an end."""

    stalled = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                yield piece
            self.stalled = True
            await asyncio.Event().wait()
        finally:
            self.ended = True


def request(url: str, method: str = "GET", *, connect: float | None = 5.0, **options: object) -> httpx.Request:
    extensions: dict[str, object] = {"timeout": {"connect": connect}}
    extensions |= options.pop("extensions", {})  # type: ignore[call-overload]
    return httpx.Request(method, url, extensions=extensions, **options)  # type: ignore[arg-type]


async def fetch(transport: AiohttpTransport, made: httpx.Request) -> tuple[int, bytes]:
    response = await transport.handle_async_request(made)
    try:
        return response.status_code, b"".join([piece async for piece in stream(response)])
    finally:
        await stream(response).aclose()


def stream(response: httpx.Response) -> httpx.AsyncByteStream:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream


async def cancelled(task: asyncio.Task[object]) -> float:
    """Cancel ``task`` and return how long it took to end, in seconds."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return loop.time() - start


# What goes out


async def test_only_the_given_headers_leave(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[answer()]) as upstream:
        made = request(upstream.url + "/v1/x", "POST", content=b"{}")
        made.headers = httpx.Headers([(b"X-One", b"1"), (b"x-ONE", b"2")])

        assert await fetch(transport, made) == (200, b"{}")

        assert upstream.requests[0].head == (
            b"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-One: 1\r\nx-ONE: 2\r\nContent-Length: 2\r\n\r\n"
            % upstream.port
        )
        assert upstream.requests[0].body == b"{}"


async def test_the_target_extension_is_what_the_upstream_sees(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[answer()]) as upstream:
        await fetch(transport, request(upstream.url, extensions={"target": b"/v1/%2e%2e//a%2Fb?x=%zz"}))

        assert upstream.requests[0].target == b"/v1/%2e%2e//a%2Fb?x=%zz"


@pytest.mark.parametrize("value", [b"caf\xc3\xa9", b"caf\xe9 \xff"])
async def test_header_values_cross_as_bytes_both_ways(transport: AiohttpTransport, value: bytes) -> None:
    async with FakeUpstream(wire=[answer(200, ((b"X-Back", value), (b"X-Back", b"again")))]) as upstream:
        response = await transport.handle_async_request(request(upstream.url, headers=[(b"X-There", value)]))
        await stream(response).aclose()

        assert upstream.requests[0].values("x-there") == [value]
        assert response.headers.raw[:2] == [(b"X-Back", value), (b"X-Back", b"again")]


async def test_a_request_that_would_smuggle_is_refused_before_anything_is_sent(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[answer()]) as upstream:
        with pytest.raises(httpx.LocalProtocolError):
            await fetch(transport, request(upstream.url, headers=[(b"X-A", b"1\r\nX-Evil: 2")]))

        assert upstream.connections == []


async def test_a_large_body_arrives_whole(transport: AiohttpTransport) -> None:
    body = bytes(range(256)) * 8192
    async with FakeUpstream(wire=[answer()]) as upstream:
        assert await fetch(transport, request(upstream.url, "POST", content=body)) == (200, b"{}")
        assert upstream.requests[0].body == body


async def test_a_large_body_at_hand_is_not_copied_while_the_upstream_does_not_read(
    transport: AiohttpTransport,
) -> None:
    gate = asyncio.Event()

    async def unread(call: Call) -> None:
        call.connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await gate.wait()
        call.close()

    async with FakeUpstream(wire=[unread]) as upstream:
        made = request(upstream.url, "POST", stream=Body(b"{", memoryview(bytes(32 * 2**20)), b"}"))
        tracemalloc.start()
        try:
            task = asyncio.create_task(fetch(transport, made))
            await upstream.until_requests(1)
            await asyncio.sleep(0.05)
            assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
        finally:
            tracemalloc.stop()
        await cancelled(task)
        gate.set()


async def test_a_streamed_body_is_chunked_or_has_the_length_it_declares(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[answer()]) as upstream:
        await fetch(transport, request(upstream.url, "POST", stream=Streamed(b"one", b"", b"two")))
        declared = {"Content-Length": "6"}
        await fetch(transport, request(upstream.url, "POST", stream=Streamed(b"one", b"two"), headers=declared))

        assert [seen.body for seen in upstream.requests] == [b"onetwo", b"onetwo"]
        assert upstream.requests[0].values("transfer-encoding") == [b"chunked"]
        assert upstream.requests[1].values("transfer-encoding") == []
        assert len(upstream.connections) == 1


@pytest.mark.parametrize("pieces", [(b"123456", b"7"), (b"12345",)])
async def test_a_streamed_body_that_contradicts_its_length_breaks_the_request(
    transport: AiohttpTransport, pieces: tuple[bytes, ...]
) -> None:
    async with FakeUpstream(wire=[wire.hang]) as upstream:
        made = request(upstream.url, "POST", stream=Streamed(*pieces), headers={"Content-Length": "6"})
        with pytest.raises(httpx.LocalProtocolError):
            await fetch(transport, made)

        await upstream.connections[0].closed(PROMPT)


async def test_what_the_request_stream_raises_reaches_the_caller_as_it_is(transport: AiohttpTransport) -> None:
    def fail() -> None:
        raise OSError("the client's disk")

    async with FakeUpstream(wire=[wire.hang]) as upstream:
        with pytest.raises(OSError, match="the client's disk"):
            await fetch(transport, request(upstream.url, "POST", stream=Streamed(b"x", then=fail)))

        await upstream.connections[0].closed(PROMPT)


async def test_nothing_is_taken_from_the_environment_and_no_cookie_or_redirect_is_followed(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    moved = answer(302, ((b"Location", b"/elsewhere"), (b"Set-Cookie", b"session=alice")))
    async with FakeUpstream(wire=[moved]) as upstream:
        assert (await fetch(transport, request(upstream.url)))[0] == 302
        await fetch(transport, request(upstream.url))

        assert [seen.target for seen in upstream.requests] == [b"/", b"/"]
        assert upstream.requests[1].values("cookie") == []


# What comes back


async def test_a_piece_is_what_one_read_of_the_socket_gave(transport: AiohttpTransport) -> None:
    gates = {1: asyncio.Event(), 2: asyncio.Event()}
    async with FakeUpstream(wire=[sse(b"data: 1\n\n", b"data: 2\n\n", gates=gates)]) as upstream:
        response = await transport.handle_async_request(request(upstream.url))
        pieces = aiter(stream(response))
        assert await anext(pieces) == b"data: 1\n\n"
        gates[1].set()
        assert await anext(pieces) == b"data: 2\n\n"
        gates[2].set()
        assert await anext(pieces, b"end") == b"end"


async def test_what_has_come_already_is_given_together(transport: AiohttpTransport) -> None:
    body = chunked(b"data: 1\n\n") + chunked(b"data: 2\n\n") + b"0\r\n\r\n"
    async with FakeUpstream(wire=[raw(head(200, ((b"Transfer-Encoding", b"chunked"),)) + body)]) as upstream:
        response = await transport.handle_async_request(request(upstream.url))

        assert [piece async for piece in stream(response)] == [b"data: 1\n\ndata: 2\n\n"]


async def test_a_compressed_body_is_not_touched(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[wire.gzip_sse(b"data: 1\n\n")]) as upstream:
        response = await transport.handle_async_request(request(upstream.url))
        body = b"".join([piece async for piece in stream(response)])

        assert response.headers["content-encoding"] == "gzip"
        assert gzip.decompress(body) == b"data: 1\n\n"


async def test_a_large_body_with_a_slow_reader_is_read_in_bounded_pieces(transport: AiohttpTransport) -> None:
    body = b"z" * 4_000_000
    async with FakeUpstream(wire=[answer(200, (), body)]) as upstream:
        response = await transport.handle_async_request(request(upstream.url))
        sizes = []
        async for piece in stream(response):
            sizes.append(len(piece))
            await asyncio.sleep(0)

    assert sum(sizes) == len(body)
    assert max(sizes) <= 128 * 1024 + 256 * 1024  # the buffer, and the read that overran it


@pytest.mark.parametrize(
    ("method", "script"),
    [
        ("HEAD", raw(head(200, ((b"Content-Length", b"5"),)))),
        ("GET", raw(head(204))),
        ("GET", raw(head(304, ((b"Content-Length", b"5"),)))),
        ("GET", answer(200, (), b"")),
    ],
)
async def test_an_answer_without_a_body_ends_at_once_and_leaves_its_connection_usable(
    transport: AiohttpTransport, method: str, script: WireScript
) -> None:
    async with FakeUpstream(wire=[script]) as upstream:
        for _ in range(2):
            assert (await fetch(transport, request(upstream.url, method)))[1] == b""

        assert len(upstream.connections) == 1


async def test_interim_answers_are_skipped(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[wire.flood_of_103(500)]) as upstream:
        assert await fetch(transport, request(upstream.url)) == (200, b"{}")
        assert await fetch(transport, request(upstream.url)) == (200, b"{}")
        assert len(upstream.connections) == 1


async def test_an_endless_flood_of_interim_answers_does_not_outlive_the_callers_deadline(
    transport: AiohttpTransport,
) -> None:
    async with FakeUpstream(wire=[wire.endless_103]) as upstream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await fetch(transport, request(upstream.url))
        await upstream.connections[0].closed()


async def test_an_answer_may_end_with_its_connection(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[raw(head(200) + b"to the end", close=True)]) as upstream:
        assert await fetch(transport, request(upstream.url)) == (200, b"to the end")


async def test_headers_of_60_kib_pass(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[wire.huge_headers(60 * 1024)]) as upstream:
        assert (await fetch(transport, request(upstream.url)))[0] == 200


# Connections


async def test_a_connection_serves_one_request_after_the_other(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[answer()]) as upstream:
        for _ in range(5):
            await fetch(transport, request(upstream.url))

        assert len(upstream.connections) == 1


async def test_closing_after_the_last_byte_keeps_the_connection(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[answer(200, (), b"ok")]) as upstream:
        for _ in range(2):
            response = await transport.handle_async_request(request(upstream.url))
            assert await anext(aiter(stream(response))) == b"ok"
            await stream(response).aclose()

        assert len(upstream.connections) == 1


async def test_closing_twice_does_not_touch_the_next_call_on_the_connection(transport: AiohttpTransport) -> None:
    gate = {0: asyncio.Event()}
    async with FakeUpstream(wire=[answer(), sse(b"data: 1\n\n", gates=gate)]) as upstream:
        first = await transport.handle_async_request(request(upstream.url))
        assert [piece async for piece in stream(first)] == [b"{}"]
        second = await transport.handle_async_request(request(upstream.url))
        await stream(first).aclose()
        gate[0].set()

        assert [piece async for piece in stream(second)] == [b"data: 1\n\n"]
        assert len(upstream.connections) == 1


async def test_an_answer_that_asks_for_it_closes_its_connection(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[answer(200, ((b"Connection", b"close"),))]) as upstream:
        await fetch(transport, request(upstream.url))
        await upstream.connections[0].closed(PROMPT)


async def test_closing_before_the_end_closes_the_socket(transport: AiohttpTransport) -> None:
    gate = {1: asyncio.Event()}
    async with FakeUpstream(wire=[sse(b"data: 1\n\n", b"data: 2\n\n", gates=gate)]) as upstream:
        response = await transport.handle_async_request(request(upstream.url))
        await anext(aiter(stream(response)))
        await stream(response).aclose()

        await upstream.connections[0].closed(PROMPT)
        with pytest.raises(httpx.ReadError):
            await anext(aiter(stream(response)))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST"])
async def test_a_request_on_a_connection_that_closes_under_it_is_sent_once(
    transport: AiohttpTransport, method: str
) -> None:
    async with FakeUpstream(wire=[raw(head(204)), wire.close_before_headers]) as upstream:
        await fetch(transport, request(upstream.url, method))
        with pytest.raises(httpx.RemoteProtocolError, match="Server disconnected without sending a response"):
            await fetch(transport, request(upstream.url, method))

        assert upstream.methods == {method: 2}
        assert len(upstream.connections) == 1


@pytest.mark.parametrize("size", [0, 1_000_000])
def test_nothing_is_written_on_a_connection_that_is_lost(size: int) -> None:
    connection = Mock()
    connection.protocol.transport.is_closing.return_value = True
    made = request("http://u/", "POST", content=b"x" * size)
    OneCall(connection)._send(made, outgoing(made))
    assert connection.protocol.transport.mock_calls == [call.is_closing()]


async def test_an_idle_connection_closes_after_its_keepalive() -> None:
    async with FakeUpstream(wire=[answer()]) as upstream, AiohttpTransport(keepalive=0.05) as transport:
        await fetch(transport, request(upstream.url))
        await upstream.connections[0].closed()
        await fetch(transport, request(upstream.url))

        assert len(upstream.connections) == 2


async def test_a_keepalive_of_zero_keeps_nothing() -> None:
    async with FakeUpstream(wire=[answer()]) as upstream, AiohttpTransport(keepalive=0) as transport:
        await fetch(transport, request(upstream.url))
        await upstream.connections[0].closed()


POISON = head(200, ((b"Content-Length", b"6"),)) + b"POISON"


@pytest.mark.parametrize("extra", [POISON, POISON[:-3], POISON[:20], b"HTT"])
async def test_bytes_behind_an_answer_are_never_the_next_answer(transport: AiohttpTransport, extra: bytes) -> None:
    async with FakeUpstream(wire=[wire.trailing_bytes(extra), answer(200, (), b"mine")]) as upstream:
        assert await fetch(transport, request(upstream.url)) == (200, b"{}")
        assert await fetch(transport, request(upstream.url)) == (200, b"mine")


@pytest.mark.parametrize("extra", [POISON, POISON[:20], b"\r\n"])
async def test_bytes_on_an_idle_connection_close_it(transport: AiohttpTransport, extra: bytes) -> None:
    gate = asyncio.Event()

    async def stray(call: Call) -> None:
        await call.send(head(200, ((b"Content-Length", b"2"),)) + b"{}")
        await gate.wait()
        await call.send(extra)

    async with FakeUpstream(wire=[stray, answer(200, (), b"mine")]) as upstream:
        assert await fetch(transport, request(upstream.url)) == (200, b"{}")
        gate.set()
        await upstream.connections[0].closed(PROMPT)

        assert await fetch(transport, request(upstream.url)) == (200, b"mine")
        assert len(upstream.connections) == 2


async def test_the_pool_has_no_limit(transport: AiohttpTransport) -> None:
    gate = {0: asyncio.Event()}
    async with FakeUpstream(wire=[sse(b"data: 1\n\n", gates=gate)]) as upstream:
        calls = [asyncio.create_task(fetch(transport, request(upstream.url))) for _ in range(150)]
        await upstream.until_requests(150, within=5)
        gate[0].set()

        assert await asyncio.gather(*calls) == [(200, b"data: 1\n\n")] * 150


async def test_localhost_is_reached_without_waiting_for_another_address_family(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[answer()]) as upstream:
        async with lasting(0, 0.2):  # a connection attempt delay is 0.25 s
            assert (await fetch(transport, request(f"http://localhost:{upstream.port}/")))[0] == 200


# Failures


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (wire.close_before_headers, httpx.RemoteProtocolError),
        (wire.reset, httpx.ReadError),
        (raw(b"HTTP/1.1 200 OK\r\nContent-", close=True), httpx.RemoteProtocolError),
        (wire.garbage, httpx.RemoteProtocolError),
        (wire.huge_headers(70 * 1024), httpx.RemoteProtocolError),
        (raw(head(200, [(b"X-%d" % n, b"1") for n in range(200)])), httpx.RemoteProtocolError),
        (raw(head(200, ((b"X-A", b"a\0b"),))), httpx.RemoteProtocolError),
        (raw(head(200, ((b"X-A", b"a\rb"),))), httpx.RemoteProtocolError),
        (wire.conflicting_lengths, httpx.RemoteProtocolError),
        (wire.length_and_chunked, httpx.RemoteProtocolError),
        (raw(head(200, ((b"Content-Length", b"-2"),)) + b"{}"), httpx.RemoteProtocolError),
        (raw(head(101, ((b"Upgrade", b"websocket"), (b"Connection", b"upgrade")))), httpx.RemoteProtocolError),
        (wire.short_body, httpx.RemoteProtocolError),
        (wire.truncated_chunk, httpx.RemoteProtocolError),
        (wire.bad_chunk, httpx.RemoteProtocolError),
    ],
)
async def test_a_broken_answer_is_an_httpx_error_and_the_next_request_works(
    transport: AiohttpTransport, script: WireScript, error: type[Exception]
) -> None:
    async with FakeUpstream(wire=[script, answer()]) as upstream:
        with pytest.raises(error) as failed:
            await fetch(transport, request(upstream.url))

        assert str(failed.value)
        await upstream.connections[0].closed(PROMPT)
        assert await fetch(transport, request(upstream.url)) == (200, b"{}")


@pytest.mark.parametrize("extra", [b"junk", b"HTTP/1.1 200 POISON\r\nContent-Length: 3\r\n\r\nbad", b"\0"])
async def test_an_answer_is_whole_by_its_length_and_what_comes_behind_it_is_nobodys(
    transport: AiohttpTransport, extra: bytes
) -> None:
    """Also where both come in one read, of which aiohttp forgets all; whether they do is a matter of luck."""
    async with FakeUpstream(wire=[wire.trailing_bytes(extra), answer()]) as upstream:
        for _ in range(2):
            assert await fetch(transport, request(upstream.url)) == (200, b"{}")
        await upstream.connections[0].closed(PROMPT)
        assert [each.connection for each in upstream.requests] == [0, 1]


CHUNKED, SIZED, UNSIZED = b"Transfer-Encoding: chunked", b"Content-Length: 100", b"X-Framing: none"


@pytest.mark.parametrize(
    ("framing", "how", "error"),
    [
        (CHUNKED, "cut", httpx.RemoteProtocolError),
        (CHUNKED, "reset", httpx.ReadError),
        (CHUNKED, "malformed", httpx.RemoteProtocolError),
        (SIZED, "cut", httpx.RemoteProtocolError),
        (SIZED, "reset", httpx.ReadError),
        (UNSIZED, "reset", httpx.ReadError),
    ],
)
async def test_an_answer_that_breaks_in_its_middle_gives_what_came_and_then_the_error(
    transport: AiohttpTransport, framing: bytes, how: str, error: type[Exception]
) -> None:
    gate = asyncio.Event()

    async def breaks(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        await call.send(chunked(b"good") if framing is CHUNKED else b"good")
        await gate.wait()
        if how == "cut":
            call.close()
        elif how == "reset":
            call.reset()
        else:
            await call.send(b"zz\r\nbad\r\n")
            await call.until_peer_closes()

    async with FakeUpstream(wire=[breaks]) as upstream:
        response = await transport.handle_async_request(request(upstream.url))
        pieces = aiter(stream(response))
        assert await anext(pieces) == b"good"
        gate.set()
        with pytest.raises(error):
            async with asyncio.timeout(5):
                await anext(pieces)
        await upstream.connections[0].closed(PROMPT)


async def test_what_came_before_a_break_is_given_although_it_is_read_after(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[sse(b"data: 1\n\n", ending="cut")]) as upstream:
        before = open_sockets()
        response = await transport.handle_async_request(request(upstream.url))
        await until(lambda: open_sockets() == before)

        pieces = aiter(stream(response))
        assert await anext(pieces) == b"data: 1\n\n"
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(pieces)


async def test_a_port_that_refuses_is_a_connect_error(transport: AiohttpTransport) -> None:
    with wire.refusing_url() as url, pytest.raises(httpx.ConnectError):
        await fetch(transport, request(url))


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/", "http://127.1/", "http://127.0.0.1:99999/"])
async def test_a_host_or_port_that_is_none_is_a_connect_error(transport: AiohttpTransport, url: str) -> None:
    with pytest.raises(httpx.ConnectError):
        await fetch(transport, request(url))


async def test_another_scheme_is_unsupported(transport: AiohttpTransport) -> None:
    with pytest.raises(httpx.UnsupportedProtocol):
        await fetch(transport, request("ftp://127.0.0.1/"))


async def test_connecting_that_takes_too_long_is_a_connect_timeout() -> None:
    async with (
        FakeUpstream(wire=[answer()]) as upstream,
        AiohttpTransport(keepalive=4, ssl_context=client_tls()) as transport,
    ):
        with pytest.raises(httpx.ConnectTimeout):  # a plain server waits for a request line in vain
            await fetch(transport, request(upstream.url.replace("http:", "https:"), connect=0.05))

        await upstream.connections[0].closed(PROMPT)


# TLS and proxies


async def test_https_is_verified_against_the_given_context() -> None:
    whole, endless = sse(b"data: 1\n\n"), sse(b"data: 1\n\n", ending="open")
    async with FakeUpstream(wire=[whole, whole, endless], tls=server_tls()) as upstream:
        async with AiohttpTransport(keepalive=4, ssl_context=client_tls()) as transport:
            for _ in range(2):
                assert await fetch(transport, request(upstream.url)) == (200, b"data: 1\n\n")
            assert len(upstream.connections) == 1
            response = await transport.handle_async_request(request(upstream.url))
            await stream(response).aclose()
            await upstream.connections[0].closed(PROMPT)


@pytest.mark.parametrize("trust", [None, True, ssl.create_default_context()])
async def test_an_untrusted_certificate_is_a_connect_error(trust: ssl.SSLContext | bool | None) -> None:
    async with (
        FakeUpstream(wire=[answer()], tls=server_tls()) as upstream,
        AiohttpTransport(keepalive=4, ssl_context=trust) as transport,
    ):
        with pytest.raises(httpx.ConnectError):
            await fetch(transport, request(upstream.url))

        assert upstream.requests == []


async def test_a_context_of_false_verifies_nothing() -> None:
    async with (
        FakeUpstream(wire=[answer()], tls=server_tls()) as upstream,
        AiohttpTransport(keepalive=4, ssl_context=False) as transport,
    ):
        assert (await fetch(transport, request(upstream.url)))[0] == 200


async def test_a_proxy_is_sent_the_absolute_form_and_its_credentials() -> None:
    async with FakeUpstream(wire=[answer()]) as proxy:
        async with AiohttpTransport(keepalive=4, proxy=proxy.url.replace("//", "//me:pass%20word@")) as transport:
            for _ in range(2):
                await fetch(transport, request("http://up.invalid/v1/x", extensions={"target": b"/v1/%78"}))

        assert proxy.requests[0].target == b"http://up.invalid/v1/%78"
        assert proxy.requests[0].values("host") == [b"up.invalid"]
        assert proxy.requests[0].values("proxy-authorization") == [b"Basic bWU6cGFzcyB3b3Jk"]
        assert len(proxy.connections) == 1


async def test_https_goes_through_a_tunnel_of_the_proxy() -> None:
    async def tunnel(call: Call) -> None:
        host, _, port = call.request.target.decode().partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await call.send(head(200))
        outward = asyncio.create_task(relay(call.connection.reader, writer))
        await relay(reader, call.connection.writer)
        await outward

    async def relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(2**16):
                sink.write(data)
        sink.close()

    async with FakeUpstream(wire=[answer()], tls=server_tls()) as upstream, FakeUpstream(wire=[tunnel]) as proxy:
        async with AiohttpTransport(
            keepalive=4, proxy=proxy.url.replace("//", "//me:pw@"), ssl_context=client_tls()
        ) as transport:
            for _ in range(3):
                assert await fetch(transport, request(upstream.url)) == (200, b"{}")
        await proxy.connections[0].closed()

        assert len(proxy.connections) == 1
        assert proxy.requests[0].method == "CONNECT"
        assert proxy.requests[0].values("proxy-authorization") == [b"Basic bWU6cHc="]
        assert upstream.requests[0].values("proxy-authorization") == []


async def test_a_proxy_that_refuses_the_tunnel_is_a_connect_error() -> None:
    async with FakeUpstream(wire=[answer(407)]) as proxy, AiohttpTransport(keepalive=4, proxy=proxy.url) as transport:
        with pytest.raises(httpx.ConnectError):
            await fetch(transport, request("https://up.invalid/"))


# Cancellation


async def test_cancelling_before_the_headers_closes_the_socket(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[wire.hang]) as upstream:
        task = asyncio.create_task(fetch(transport, request(upstream.url, "POST", content=b"{}")))
        await upstream.until_requests(1)

        assert await cancelled(task) < PROMPT
        await upstream.connections[0].closed(PROMPT)


async def test_cancelling_between_chunks_closes_the_socket(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[sse(b"data: 1\n\n", ending="open")]) as upstream:
        came: list[bytes] = []

        async def read() -> None:
            response = await transport.handle_async_request(request(upstream.url))
            try:
                async for piece in stream(response):
                    came.append(piece)
            finally:
                await stream(response).aclose()

        task = asyncio.create_task(read())
        await until(lambda: came == [b"data: 1\n\n"])

        assert await cancelled(task) < PROMPT
        await upstream.connections[0].closed(PROMPT)


async def test_cancelling_during_the_tls_handshake_closes_the_socket() -> None:
    connected = asyncio.Event()

    async def note(_: wire.Connection) -> None:
        connected.set()

    async with FakeUpstream(wire=[answer()], on_connect=note) as upstream:
        async with AiohttpTransport(keepalive=4, ssl_context=client_tls()) as transport:
            made = request(upstream.url.replace("http:", "https:"))
            task = asyncio.create_task(fetch(transport, made))
            await connected.wait()

            assert await cancelled(task) < PROMPT
            await upstream.connections[0].closed(PROMPT)


async def test_cancelling_at_any_step_leaves_nothing_and_the_transport_healthy(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[sse(*[b"data: x\n\n"] * 5)]) as upstream:
        for steps in range(40):
            task = asyncio.create_task(fetch(transport, request(upstream.url, "POST", stream=Streamed(b"a", b"b"))))
            for _ in range(steps):
                await asyncio.sleep(0)
            await cancelled(task)
        assert (await fetch(transport, request(upstream.url)))[0] == 200
        await until(lambda: upstream.open_connections <= 1)


async def test_cancelling_a_stalled_client_upload_ends_at_once(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[wire.hang]) as upstream:
        body = Stalled(b"some")
        task = asyncio.create_task(fetch(transport, request(upstream.url, "POST", stream=body)))
        await until(lambda: body.stalled)

        assert await cancelled(task) < PROMPT
        await upstream.connections[0].closed(PROMPT)
        assert body.ended


@pytest.mark.parametrize("streamed", [True, False])
async def test_cancelling_an_upload_that_the_upstream_does_not_read_closes_the_socket_unflushed(
    transport: AiohttpTransport, streamed: bool
) -> None:
    gate = asyncio.Event()

    async def unread(call: Call) -> None:
        call.connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await gate.wait()
        call.close()

    async with FakeUpstream(wire=[unread]) as upstream:
        pieces = [b"x" * 2**20] * 32
        body = {"stream": Streamed(*pieces)} if streamed else {"content": b"".join(pieces)}
        before = open_sockets()
        task = asyncio.create_task(fetch(transport, request(upstream.url, "POST", **body)))
        await upstream.until_requests(1)
        assert open_sockets() == before + 2  # both ends are ours

        assert await cancelled(task) < PROMPT
        await until(lambda: open_sockets() == before + 1)
        gate.set()


# Answers that come early


async def test_an_early_refusal_of_a_large_body_at_hand_is_returned(transport: AiohttpTransport) -> None:
    async with FakeUpstream(wire=[wire.early_answer(413)]) as upstream:
        assert await fetch(transport, request(upstream.url, "POST", stream=Body(bytes(32 * 2**20)))) == (
            413,
            b'{"error": {}}',
        )
        await upstream.connections[0].closed()


@pytest.mark.parametrize("body", [Stalled(b"some"), Streamed(*[b"x" * 2**16] * 2000)])
async def test_an_early_refusal_is_returned_and_stops_the_upload(transport: AiohttpTransport, body: Streamed) -> None:
    async with FakeUpstream(wire=[wire.early_answer(413)]) as upstream:
        response = await transport.handle_async_request(request(upstream.url, "POST", stream=body))
        assert response.status_code == 413
        await until(lambda: body.ended)

        assert b"".join([piece async for piece in stream(response)]) == b'{"error": {}}'
        await upstream.connections[0].closed()


async def test_an_upload_that_is_complete_by_its_length_need_not_end_for_its_connection_to_be_used_again(
    transport: AiohttpTransport,
) -> None:
    async with FakeUpstream(wire=[answer()]) as upstream:
        for _ in range(2):
            made = request(upstream.url, "POST", stream=Stalled(b"123456"), headers={"Content-Length": "6"})
            assert await fetch(transport, made) == (200, b"{}")

        assert len(upstream.connections) == 1


async def test_an_upload_whose_connection_breaks_is_a_network_error(transport: AiohttpTransport) -> None:
    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 2**16
                await asyncio.sleep(0)

    async def reset_unread(call: Call) -> None:
        call.reset()

    async with FakeUpstream(wire=[reset_unread]) as upstream:
        with pytest.raises(httpx.NetworkError):
            await fetch(transport, request(upstream.url, "POST", stream=Endless()))


async def test_an_early_acceptance_lets_the_upload_go_on(transport: AiohttpTransport) -> None:
    async def echo(call: Call) -> None:
        await call.send(head(200, ((b"Transfer-Encoding", b"chunked"),)))
        await call.send(chunked(await call.read_body()) + b"0\r\n\r\n")

    started = asyncio.Event()

    class Late(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"one "
            await started.wait()
            yield b"two"

    async with FakeUpstream(wire=[echo]) as upstream:
        response = await transport.handle_async_request(request(upstream.url, "POST", stream=Late()))
        started.set()
        assert b"".join([piece async for piece in stream(response)]) == b"one two"


async def test_an_upload_that_fails_after_the_answer_began_is_told_to_its_reader(transport: AiohttpTransport) -> None:
    started = asyncio.Event()

    class Late(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"one "
            await started.wait()
            raise ValueError("the client left")

    async def begin(call: Call) -> None:
        await call.send(head(200, ((b"Transfer-Encoding", b"chunked"),)))
        await call.until_peer_closes()

    async with FakeUpstream(wire=[begin]) as upstream:
        response = await transport.handle_async_request(request(upstream.url, "POST", stream=Late()))
        started.set()
        with pytest.raises(ValueError, match="the client left"):
            await anext(aiter(stream(response)))
        await upstream.connections[0].closed(PROMPT)


async def test_an_upstream_that_ends_while_it_does_not_read_is_noticed(transport: AiohttpTransport) -> None:
    async def half_close(call: Call) -> None:
        call.connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        call.connection.writer.write_eof()
        await gate.wait()

    gate = asyncio.Event()
    async with FakeUpstream(wire=[half_close]) as upstream:
        with pytest.raises(httpx.RemoteProtocolError):
            async with asyncio.timeout(5):
                await fetch(transport, request(upstream.url, "POST", content=b"x" * 2**25))
        gate.set()


# The end of a transport and of its loop


async def test_closing_the_transport_ends_calls_and_idle_connections() -> None:
    transport = AiohttpTransport(keepalive=4)
    async with FakeUpstream(wire=[answer(), wire.hang, sse(b"data: 1\n\n", ending="open")]) as upstream:
        await fetch(transport, request(upstream.url))
        waiting = asyncio.create_task(fetch(transport, request(upstream.url)))
        await upstream.until_requests(2)
        response = await transport.handle_async_request(request(upstream.url))
        pieces = aiter(stream(response))
        await anext(pieces)
        reading = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)

        await transport.aclose()
        await transport.aclose()

        async with asyncio.timeout(PROMPT):
            with pytest.raises(httpx.TransportError):
                await waiting
            with pytest.raises(httpx.ReadError):
                await reading
        for connection in upstream.connections:
            await connection.closed(PROMPT)
        with pytest.raises(httpx.ConnectError):
            await fetch(transport, request(upstream.url))


async def test_a_transport_that_was_never_used_closes() -> None:
    transport = AiohttpTransport(keepalive=4)
    await transport.aclose()
    transport.abandon()


uvloop.new_event_loop().close()  # libuv opens a pipe with its first loop, and keeps it for the process


@contextlib.contextmanager
def upstream_elsewhere(*scripts: WireScript, tls: bool) -> Iterator[FakeUpstream]:
    """A scripted upstream on an event loop in another thread, which stays when a client's loop ends."""
    upstream = FakeUpstream(wire=scripts, tls=server_tls() if tls else None)
    with asyncio.Runner() as runner, ThreadPoolExecutor(1) as thread:
        ready, done = threading.Event(), asyncio.Event()

        async def serve() -> None:
            async with upstream:
                ready.set()
                await done.wait()
                for connection in upstream.connections:
                    await connection.closed()

        serving = thread.submit(runner.run, serve())
        assert ready.wait(5)
        try:
            yield upstream
        finally:
            runner.get_loop().call_soon_threadsafe(done.set)
            serving.result(5)


LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])


@LOOPS
@pytest.mark.parametrize("tls", [False, True])
def test_a_body_in_large_pieces_arrives_whole_on_every_loop(
    tls: bool, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    pieces = [os.urandom(size) for size in (1, 300_000, 0, 2_000_000, 70_000)]

    async def send(transport: AiohttpTransport, url: str) -> tuple[int, bytes]:
        got = await fetch(transport, request(url, "POST", stream=Streamed(*pieces)))
        await transport.aclose()
        return got

    with upstream_elsewhere(answer(), tls=tls) as upstream:
        transport = AiohttpTransport(keepalive=60, ssl_context=client_tls())
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(send(transport, upstream.url)) == (200, b"{}")
        assert upstream.requests[0].body == b"".join(pieces)
        assert upstream.requests[0].values("transfer-encoding") == [b"chunked"]


@LOOPS
@pytest.mark.parametrize("tls", [False, True])
def test_a_large_body_at_hand_arrives_whole_on_every_loop_and_its_connection_is_used_again(
    tls: bool, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    pieces = [b"{", memoryview(os.urandom(3_000_000)), b"", os.urandom(100_000), b"}"]

    async def send(transport: AiohttpTransport, url: str) -> list[tuple[int, bytes]]:
        got = [await fetch(transport, request(url, "POST", stream=Body(*pieces))) for _ in range(2)]
        await transport.aclose()
        return got

    with upstream_elsewhere(answer(), tls=tls) as upstream:
        transport = AiohttpTransport(keepalive=60, ssl_context=client_tls())
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(send(transport, upstream.url)) == [(200, b"{}")] * 2
        for seen in upstream.requests:
            assert seen.body == b"".join(pieces)
            assert seen.values("content-length") == [b"3100002"]
        assert len(upstream.connections) == 1


@LOOPS
@pytest.mark.parametrize("tls", [False, True])
def test_a_loop_that_ends_in_order_closes_its_idle_connections_without_a_word(
    tls: bool, new_loop: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    with upstream_elsewhere(answer(), tls=tls) as upstream:
        transport = AiohttpTransport(keepalive=60, ssl_context=client_tls())
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(fetch(transport, request(upstream.url))) == (200, b"{}")
    gc.collect()

    assert caplog.records == []


@pytest.mark.parametrize("tls", [False, True])
def test_a_loop_that_was_just_closed_is_abandoned_without_a_word(tls: bool, caplog: pytest.LogCaptureFixture) -> None:
    with upstream_elsewhere(sse(b"data: 1\n\n", ending="open"), answer(), tls=tls) as upstream:
        transport = AiohttpTransport(keepalive=60, ssl_context=client_tls())
        loop = asyncio.new_event_loop()
        reading = loop.run_until_complete(transport.handle_async_request(request(upstream.url)))
        assert loop.run_until_complete(fetch(transport, request(upstream.url))) == (200, b"{}")
        loop.close()

        transport.abandon()
        transport.abandon()
        assert len(upstream.connections) == 2
    with pytest.raises(StopIteration):  # done at once, with no loop to wait on
        stream(reading).aclose().send(None)
    del transport, reading
    gc.collect()

    assert caplog.records == []
