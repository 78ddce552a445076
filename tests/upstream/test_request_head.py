from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from openai_gateway_asgi.upstream import request_head
from openai_gateway_asgi.upstream.request_head import outgoing


class Streamed(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"never read here"


def request(
    method: str = "POST",
    headers: list[tuple[bytes, bytes]] | None = None,
    body: bytes | None = b"{}",
    target: bytes | None = None,
    url: str = "http://up.test:81/v1/x?a=b",
) -> httpx.Request:
    """A request whose headers are those given and nothing else; a body of None is streamed."""
    stream = Streamed() if body is None else httpx.ByteStream(body)
    made = httpx.Request(method, url, stream=stream, extensions={} if target is None else {"target": target})
    made.headers = httpx.Headers([] if headers is None else headers)
    return made


def lines(made: httpx.Request) -> list[bytes]:
    head = outgoing(made).head
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


def test_the_head_is_the_request_line_the_host_the_headers_as_given_and_the_framing() -> None:
    made = request(headers=[(b"X-B", b"1"), (b"x-a", b"2"), (b"X-B", b"3")])

    assert lines(made) == [
        b"POST /v1/x?a=b HTTP/1.1",
        b"Host: up.test:81",
        b"X-B: 1",
        b"x-a: 2",
        b"X-B: 3",
        b"Content-Length: 2",
    ]


def test_a_host_that_is_given_stands_where_it_was_given() -> None:
    assert lines(request("GET", [(b"Accept", b"*/*"), (b"host", b"other")], b""))[1:] == [
        b"Accept: */*",
        b"host: other",
    ]


@pytest.mark.parametrize(
    "target",
    [b"/v1/%2e%2e/x", b"/a//b;c=d?e=f%20g", b"/models/org%2Fmodel", b"/%zz\\", b"/\xc3\xa9", b"*"],
)
def test_a_target_given_as_an_extension_goes_out_byte_for_byte(target: bytes) -> None:
    assert lines(request(target=target))[0] == b"POST " + target + b" HTTP/1.1"


def test_the_target_of_the_url_is_not_quoted_again() -> None:
    made = request(url="http://up.test/models/org%2Fm%61odel?q=%41")

    assert lines(made)[0] == b"POST /models/org%2Fm%61odel?q=%41 HTTP/1.1"


def test_a_proxy_gets_the_absolute_form_and_its_own_fields() -> None:
    made = request("GET", [], b"")

    head = outgoing(made, origin=b"http://up.test:81", extra=[(b"Proxy-Authorization", b"Basic eA==")]).head

    assert head.startswith(b"GET http://up.test:81/v1/x?a=b HTTP/1.1\r\nHost: up.test:81\r\n")
    assert b"\r\nProxy-Authorization: Basic eA==\r\n" in head


@pytest.mark.parametrize("value", [b"caf\xc3\xa9", b"caf\xe9", b"\xff\xfe", b"tab\tinside", b""])
def test_header_values_go_out_byte_for_byte(value: bytes) -> None:
    assert lines(request(headers=[(b"X-Value", value)]))[2] == b"X-Value: " + value


@pytest.mark.parametrize(
    ("method", "headers", "body", "framing"),
    [
        ("GET", [], b"", []),
        ("DELETE", [], b"", []),
        ("DELETE", [], b"{}", [b"Content-Length: 2"]),
        ("POST", [], b"", [b"Content-Length: 0"]),
        ("PUT", [], b"abc", [b"Content-Length: 3"]),
        ("POST", [(b"content-length", b"2")], b"{}", [b"content-length: 2"]),
        ("POST", [], None, [b"Transfer-Encoding: chunked"]),
        ("POST", [(b"Transfer-Encoding", b"Chunked")], None, [b"Transfer-Encoding: Chunked"]),
        ("POST", [(b"Content-Length", b"9")], None, [b"Content-Length: 9"]),
    ],
)
def test_the_framing_is_completed_and_never_doubled(
    method: str, headers: list[tuple[bytes, bytes]], body: bytes | None, framing: list[bytes]
) -> None:
    assert lines(request(method, headers, body))[2:] == framing


@pytest.mark.parametrize(
    ("body", "length"),
    [(b"{}", None), (None, 9)],
)
def test_a_body_comes_whole_or_with_the_length_to_be_streamed(body: bytes | None, length: int | None) -> None:
    headers = [] if length is None else [(b"Content-Length", b"%d" % length)]

    made = outgoing(request(headers=headers, body=body))

    assert (made.body and b"".join(made.body), made.length) == (body, length)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([(b"Content-Length", b"3")], b"{}"),
        ([(b"Content-Length", b"2"), (b"content-length", b"2")], b"{}"),
        ([(b"Content-Length", b"2"), (b"Transfer-Encoding", b"chunked")], b"{}"),
        ([(b"Content-Length", b"2"), (b"Transfer-Encoding", b"chunked")], None),
        ([(b"Transfer-Encoding", b"chunked")], b"{}"),
        ([(b"Transfer-Encoding", b"gzip, chunked")], None),
        ([(b"Transfer-Encoding", b"chunked"), (b"transfer-encoding", b"chunked")], None),
        ([(b"Content-Length", b"+2")], b"{}"),
        ([(b"Content-Length", b"2 ")], b"{}"),
        ([(b"Content-Length", b"-1")], None),
        ([(b"Content-Length", b"")], None),
        ([(b"Host", b"one"), (b"Host", b"two")], b"{}"),
    ],
)
def test_framing_that_could_be_read_as_two_requests_is_refused(
    headers: list[tuple[bytes, bytes]], body: bytes | None
) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        outgoing(request(headers=headers, body=body))


@pytest.mark.parametrize("value", [b"a\r\nX-Evil: 1", b"a\nb", b"a\rb", b"a\0b", b"\r", b"end\n", b"a\n\rb"])
def test_a_value_with_a_line_break_or_nul_is_refused(value: bytes) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        outgoing(request(headers=[(b"X-Value", value)]))


@pytest.mark.parametrize("name", [b"", b"X Y", b"X:", b"X\r\nY", b"Content-Length ", b"X\xe9", b" X"])
def test_a_name_that_is_no_token_is_refused(name: bytes) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        outgoing(request(headers=[(name, b"1")]))


@pytest.mark.parametrize("target", [b"/a b", b"/a\r\nHost: evil", b"/a\0", b"/\x7f", b"/a\tb"])
def test_a_target_with_a_space_or_a_control_character_is_refused(target: bytes) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        outgoing(request(target=target))


@pytest.mark.parametrize("method", ["GET /evil HTTP/1.1\r\nX:", "", "G T", "GÉT"])
def test_a_method_that_is_no_token_is_refused(method: str) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        outgoing(request(method))


def test_the_refusals_do_not_repeat_the_value() -> None:
    with pytest.raises(httpx.LocalProtocolError) as refused:
        outgoing(request(headers=[(b"Authorization", b"Bearer sk-secret\n")]))

    assert "sk-secret" not in str(refused.value)


def test_ever_new_names_are_forgotten_and_the_usual_ones_sent_all_the_same() -> None:
    for number in range(3_000):
        name = b"x-new-%d" % number
        assert name + b": 1\r\n" in outgoing(request(headers=[(b"host", b"up"), (name, b"1")])).head
    assert len(request_head._known_names) <= request_head._MOST_KNOWN
    with pytest.raises(httpx.LocalProtocolError):
        outgoing(request(headers=[(b"host", b"up"), (b"Host", b"other")]))
