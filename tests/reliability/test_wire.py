"""Hostile requests on raw sockets, to uvicorn with both its parsers. The judge is what the upstream got on its socket:
exactly one well-formed request that says what was checked, or none.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass

import pytest

from openai_gateway_asgi import Timeouts
from openai_gateway_asgi.testing import FakeRequest, FakeUpstream
from openai_gateway_asgi.testing.wire import Call, answer
from tests.reliability.clients import Client
from tests.reliability.gateways import CHAT, at, chat, make_gateway
from tests.support.servers import Http, serve

BODY = json.dumps(chat()).encode()
EVIL = json.dumps(chat(model="secret")).encode()
SMUGGLED = b"DELETE /v1/files/victim HTTP/1.1\r\nHost: upstream\r\nContent-Length: 0\r\n\r\n"
SMUGGLED_CHAT = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer evil\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(EVIL), EVIL)
)
ANN = b"Authorization: Bearer ann"
JSON = b"Content-Type: application/json"
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
TARGET = CHAT.encode()

ONE, NONE, EITHER = "one", "none", "either"


def raw(*lines: bytes, body: bytes = BODY, target: bytes = TARGET, method: bytes = b"POST", host: bytes = b"Host: gw", version: bytes = b"HTTP/1.1") -> bytes:  # fmt: skip
    head = [b"%b %b %b" % (method, target, version), *([host] if host else []), ANN, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def chunks(body: bytes = BODY, trailer: bytes = b"", last: bytes = b"0") -> bytes:
    return b"%x\r\n%b\r\n%b\r\n%b\r\n" % (len(body), body, last, trailer)


@dataclass(frozen=True)
class Attack:
    name: str
    data: bytes
    expect: str = EITHER


def framing() -> list[Attack]:
    short, zero = b"Content-Length: 5", b"Content-Length: 0"
    return [
        Attack("plain", raw(JSON, LENGTH), ONE),
        Attack("chunked", raw(JSON, CHUNKED, body=chunks()), ONE),
        Attack("cl-te", raw(JSON, LENGTH, CHUNKED, body=chunks()), NONE),
        Attack("cl-te-smuggle", raw(JSON, zero, CHUNKED, body=chunks() + SMUGGLED), NONE),
        Attack("te-cl", raw(JSON, CHUNKED, short, body=chunks() + SMUGGLED), NONE),
        Attack("te-cl-0-chunk", raw(JSON, CHUNKED, LENGTH, body=b"0\r\n\r\n" + SMUGGLED), NONE),
        Attack("two-lengths", raw(JSON, LENGTH, short), NONE),
        Attack("two-lengths-same", raw(JSON, LENGTH, LENGTH)),
        Attack("length-list", raw(JSON, LENGTH + b", " + b"%d" % len(BODY))),
        Attack("length-plus", raw(JSON, b"Content-Length: +%d" % len(BODY)), NONE),
        Attack("length-hex", raw(JSON, b"Content-Length: 0x%x" % len(BODY)), NONE),
        Attack("length-negative", raw(JSON, b"Content-Length: -1"), NONE),
        Attack("length-spaces", raw(JSON, b"Content-Length:   %d  " % len(BODY))),
        Attack("length-zeros", raw(JSON, b"Content-Length: 000%d" % len(BODY))),
        Attack("length-huge", raw(JSON, b"Content-Length: " + b"9" * 30), NONE),
        Attack("length-name-space", raw(JSON, b"Content-Length : %d" % len(BODY)), NONE),
        Attack("length-underscore", raw(JSON, b"Content_Length: 5", LENGTH), ONE),
        Attack("no-length", raw(JSON), NONE),
        Attack("body-beyond-length", raw(JSON, LENGTH, body=BODY + SMUGGLED)),
        Attack("chat-beyond-length", raw(JSON, LENGTH, body=BODY + SMUGGLED_CHAT)),
        Attack("te-identity", raw(JSON, b"Transfer-Encoding: identity", LENGTH), NONE),
        Attack("te-gzip", raw(JSON, b"Transfer-Encoding: gzip, chunked", body=chunks())),
        Attack("te-chunked-identity", raw(JSON, b"Transfer-Encoding: chunked, identity", body=chunks()), NONE),
        Attack("te-xchunked", raw(JSON, b"Transfer-Encoding: xchunked", LENGTH), NONE),
        Attack("te-space", raw(JSON, b"Transfer-Encoding : chunked", LENGTH), NONE),
        Attack("te-tab", raw(JSON, b"Transfer-Encoding:\tchunked", body=chunks())),
        Attack("te-vt", raw(JSON, b"Transfer-Encoding: \x0bchunked", LENGTH), NONE),
        Attack("te-upper", raw(JSON, b"Transfer-Encoding: CHUNKED", body=chunks())),
        Attack("te-quoted", raw(JSON, b'Transfer-Encoding: "chunked"', LENGTH), NONE),
        Attack("te-twice", raw(JSON, CHUNKED, CHUNKED, body=chunks()), NONE),
        Attack("te-folded", raw(JSON, b"Transfer-Encoding:\r\n chunked", body=chunks())),
        Attack("te-newline", raw(JSON, b"X: y\nTransfer-Encoding: chunked", LENGTH), NONE),
        Attack("te-underscore", raw(JSON, b"Transfer_Encoding: chunked", LENGTH), ONE),
        Attack("te-nul", raw(JSON, b"Transfer-Encoding: chunked\0", LENGTH), NONE),
        Attack("chunk-extension", raw(JSON, CHUNKED, body=b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))),
        Attack("chunk-extension-newline", raw(JSON, CHUNKED, body=b"%x;\nxx\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))),
        Attack("chunk-size-plus", raw(JSON, CHUNKED, body=b"+%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))),
        Attack("chunk-size-0x", raw(JSON, CHUNKED, body=b"0x%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)), NONE),
        Attack("chunk-size-zeros", raw(JSON, CHUNKED, body=b"0000%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))),
        Attack("chunk-size-huge", raw(JSON, CHUNKED, body=b"f" * 20 + b"\r\n" + BODY), NONE),
        Attack("chunk-size-bad", raw(JSON, CHUNKED, body=b"zz\r\n" + BODY), NONE),
        Attack("chunk-lf-only", raw(JSON, CHUNKED, body=b"%x\n%b\n0\n\n" % (len(BODY), BODY))),
        Attack("chunk-too-long", raw(JSON, CHUNKED, body=b"%x\r\n%bXX\r\n0\r\n\r\n" % (len(BODY), BODY)), NONE),
        Attack("chunk-then-smuggled", raw(JSON, CHUNKED, body=chunks() + SMUGGLED)),
        Attack("trailer-auth", raw(JSON, CHUNKED, body=chunks(trailer=b"Authorization: Bearer evil\r\n"))),
        Attack("trailer-length", raw(JSON, CHUNKED, body=chunks(trailer=b"Content-Length: 5\r\n"))),
        Attack("trailer-te", raw(JSON, CHUNKED, body=chunks(trailer=b"Transfer-Encoding: chunked\r\n"))),
        Attack("trailer-idempotency", raw(JSON, CHUNKED, body=chunks(trailer=b"Idempotency-Key: evil\r\n"))),
        Attack("trailer-user", raw(JSON, CHUNKED, body=chunks(trailer=b"X-OpenWebUI-User-Id: evil\r\n"))),
        Attack("trailer-endless", raw(JSON, CHUNKED, body=chunks(trailer=b"X: y\r\n" * 5000))),
        Attack("expect", raw(JSON, LENGTH, b"Expect: 100-continue"), ONE),
        Attack("expect-other", raw(JSON, LENGTH, b"Expect: evil")),
        Attack("encoded-body", raw(JSON, LENGTH, b"Content-Encoding: gzip"), NONE),
        Attack("two-types", raw(JSON, b"Content-Type: text/plain", LENGTH), NONE),
        Attack("upgrade-h2c", raw(JSON, LENGTH, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")),
        Attack("upgrade-websocket", raw(JSON, LENGTH, b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Version: 13")),
        Attack("http-1.0", raw(JSON, LENGTH, version=b"HTTP/1.0")),
        Attack("http-1.0-chunked", raw(JSON, CHUNKED, version=b"HTTP/1.0", body=chunks())),
        Attack("http-0.9", b"GET /v1/models\r\n\r\n", NONE),
        Attack("http-2.0", raw(JSON, LENGTH, version=b"HTTP/2.0")),
        Attack("preface-h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NONE),
        Attack("version-junk", raw(JSON, LENGTH, version=b"HTTP/1.1 evil"), NONE),
        Attack("crlf-first", b"\r\n\r\n" + raw(JSON, LENGTH)),
        Attack("bare-lf", raw(JSON, LENGTH).replace(b"\r\n", b"\n")),
        Attack("tls-hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, NONE),
    ]  # fmt: skip


def headers() -> list[Attack]:
    return [
        Attack("connection-names-ours", raw(JSON, LENGTH, b"Connection: close, authorization, host, content-length, content-type, x-gateway-hops"), ONE),
        Attack("credentials-of-all-kinds", raw(JSON, LENGTH, b"Api-Key: evil", b"X-Api-Key: evil", b"Proxy-Authorization: evil", b"Cookie: evil=1"), ONE),
        Attack("two-authorizations", raw(JSON, LENGTH, b"Authorization: Bearer evil")),
        Attack("identity-headers", raw(JSON, LENGTH, b"X-OpenWebUI-User-Id: evil", b"X_OpenWebUI_User_Id: evil", b"X-Forwarded-User: evil", b"X-Forwarded-For: evil", b"Forwarded: for=evil", b"Via: evil"), ONE),
        Attack("azure-headers", raw(JSON, LENGTH, b"Ocp-Apim-Subscription-Key: evil", b"X-Ms-Client-Principal: evil", b"OpenAI-Organization: evil", b"OpenAI-Project: evil"), ONE),
        Attack("hop-by-hop", raw(JSON, LENGTH, b"TE: trailers", b"Trailer: X", b"Keep-Alive: 5", b"Proxy-Connection: x"), ONE),
        Attack("header-folded", raw(JSON, LENGTH, b"Idempotency-Key: a\r\n evil: b")),
        Attack("header-cr", raw(JSON, LENGTH, b"Idempotency-Key: a\rX-Evil: b")),
        Attack("header-nul", raw(JSON, LENGTH, b"Idempotency-Key: a\0evil")),
        Attack("header-high-bytes", raw(JSON, LENGTH, b"Idempotency-Key: \xff\xfe")),
        Attack("header-no-colon", raw(JSON, LENGTH, b"evil"), NONE),
        Attack("header-empty-name", raw(JSON, LENGTH, b": evil"), NONE),
        Attack("header-name-space", raw(JSON, LENGTH, b"X Evil: y"), NONE),
        Attack("header-name-odd", raw(JSON, LENGTH, b"X-\xe9vil: y")),
        Attack("header-long", raw(JSON, LENGTH, b"Idempotency-Key: " + b"x" * 100_000)),
        Attack("headers-many", raw(JSON, LENGTH, *[b"X-Stainless-%d: y" % n for n in range(500)])),
        Attack("type-junk", raw(b"Content-Type: application/json; charset=utf-16", LENGTH)),
        Attack("type-list", raw(b"Content-Type: text/plain, application/json", LENGTH), NONE),
        Attack("origin-of-another-site", raw(JSON, LENGTH, b"Origin: https://evil.test", b"Sec-Fetch-Site: cross-site"), ONE),
    ]  # fmt: skip


def hosts() -> list[Attack]:
    return [
        Attack("host-none", raw(JSON, LENGTH, host=b"")),
        Attack("host-empty", raw(JSON, LENGTH, host=b"Host:")),
        Attack("host-two", raw(JSON, LENGTH, b"Host: evil")),
        Attack("host-path", raw(JSON, LENGTH, host=b"Host: gw/v1/config?y=")),
        Attack("host-at", raw(JSON, LENGTH, host=b"Host: gw@evil")),
        Attack("host-junk", raw(JSON, LENGTH, host=b"Host: \x80 evil")),
        Attack("target-absolute", raw(JSON, LENGTH, target=b"http://evil.test" + TARGET)),
        Attack("target-absolute-https", raw(JSON, LENGTH, target=b"https://gw:443" + TARGET)),
        Attack("target-authority", raw(JSON, LENGTH, target=b"evil.test:443"), NONE),
        Attack("target-star", raw(JSON, LENGTH, target=b"*"), NONE),
        Attack("target-empty", raw(JSON, LENGTH, target=b""), NONE),
        Attack("connect", raw(method=b"CONNECT", target=b"evil.test:443", body=b""), NONE),
        Attack("trace", raw(method=b"TRACE", body=b""), NONE),
        Attack("method-odd", raw(JSON, LENGTH, method=b"FOO"), NONE),
        Attack("method-lower", raw(JSON, LENGTH, method=b"post"), NONE),
        Attack("method-nul", raw(JSON, LENGTH, method=b"PO\0ST"), NONE),
        Attack("get-with-body", raw(JSON, LENGTH, method=b"GET"), NONE),
        Attack("options", raw(JSON, LENGTH, method=b"OPTIONS"), NONE),
    ]  # fmt: skip


PATHS = [
    b"/v1/chat/completions/", b"/v1//chat/completions", b"//v1/chat/completions", b"//evil.test/v1/chat/completions",
    b"/v1/./chat/completions", b"/v1/x/../chat/completions", b"/v1/../v1/chat/completions", b"/../v1/chat/completions",
    b"/v1/%2e%2e/v1/chat/completions", b"/v1/%2E/chat/completions", b"/v1%2fchat%2fcompletions", b"/v1/chat%2fcompletions",
    b"/v1/chat%2Fcompletions", b"/v1/chat%5ccompletions", b"/v1/chat\\completions", b"/v1/chat/completions%00",
    b"/v1/chat/completions%00.png", b"/v1/chat/completions%0d%0aX:%20y", b"/v1/chat/completions%20", b"/v1/chat/completions;x=y",
    b"/v1/chat/completions%3bx", b"/v1/chat/completions%3fmodel=secret", b"/v1/chat/completions%23", b"/v1/chat/completions#x",
    b"/v1/chat/completions%2523", b"/v1/chat/completions%252f", b"/v1/chat/completions%", b"/v1/chat/completions%zz",
    b"/v1/chat/completions%c0%af", b"/v1/chat/completions%ff", b"/v1/chat/completion\xc3\xa9", b"/V1/chat/completions",
    b"/v1/Chat/completions", b"/v1/chat/completions/..", b"/v1/chat/completions/../../files", b"/v1/%63hat/completions",
    b"/v1/chat/%63ompletions", b"/v1/v1/chat/completions", b"/chat/completions", b"/v1/chat/completions?model=secret",
    b"/v1/chat/completions?api_base=http://evil", b"/v1/chat/completions?x=y%0d%0aEvil:%20z", b"/v1/chat/completions?x=\x7f",
    b"/v1/chat/completions?" + b"x" * 10_000, b"/" + b"a/" * 5000, b"/v1/chat/completions?%6dodel=secret", b"/v1/engines/secret/chat/completions",
    b"/v1/openai/deployments/secret/chat/completions", b"/openai/deployments/secret/chat/completions", b"/v1/unknown", b"/", b"/v1",
]  # fmt: skip


def paths() -> list[Attack]:
    return [Attack(repr(path)[:60], raw(JSON, LENGTH, target=path)) for path in PATHS]


ATTACKS = [*framing(), *headers(), *hosts(), *paths()]

MAY_ARRIVE = re.compile(
    rb"host|accept-encoding|accept|content-type|user-agent|openai-beta|idempotency-key|x-client-request-id"
    rb"|x-stainless-[a-z0-9-]+|traceparent|tracestate|range|if-[a-z-]+|authorization|x-gateway-hops|content-length"
)
TARGETS = re.compile(rb"/v1/chat/completions(\?[!-~]*)?")


async def record(call: Call) -> None:
    await call.read_body()
    await answer(200, body=b'{"id": "1"}')(call)


def judge(request: FakeRequest, upstream: FakeUpstream) -> None:
    """The request is one that the gateway means."""
    names = [name.lower() for name, _ in request.headers]
    values = dict(request.headers)
    assert request.method == "POST"
    assert TARGETS.fullmatch(request.target), request.target
    assert b"secret" not in request.target
    assert all(MAY_ARRIVE.fullmatch(name) for name in names), names
    assert len(set(names)) == len(names) or all(
        name.startswith(b"x-stainless-") for name in names if names.count(name) > 1
    )
    assert request.values("host") == [b"127.0.0.1:%d" % upstream.port]
    assert request.values("content-length") == [b"%d" % len(request.body)]
    assert request.values("authorization") == [b"Bearer sk-ours"]
    assert b"evil" not in b"".join(value for name, value in values.items() if name.lower() != b"idempotency-key")
    assert json.loads(request.body)["model"] == "gpt"
    assert request.head.count(b"\n") == request.head.count(b"\r\n") == len(names) + 2


async def attack(attack: Attack, http: Http) -> str | None:
    """What went wrong with it, if anything did."""
    async with FakeUpstream(wire=[record]) as upstream:
        gateway = make_gateway(
            [at(upstream, models=["gpt", "secret"], api_key="sk-ours")], allowed=only_gpt, timeouts=Timeouts()
        )
        async with serve(gateway, http=http) as server:
            client = await Client.to(server)
            await client.send(attack.data)
            answered = await heard(client)
            await client.close()
        await gateway.aclose()
        try:
            assert len(upstream.requests) <= 1, [request.head for request in upstream.requests]
            for request in upstream.requests:
                judge(request, upstream)
                assert not upstream.connections[0].reader._buffer  # type: ignore[attr-defined]
            if attack.expect != EITHER:
                assert len(upstream.requests) == (attack.expect == ONE)
            statuses = re.findall(rb"^HTTP/1\.[01] (\d{3})", answered, re.MULTILINE)
            assert not any(status.startswith(b"5") for status in statuses), answered
            assert b"Traceback" not in answered
        except AssertionError as error:
            return f"{attack.name}: {error}"
    return None


def only_gpt(user: object, model: object) -> bool:
    return getattr(model, "id", None) == "gpt"


async def heard(client: Client) -> bytes:
    """What comes back, until the server has nothing more to say for a while."""
    data = b""
    try:
        while piece := await asyncio.wait_for(client.reader.read(65536), 0.3 if not data else 0.1):
            data += piece
    except (TimeoutError, ConnectionError):
        pass
    return data


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("part", [framing, headers, hosts, paths], ids=lambda part: part.__name__)
async def test_the_upstream_gets_one_well_formed_request_or_none(http: Http, part: object) -> None:
    attacks = part()  # type: ignore[operator]
    wrong = [fault for fault in await asyncio.gather(*[attack(each, http) for each in attacks]) if fault is not None]
    assert not wrong, "\n".join(wrong)
