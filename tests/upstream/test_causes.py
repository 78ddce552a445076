"""What an operator is told of why an upstream did not answer: faults over sockets, read off what the transport raised."""

from __future__ import annotations

import asyncio
import errno
import gc
import pickle
import weakref

import httpx
import pytest

from openai_gateway_asgi.causes import Cause, Failure, one_line
from openai_gateway_asgi.errors import UpstreamError
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import (
    Connection,
    WireScript,
    answer,
    bad_chunk,
    close_before_headers,
    garbage,
    hang,
    raw,
    refusing_url,
    reset,
)
from openai_gateway_asgi.upstream.response_reads import upstream_failure
from openai_gateway_asgi.upstream.transport import AiohttpTransport
from tests.support.certificates import server_tls


async def failure_of(url: str, connect: float = 1.0) -> UpstreamError:
    transport = AiohttpTransport(keepalive=4.0)
    request = httpx.Request("GET", url, extensions={"timeout": {"connect": connect}})
    try:
        response = await transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        try:
            async for _ in response.stream:
                pass
        finally:
            await response.aclose()
    except Exception as error:
        failure = upstream_failure(error)
        assert isinstance(failure, UpstreamError)
        return failure
    finally:
        await transport.aclose()
    raise AssertionError("it answered")


def cause_of(failure: UpstreamError) -> Cause:
    assert failure.cause is not None
    return failure.cause


async def test_a_port_on_which_nobody_listens() -> None:
    with refusing_url() as url:
        failure = await failure_of(url)
    cause = cause_of(failure)
    assert failure.failure is Failure.REFUSED
    assert (cause.what, cause.errno) == ("connect", errno.ECONNREFUSED)
    assert cause.message.startswith("Connection refused")
    assert "127.0.0.1" in cause.message


async def test_a_name_that_there_is_not() -> None:
    failure = await failure_of("http://nobody.invalid/v1")
    cause = cause_of(failure)
    assert failure.failure is Failure.REFUSED
    assert cause.what == "dns"
    assert cause.message


async def test_a_certificate_that_nobody_trusts() -> None:
    async with FakeUpstream(wire=[answer()], tls=server_tls()) as upstream:
        cause = cause_of(await failure_of(upstream.url))
    assert cause.what == "tls"
    assert "self-signed certificate" in cause.message
    assert cause.error == "SSLCertVerificationError"


async def test_tls_where_there_is_none() -> None:
    async def plain(connection: Connection) -> None:
        connection.writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with FakeUpstream(wire=[answer()], on_connect=plain) as upstream:
        cause = cause_of(await failure_of(upstream.url.replace("http:", "https:")))
    assert (cause.what, cause.message) == ("tls", "WRONG_VERSION_NUMBER")


BROKEN: list[tuple[WireScript, Failure, str]] = [
    (reset, Failure.CUT, "network"),
    (close_before_headers, Failure.CUT, "http"),
    (garbage, Failure.CUT, "http"),
    (bad_chunk, Failure.CUT, "http"),
    (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", close=True), Failure.CUT, "http"),
]


@pytest.mark.parametrize(("script", "failure", "what"), BROKEN)
async def test_a_connection_that_breaks(script: WireScript, failure: Failure, what: str) -> None:
    async with FakeUpstream(wire=[script]) as upstream:
        failed = await failure_of(upstream.url)
    cause = cause_of(failed)
    assert (failed.failure, cause.what) == (failure, what)
    assert cause.message
    if script is reset:
        assert cause.errno == errno.ECONNRESET


def test_a_connection_that_takes_too_long() -> None:
    failure = upstream_failure(httpx.ConnectTimeout("Connecting took too long."))
    assert isinstance(failure, UpstreamError)
    assert (failure.failure, cause_of(failure).what) == (Failure.UNREACHED, "connect_timeout")

    failure = upstream_failure(httpx.ReadTimeout(""))
    assert isinstance(failure, UpstreamError)
    assert (failure.failure, cause_of(failure).what) == (Failure.TIMEOUT, "timeout")


def test_a_transport_of_the_hosts_that_raises_what_it_likes() -> None:
    """Its words are not among what is told of every attempt: they may hold what it knows, such as a key."""
    for error in (RuntimeError("no luck with sk-1"), httpx.ReadError("sent sk-1")):
        failure = upstream_failure(error)
        assert isinstance(failure, UpstreamError)
        cause = cause_of(failure)
        assert (failure.failure, cause.what, cause.error) == (Failure.CUT, "http", type(error).__name__)
        assert cause.message == ""


def test_exceptions_in_a_circle_end_somewhere() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert isinstance(upstream_failure(first), UpstreamError)


@pytest.mark.parametrize(
    ("text", "line"), [("a\r\nb\tc", "a b c"), ("\x1b[31mred\x00", "[31mred"), ("x" * 999, "x" * 300), ("", "")]
)
def test_a_message_is_one_printable_line(text: str, line: str) -> None:
    assert one_line(text) == line


async def test_a_cause_keeps_nothing_alive() -> None:
    """It is plain data: an exception knows its frames, and they the body of a request."""

    class Big:
        pass

    held = Big()
    alive = weakref.ref(held)
    try:
        raise httpx.ReadError("broke") from OSError(errno.ECONNRESET, "reset")
    except httpx.ReadError as error:
        error.body = held  # type: ignore[attr-defined]
        cause = cause_of(upstream_failure(error))  # type: ignore[arg-type]
    del held
    gc.collect()
    assert alive() is None
    assert pickle.loads(pickle.dumps(cause)) == cause
    assert (cause.what, cause.errno) == ("network", errno.ECONNRESET)


async def test_a_silent_one_is_the_callers_to_give_up() -> None:
    async with FakeUpstream(wire=[hang]) as upstream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await failure_of(upstream.url)
