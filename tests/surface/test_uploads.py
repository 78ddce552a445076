"""Forms at the gateway's door: what is refused before any upstream hears of it, and what goes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openai_gateway_asgi import Timeouts, Upstream
from openai_gateway_asgi.testing import FakeRequest, FakeUpstream, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import sse
from openai_gateway_asgi.testing.wire import Call, answer, early_answer, head
from tests.cases.gateways import error_of
from tests.support.asgi import Conversation
from tests.support.servers import serve
from tests.surface.world import (
    ASKED,
    DENIED,
    FILE,
    FORM,
    SERVED,
    Surface,
    field,
    form,
    parts_of,
    surface,
)

PATH = "/v1/audio/transcriptions"
MODEL = field("model", ASKED)
HEARD = json_answer({"text": "hello"})
MIB = 1024 * 1024
LONG = ('name="file"; filename="a.mp3"', b"ID3" + b"x" * (2 * MIB + 1000))
"""More than is looked at before a form is sent on."""


def upload(gateway: Surface, body: bytes, path: str = PATH, content_type: str = FORM, **options: Any) -> Any:
    return gateway.ask("POST", path, headers={"content-type": content_type}, body=body, **options)


@pytest.mark.parametrize(
    "parts", [(MODEL, FILE), (FILE, MODEL), (FILE, MODEL, FILE), (field("language", "en"), FILE, MODEL)]
)
async def test_the_model_is_found_on_either_side_of_the_file(parts: Any) -> None:
    async with surface(answer=HEARD) as gateway:
        got = await upload(gateway, form(*parts))

        assert (got.status, got.json()) == (200, {"text": "hello"})
        kind = gateway.up.last.header("content-type") or ""
        sent = [content for _, content in parts_of(gateway.up.last.body, kind)]
        assert sent == [SERVED.encode() if part is MODEL else part[1] for part in parts]
        assert gateway.up.last.header("content-length") is None


REFUSED = {
    "two models": (form(MODEL, field("model", "x"), FILE), "model"),
    "two models around the file": (form(MODEL, FILE, field("model", "x")), "model"),
    "a file named model": (form(('name="model"; filename="m"', b"x"), FILE), "model"),
    "a file named model after the model": (form(MODEL, ('name="model"; filename="m"', b"x"), FILE), "model"),
    "no model": (form(FILE), "model"),
    "an empty model": (form(field("model", ""), FILE), "model"),
    "a long model": (form(field("model", "x" * 257), FILE), "model"),
    "a model with spaces around it": (form(field("model", " m "), FILE), "model"),
    "a model that is no text": (form(field("model", b"\xff"), FILE), "model"),
    "a model in other letters": (form(field("Model", "x"), MODEL, FILE), "Model"),
    "a nested model": (form(field("model[]", "x"), MODEL, FILE), "model[]"),
    "a route": (form(MODEL, field("api_base", "http://evil"), FILE), "api_base"),
    "a nested route": (form(MODEL, field("litellm_params[api_base]", "http://evil"), FILE), "litellm_params[api_base]"),
    "other models": (form(MODEL, field("models", "x"), FILE), "models"),
    "two names": (form(MODEL, ('name="a"; name="model"', b"x"), FILE), None),
    "a folded header": (form(MODEL, ('name="a";\r\n name="model"', b"x"), FILE), None),
    "no closing boundary": (form(MODEL, FILE)[:-4], None),
    "something after the end": (form(MODEL, FILE) + b"model", None),
    "something before the start": (b"x\r\n" + form(MODEL, FILE), None),
    "nothing": (b"", None),
    "another boundary": (form(MODEL, FILE, boundary="other"), None),
    "a transfer encoding": (form(('name="model"\r\nContent-Transfer-Encoding: base64', b"bQ=="), FILE), None),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_form_that_could_be_read_in_two_ways_is_refused(case: str) -> None:
    body, param = REFUSED[case]
    async with surface(answer=HEARD) as gateway:
        got = await upload(gateway, body)

        assert got.status == 400
        error = error_of(got)
        assert error["type"] == "invalid_request_error"
        if param is not None:
            assert error["param"] == param
        assert gateway.up.requests == []


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=a; boundary=frontier", 400),
        ("multipart/mixed; boundary=frontier", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
async def test_a_content_type_without_one_boundary_is_refused(content_type: str, status: int) -> None:
    async with surface(answer=HEARD) as gateway:
        got = await upload(gateway, form(MODEL, FILE), content_type=content_type)

        assert got.status == status
        error_of(got)
        assert gateway.up.requests == []


@pytest.mark.parametrize("parts", [(field("model", DENIED), FILE), (FILE, field("model", DENIED))])
async def test_a_denied_model_is_a_404(parts: Any) -> None:
    async with surface(answer=HEARD) as gateway:
        got = await upload(gateway, form(*parts))

        assert (got.status, error_of(got)["code"]) == (404, "model_not_found")
        assert gateway.up.requests == []


async def test_a_deployment_and_the_model_of_its_form_must_agree() -> None:
    async with surface(answer=HEARD) as gateway:
        path = "/deployments/pre.other/audio/transcriptions"
        assert (await upload(gateway, form(field("model", "pre.other"), FILE), path)).status == 200
        assert gateway.up.last.path == "/v1/audio/transcriptions"
        assert (await upload(gateway, form(MODEL, FILE), path)).status == 400
        assert len(gateway.up.requests) == 1


async def test_a_stored_object_takes_no_model() -> None:
    async with surface(answer=HEARD) as gateway:
        got = await upload(gateway, form(MODEL, FILE), "/v1/files", who="ada")

        assert (got.status, error_of(got)["param"]) == (400, "model")
        assert gateway.up.requests == []


async def test_parts_over_their_limits_are_a_413() -> None:
    async with surface(answer=HEARD) as gateway:
        for body in (
            form(MODEL, field("prompt", b"x" * (MIB + 1)), FILE),
            form(*(field(f"f{n}", b"x" * (MIB - 10)) for n in range(5)), MODEL, FILE),
        ):
            got = await upload(gateway, body)
            assert (got.status, error_of(got)["code"]) == (413, "payload_too_large")
        assert gateway.up.requests == []
    async with surface(answer=HEARD, settings={"upload_limit": 1000}) as gateway:
        assert (await upload(gateway, form(FILE, MODEL))).status == 413
        assert gateway.up.requests == []


async def test_an_upload_without_end_is_a_413_at_the_limit() -> None:
    async with surface(answer=HEARD, settings={"upload_limit": 3 * MIB}) as gateway:
        async with conversation(gateway) as talk:
            talk.send_body(form(FILE)[:200])
            sent = 0
            while talk.running and sent < 10 * MIB:
                talk.send_body(b"x" * 65536)
                sent += 65536
                await asyncio.sleep(0)
            got = await talk.whole()
        assert got.status == 413
        assert len(talk.received) * 65536 < 4 * MIB
        assert gateway.up.requests == []


async def test_headers_of_a_part_without_end_are_a_400() -> None:
    async with surface(answer=HEARD) as gateway, conversation(gateway) as talk:
        talk.send_body(b'--frontier\r\nContent-Disposition: form-data; name="a"; x="')
        for _ in range(100):
            talk.send_body(b"x" * 1024)
        got = await talk.whole()

        assert got.status == 400
        assert sum(len(message.get("body", b"")) for message in talk.received) < 16 * 1024
        assert gateway.up.requests == []


def conversation(gateway: Surface, path: str = PATH) -> Conversation:
    headers = [(b"content-type", FORM.encode()), (b"x-who", b"una")]
    return Conversation(gateway.app, "POST", "/openai" + path, headers=headers, body=None, strict=False)


@pytest.mark.parametrize("sent", [b"", form(FILE)[:100], form(MODEL, FILE)[:200]])
async def test_an_upload_that_stalls_is_a_408(sent: bytes) -> None:
    async with surface(answer=HEARD, settings={"upload_idle": 0.05}) as gateway, conversation(gateway) as talk:
        if sent:
            talk.send_body(sent)
        got = await talk.whole()

        assert (got.status, error_of(got)["code"]) == (408, "request_timeout")
        assert gateway.up.requests == []


@pytest.mark.parametrize("path", ["/audio/..%2ftranscriptions", "/audio/%2e%2e/files", "/v1/../audio/transcriptions"])
async def test_a_path_that_climbs_is_a_400(path: str) -> None:
    async with surface(answer=HEARD) as gateway:
        got = await upload(gateway, form(MODEL, FILE), path)

        assert (got.status, error_of(got)["code"]) == (400, "invalid_path")
        assert gateway.up.requests == []


async def test_a_refusal_of_the_upstream_ends_an_upload_that_is_still_coming() -> None:
    async with served(early_answer(413, body=b'{"error": {"message": "too large"}}')) as (url, upstream):
        async with open_upload(url) as (reader, writer):
            writer.write(chunk(form(MODEL, LONG)[:-60]))
            async with asyncio.timeout(5):
                assert b" 413 " in await reader.readline()
            assert upstream.methods == {"POST": 1}


@pytest.mark.parametrize("model_first", [True, False], ids=["model first", "model last"])
async def test_a_client_that_leaves_half_way_frees_everything(model_first: bool) -> None:
    """Every test fails that leaves a task, a socket or a file open."""
    async with served(reading) as (url, upstream):
        async with open_upload(url) as (_, writer):
            writer.write(chunk(form(*((MODEL, LONG) if model_first else (LONG, MODEL)))[:-200]))
            for _ in range(40):
                writer.write(chunk(b"x" * 65536))
                await writer.drain()
            if model_first:
                await upstream.until_requests(1, 2)
            writer.transport.abort()
            for connection in upstream.connections:
                await connection.closed(2)
            assert [each.body for each in upstream.requests] == [b""] * model_first


async def test_an_upstream_that_takes_nothing_is_a_504() -> None:
    async def deaf(call: Call) -> None:
        await call.until_peer_closes()

    async with served(deaf, timeouts=Timeouts(answer=0.3)) as (url, upstream):
        async with open_upload(url) as (reader, writer):
            writer.write(chunk(form(MODEL, FILE)) + b"0\r\n\r\n")
            async with asyncio.timeout(5):
                assert b" 504 " in await reader.readline()
            assert upstream.methods == {"POST": 1}


async def test_an_upload_that_goes_on_longer_than_an_answer_may_take_is_served() -> None:
    async with served(answer(), timeouts=Timeouts(answer=0.3)) as (url, _):
        async with open_upload(url) as (reader, writer):
            body = form(MODEL, FILE)
            for start in range(0, len(body), len(body) // 6 + 1):
                writer.write(chunk(body[start : start + len(body) // 6 + 1]))
                await asyncio.sleep(0.1)  # what is tested is the time that passes
            writer.write(b"0\r\n\r\n")
            async with asyncio.timeout(5):
                assert b" 200 " in await reader.readline()


async def test_a_long_form_is_sent_once_whatever_becomes_of_it() -> None:
    async with surface(answer=error_answer(503), settings={"retries": 3}) as gateway:
        got = await upload(gateway, form(MODEL, LONG))
        assert (got.status, got.header("x-should-retry")) == (503, None)  # the client can send it again
        assert len(gateway.up.requests) == 1


@pytest.mark.parametrize(("file", "times"), [(FILE, 2), (LONG, 1)], ids=["short", "long"])
async def test_a_refused_credential_sends_it_again_with_another_if_it_is_short(
    file: tuple[str, bytes], times: int
) -> None:
    def token(*_: Any) -> str:
        return "t"

    ask_host = Upstream("http://a/v1", name="A", auth_type="system_oauth", model_ids=["m"])
    async with surface(ask_host, answer=error_answer(401), oauth_token=token) as gateway:
        got = await upload(gateway, form(field("model", "m"), file))

        assert (got.status, error_of(got)["code"]) == (502, "upstream_credential")
        assert len(gateway.up.requests) == times
        assert {len(request.body) for request in gateway.up.requests} == {len(gateway.up.last.body)}


async def test_a_form_streams_while_it_is_read() -> None:
    """The upstream has the first bytes before the client has sent the last."""
    arrived = asyncio.Event()

    async def watching(call: Call) -> None:
        seen = await call.connection.reader.read(65536)
        arrived.set()
        while not seen.endswith(b"\r\n0\r\n\r\n"):
            seen = seen[-10:] + await call.connection.reader.read(65536)
        await call.send(head(200, ((b"Content-Length", b"2"),)) + b"{}")
        call.close()

    async with served(watching) as (url, _):
        async with open_upload(url) as (reader, writer):
            writer.write(chunk(form(MODEL, LONG)[: 2 * MIB]))
            async with asyncio.timeout(5):
                await arrived.wait()
                writer.write(chunk(form(MODEL, LONG)[2 * MIB :]))
                writer.write(b"0\r\n\r\n")
                assert b" 200 " in await reader.readline()


async def test_the_answer_to_an_upload_may_stream() -> None:
    def spoken(request: FakeRequest) -> Any:
        return stream_answer([sse({"type": "transcript.text.delta"}), sse({"type": "transcript.text.done"})])

    async with surface() as gateway:
        gateway.up.answer("/audio/transcriptions", spoken)
        got = await upload(gateway, form(MODEL, field("stream", "true"), FILE))

        assert (got.header("content-type") or "").startswith("text/event-stream")
        assert got.body.endswith(b'"transcript.text.done"}\n\n')


async def reading(call: Call) -> None:
    await call.read_body()
    await call.send(head(200, ((b"Content-Length", b"2"),)) + b"{}")


@asynccontextmanager
async def served(script: Any, timeouts: Timeouts | None = None) -> AsyncIterator[tuple[str, FakeUpstream]]:
    """The gateway on a server of its own, over real sockets on both sides."""
    async with FakeUpstream(wire=[script]) as upstream:
        one = Upstream(
            f"{upstream.url}/v1", name="A", api_key="ka", prefix_id="pre", model_ids=[SERVED], timeouts=timeouts
        )
        async with surface(one, transport=None) as gateway, serve(gateway.app) as server:
            yield server.url, upstream


@asynccontextmanager
async def open_upload(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(
        f"POST /openai{PATH} HTTP/1.1\r\nHost: t\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_fault_far_behind_the_model_cuts_the_call_before_it_is_complete() -> None:
    """What has been streamed cannot be taken back, but the upstream never sees the end of it."""
    recorder = FakeUpstream()
    recorder.answer("", HEARD)
    async with serve(recorder) as upstream:
        one = Upstream(f"{upstream.url}/v1", name="A", api_key="ka", prefix_id="pre", model_ids=[SERVED])
        async with surface(one, transport=None) as gateway:
            for body in (form(MODEL, LONG, MODEL), form(MODEL, LONG)[:-4], form(MODEL, LONG) + b"x"):
                got = await upload(gateway, body)
                assert got.status == 400
                error_of(got)
    assert recorder.requests == [] or not any(b"--\r\n" in each.body[-60:] for each in recorder.requests)


async def test_a_form_that_is_refused_opens_no_connection() -> None:
    async with served(reading) as (url, upstream):
        for body, _ in REFUSED.values():
            async with open_upload(url) as (reader, writer):
                writer.write((chunk(body) if body else b"") + b"0\r\n\r\n")
                async with asyncio.timeout(5):
                    assert b" 400 " in await reader.readline()
        assert upstream.connections == []
