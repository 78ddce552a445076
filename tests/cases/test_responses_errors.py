"""Cases 108 to 112, 117, 118, 123 and 124: answers and failures as the client gets them.

Where 110 wants HTML to stay HTML the gateway hands it on as a download: no page of an upstream's may run on the host's
origin. JSON without its content type (124) is a 415.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from openai_gateway_asgi import Settings, Timeouts, Upstream
from openai_gateway_asgi.testing import Answer, FakeUpstream, error_answer, json_answer, wire
from openai_gateway_asgi.testing.answers import bytes_answer

from .gateways import EAGER, MESSAGES, chat, error_of, served, upstream_a, world

CHAT = "/chat/completions"
NO_SUCH_HOST = Upstream("http://nothing-here.invalid/v1", api_key="ka", model_ids=["m1"])


async def test_case_108_a_json_answer_comes_back_as_it_is() -> None:
    body = b'{"id": "x",  "big": 12345678901234567890123, "object": "chat.completion"}'
    async with world() as w:
        w.upstream.answer(CHAT, bytes_answer(body, "application/json"))
        response = await w.chat()
        assert (response.status, response.body) == (200, body)
        assert response.header("content-type") == "application/json"
        assert response.header("content-length") == str(len(body))


async def test_case_108_status_and_useful_headers_come_back() -> None:
    useful = {
        "x-request-id": "req_up",
        "openai-processing-ms": "12",
        "openai-version": "2020-10-01",
        "x-ratelimit-remaining-tokens": "9",
        "x-ratelimit-reset-requests": "1s",
        "retry-after": "3",
        "retry-after-ms": "2500",
    }
    async with world() as w:
        w.upstream.answer(CHAT, json_answer({"a": 1}, 201, list(useful.items())))
        response = await w.chat()
        assert response.status == 201
        assert {name: response.header(name) for name in useful} == useful
        assert response.header("x-gateway-request-id") == w.records[0].request_id != "req_up"


async def test_without_an_upstreams_id_the_gateways_own_is_the_request_id() -> None:
    async with world() as w:
        response = await w.chat()
        assert response.header("x-request-id") == response.header("x-gateway-request-id") == w.records[0].request_id


async def test_case_109_a_rate_limit_comes_back_with_its_wait() -> None:
    async with world() as w:
        answer = error_answer(429, "Slow down.", code="rate_limit_exceeded", headers=[("Retry-After", "3")])
        w.upstream.answer(CHAT, answer)
        response = await w.chat()
        assert (response.status, response.header("retry-after")) == (429, "3")
        assert response.body == b"".join(answer.chunks)  # type: ignore[arg-type]
        assert len(w.upstream.requests) == 1


async def test_case_110_an_error_in_plain_text_comes_back_as_one() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, bytes_answer(b"plain bad", "text/plain; charset=utf-8", 503))
        response = await w.chat()
        assert (response.status, response.body) == (503, b"plain bad")
        assert response.header("content-type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, kind) for status in (200, 400, 502) for kind in ("image/svg+xml", "application/xml", "text/xml")),
        *((status, "text/html; charset=utf-8") for status in (400, 502)),  # with a 200 it is no answer: case 220
    ],
)
async def test_case_110_a_page_comes_back_as_a_harmless_download(status: int, kind: str) -> None:
    page = b"<script>alert(1)</script>"
    async with world() as w:
        w.upstream.answer(CHAT, bytes_answer(page, kind, status))
        response = await w.chat()
        assert (response.status, response.body) == (status, page)
        assert response.header("content-type") == "application/octet-stream"
        assert response.header("content-disposition") == "attachment"
        assert response.header("x-content-type-options") == "nosniff"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"not json", "application/json"),
        (b'{"a":1}\n{"a":2}\n', "application/x-ndjson"),
        (b"text", "text/plain"),
        (bytes(range(256)), "application/octet-stream"),
    ],
)
async def test_case_111_other_bodies_pass_with_their_type(body: bytes, kind: str) -> None:
    async with world() as w:
        w.upstream.answer(CHAT, bytes_answer(body, kind))
        response = await w.chat()
        assert (response.status, response.body, response.header("content-type")) == (200, body, kind)


async def test_case_111_a_body_without_type_or_length_passes() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, Answer([b"one ", b"two"], 200))
        response = await w.chat()
        assert (response.body, response.header("content-type")) == (b"one two", None)
        assert response.header("content-length") is None


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_stays_without(status: int) -> None:
    """Of stored objects; a model that was called and says nothing has failed (tests/cases/second/test_whole_bodies.py)."""
    async with world(settings=Settings(open_groups=frozenset({"files"}))) as w:
        w.upstream.answer("/files/file-1", Answer([], status))
        response = await w.ask("GET", "/files/file-1")
        assert (response.status, response.body) == (status, b"")


def tells_nothing(response: httpx.Response, upstream_url: str) -> None:
    """No address, no key, no traceback."""
    for secret in (upstream_url.removeprefix("http://"), "127.0.0.1", "ks", "Traceback", "aiohttp", "httpx"):
        assert secret not in response.text


async def test_case_112_an_upstream_that_refuses_connections_is_a_502() -> None:
    with wire.refusing_url() as url:
        async with served(url) as s:
            response = await s.client.post(s.url + CHAT, json=chat())
            assert response.status_code == 502
            assert response.json()["error"]["code"] == "upstream_unavailable"
            tells_nothing(response, url)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(wire.close_before_headers, id="case-112-closes"),
        pytest.param(wire.reset, id="case-112-resets"),
        pytest.param(wire.garbage, id="case-112-is-no-http"),
        pytest.param(wire.conflicting_lengths, id="case-112-two-lengths"),
        pytest.param(wire.huge_headers(200_000), id="case-112-endless-header"),
        pytest.param(wire.raw(wire.head(101, ((b"Upgrade", b"x"),))), id="case-112-switches-protocol"),
    ],
)
async def test_an_upstream_that_breaks_off_is_a_502(fault: wire.Script) -> None:
    async with FakeUpstream(wire=[fault, wire.answer()]) as upstream, served(upstream) as s:
        response = await s.client.post(s.url + CHAT, json=chat())
        assert response.status_code == 502
        assert response.json()["error"]["code"] == "upstream_unavailable"
        tells_nothing(response, upstream.url)
        assert upstream.methods == {"POST": 1}
        assert (await s.client.post(s.url + CHAT, json=chat())).status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(wire.hang, id="case-112-hangs"),
        pytest.param(wire.endless_103, id="case-112-flood-of-103"),
        pytest.param(wire.raw(wire.head(200, ((b"Content-Length", b"9"),))), id="case-112-headers-only"),
        pytest.param(wire.raw(b"HTTP/1.1 200 OK\r\nx-a: 1\r\n"), id="case-112-half-headers"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_upstream_that_does_not_answer_is_a_504(fault: wire.Script, stream: bool) -> None:
    timeouts = Timeouts(**{"first_event" if stream else "answer": 0.1})
    async with FakeUpstream(wire=[fault]) as upstream, served(upstream, timeouts=timeouts) as s:
        response = await s.client.post(s.url + CHAT, json=chat(stream=stream))
        assert response.status_code == 504
        assert response.json()["error"]["code"] == "upstream_timeout"
        tells_nothing(response, upstream.url)
        await upstream.connections[0].closed()


async def test_case_112_a_name_that_does_not_resolve_is_a_502() -> None:
    async with served(NO_SUCH_HOST) as s:
        response = await s.client.post(s.url + CHAT, json=chat())
        assert response.status_code == 502
        assert "nothing-here" not in response.text


async def test_case_112_what_a_transport_of_the_hosts_raises_is_a_502(caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise KeyError("secret detail")

    async with world(transport=httpx.MockTransport(handler)) as w:
        response = await w.chat()
        assert (response.status, error_of(response)["code"]) == (502, "upstream_unavailable")
        assert b"secret" not in response.body
    assert "the transport to an upstream raised KeyError" in caplog.text


async def test_a_mock_transport_is_all_that_a_hosts_tests_need() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer ka"
        assert str(request.url) == "http://a/v1/chat/completions"
        return httpx.Response(200, json={"echo": json.loads(request.content)})

    async with world(transport=httpx.MockTransport(handler)) as w:
        assert (await w.chat()).json() == {"echo": chat()}


async def test_a_mock_transport_may_stream() -> None:
    async def events() -> Any:
        yield b"data: 1\n\n"
        yield b"data: [DONE]\n\n"

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=events())

    async with world(transport=httpx.MockTransport(handler)) as w:
        assert (await w.chat(stream=True)).body == b"data: 1\n\ndata: [DONE]\n\n"


NEVER = [
    ("Set-Cookie", "sid=1"),
    ("Server", "upstream/1"),
    ("Date", "Mon, 01 Jan 2024 00:00:00 GMT"),
    ("Access-Control-Allow-Origin", "*"),
    ("Strict-Transport-Security", "max-age=1"),
    ("Content-Security-Policy", "x"),
    ("Location", "http://evil"),
    ("WWW-Authenticate", "Basic"),
    ("Link", "<x>"),
    ("Refresh", "0"),
    ("Alt-Svc", "h3"),
    ("Clear-Site-Data", "*"),
    ("X-Accel-Redirect", "/etc/passwd"),
    ("X-Sendfile", "/etc/passwd"),
    ("OpenAI-Version", "kept"),
    ("Keep-Alive", "timeout=5"),
    ("Via", "1.1 up"),
]
OURS = {"content-type", "content-length", "transfer-encoding", "cache-control", "vary", "x-accel-buffering"}
OURS |= {"date", "server", "connection"}  # those of the server in front of the gateway
OURS |= {"openai-version", "x-content-type-options", "x-request-id", "x-gateway-request-id"}
OURS |= {"cross-origin-resource-policy"}
ROUTING = {"x-gateway-upstream", "x-gateway-model", "x-gateway-attempts"}


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("kind", ["json", "sse", "error"])
async def test_case_117_headers_of_the_upstreams_own_never_reach_the_client(kind: str, http: Any) -> None:
    headers = [(name.encode(), value.encode()) for name, value in NEVER]
    scripts = {
        "json": wire.answer(200, [*wire.JSON, *headers]),
        "sse": wire.sse(b"data: 1\n\n", b"data: [DONE]\n\n", headers=[*wire.EVENTS, *headers]),
        "error": wire.answer(400, [*wire.JSON, *headers]),
    }
    async with FakeUpstream(wire=[scripts[kind]]) as upstream, served(upstream, http=http) as s:
        asked = chat(stream=kind == "sse")  # a stream that nobody asked for is none: case 219
        response = await s.client.post(s.url + CHAT, json=asked, headers={"x-test-user": "u1"})
        names = [name.decode().lower() for name, _ in response.headers.raw]
        assert len(names) == len(set(names))
        assert set(names) <= OURS
        assert {"date", "server", "openai-version"} <= set(names)
        assert len({"content-length", "transfer-encoding"} & set(names)) == 1
        assert response.headers["server"] == "uvicorn"
        assert response.headers["openai-version"] == "kept"


async def test_an_administrator_sees_which_upstream_answered() -> None:
    async with world() as w:
        names = {name.decode() for name, _ in (await w.chat()).headers}
        assert names >= ROUTING
        names = {name.decode() for name, _ in (await w.chat(headers={"x-test-user": "u1"})).headers}
        assert not names & ROUTING


async def test_case_118_an_error_under_the_type_of_events_is_an_error() -> None:
    async with world() as w:
        body = b'{"error": {"message": "slow", "type": "t", "param": null, "code": "c"}}'
        answer = bytes_answer(body, "text/event-stream", 429, [("retry-after", "7")])
        w.upstream.answer(CHAT, answer)
        response = await w.chat(stream=True)
        assert (response.status, response.header("content-type")) == (429, "application/json")
        assert (response.body, response.header("retry-after")) == (body, "7")


async def test_case_118_events_under_an_error_status_are_an_error_object() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, bytes_answer(b"data: oh no\n\n", "text/event-stream", 500))
        response = await w.chat(stream=True)
        assert response.status == 500
        assert "oh no" in error_of(response)["message"]


async def test_an_error_before_the_first_event_of_a_200_is_the_error_it_should_have_been() -> None:
    async with world() as w:
        event = b': hi\n\ndata: {"error": {"message": "Overloaded.", "type": "overloaded", "code": 503}}\n\n'
        w.upstream.answer(CHAT, bytes_answer(event, "text/event-stream"))
        response = await w.chat(stream=True)
        assert response.status == 503
        assert response.json()["error"]["message"] == "Overloaded."


async def test_an_endless_error_is_not_held_in_memory() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, Answer([b"x" * 65536] * 20, 400, [("content-type", "text/plain")]))
        response = await w.chat()
        assert response.status == 400
        assert error_of(response)["type"] == "upstream_error"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_case_123_redirects_are_not_followed(status: int) -> None:
    async with world() as w:
        w.upstream.answer(CHAT, Answer([], status, [("location", "http://b/v1/chat/completions")]))
        response = await w.chat()
        assert (response.status, error_of(response)["code"]) == (502, "upstream_error")
        assert response.header("location") is None
        assert [request.host for request in w.upstream.requests] == ["a"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"1"])
async def test_case_124_a_body_that_is_no_json_object_is_a_400(body: bytes) -> None:
    async with world() as w:
        response = await w.post_bytes(CHAT, body)
        assert response.status == 400
        assert error_of(response)["code"] == "invalid_json"


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_case_124_json_without_its_content_type_is_a_415(kind: str | None) -> None:
    async with world() as w:
        headers = {} if kind is None else {"content-type": kind}
        response = await w.post_bytes(CHAT, b'{"model": "m1", "messages": []}', headers=headers)
        assert (response.status, error_of(response)["code"]) == (415, "unsupported_media_type")
        assert w.upstream.requests == []


async def test_a_compressed_body_is_a_415() -> None:
    async with world() as w:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        assert (await w.post_bytes(CHAT, b"{}", headers=headers)).status == 415


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_the_content_type_may_be_written_in_other_ways(kind: str) -> None:
    async with world() as w:
        headers = {"content-type": kind}
        assert (await w.post_bytes(CHAT, b'{"model": "m1"}', headers=headers)).status == 200


async def test_the_size_of_a_body_is_counted_not_believed() -> None:
    async with world(settings=Settings(json_limit=100)) as w:
        talk = w.conversation(CHAT, None, body=None, headers={"content-type": "application/json"})
        async with talk:
            talk.send_body(b'{"model": "m1", "x": "' + b"a" * 90)
            response = await talk.whole()
        assert (response.status, error_of(response)["code"]) == (413, "payload_too_large")
        assert w.upstream.requests == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"content-length", b"2"), (b"content-length", b"2")], 400),
        ([(b"content-length", b"2"), (b"transfer-encoding", b"chunked")], 400),
        ([(b"content-type", b"application/json"), (b"content-type", b"text/plain")], 400),
    ],
)
async def test_headers_that_can_be_read_in_two_ways_are_refused(headers: Any, status: int) -> None:
    async with world() as w:
        assert (await w.ask("POST", CHAT, headers=headers, body=b"{}")).status == status
        assert w.upstream.requests == []


async def test_unknown_paths_and_wrong_methods_reach_nobody() -> None:
    async with world() as w:
        response = await w.post("/nothing", {})
        assert (response.status, error_of(response)["code"]) == (404, "not_found")
        response = await w.ask("GET", "/embeddings")
        assert (response.status, error_of(response)["code"]) == (405, "method_not_allowed")
        assert response.header("allow") == "POST"
        for path in ("/..%2fadmin", "/chat/%2e%2e/models", "/v1//models", "/chat\\completions"):
            assert (await w.ask("POST", path, body=b"{}")).status in (400, 404)
        assert w.upstream.requests == []


async def test_the_sdk_raises_what_the_upstream_said() -> None:
    script = wire.answer(400, body=b'{"error": {"message": "M", "type": "t", "param": "p", "code": "c"}}')
    async with FakeUpstream(wire=[script]) as upstream, served(upstream) as s:
        async with s.sdk as sdk:
            with pytest.raises(openai.BadRequestError) as caught:
                await sdk.chat.completions.create(model="m1", messages=MESSAGES)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.param, caught.value.type) == ("c", "p", "t")


async def test_connections_are_used_again_after_whole_answers() -> None:
    scripts = (wire.answer(), wire.sse(b"data: [DONE]\n\n"), wire.answer(400), wire.answer())
    async with FakeUpstream(wire=scripts) as upstream, served(upstream, settings=EAGER) as s:
        for _ in scripts:
            await s.client.post(s.url + CHAT, json=chat())
        assert len(upstream.connections) == 1


async def test_what_an_upstream_sends_too_much_reaches_nobody() -> None:
    poison = wire.trailing_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
    async with FakeUpstream(wire=[poison, wire.answer(body=b'{"n": 2}')]) as upstream, served(upstream) as s:
        first = await s.client.post(s.url + CHAT, json=chat())
        second = await s.client.post(s.url + CHAT, json=chat())
        assert (first.text, second.text) == ("{}", '{"n": 2}')


async def test_an_unexpected_failure_is_a_500_without_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    def layer(app: Any) -> Any:
        async def fails(scope: Any, receive: Any, send: Any) -> None:
            raise ZeroDivisionError("secret detail")

        return fails

    async with world(upstream_a(), layers=[layer]) as w:
        response = await w.chat()
        assert (response.status, error_of(response)["code"]) == (500, "host_failure"), "the layer is the host's"
        assert b"secret" not in response.body
    assert "ZeroDivisionError" in caplog.text
