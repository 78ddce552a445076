"""Cases 236 and 240: what is sent again, what is not, and what goes on a connection that nobody has used before."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from openai_gateway_asgi import Gateway, Timeouts, Upstream
from openai_gateway_asgi.bodies.multipart import Shares
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.wire import (
    Call,
    WireScript,
    answer,
    close_before_headers,
    hang,
    refusing_url,
    reset,
    sse,
)
from tests.cases.second.callers import ROOT, at, gateway_to, get
from tests.support.asgi import Conversation, Response, ask

OK = answer(200, body=b'{"id": "1", "choices": [{}], "text": "heard"}')
SHORT = b"x" * 100
LONG = b"x" * (1024 * 1024 + 1)


async def gone_at_once(call: Call) -> None:
    """As a kept-alive connection that is closed in the moment in which it is used: nothing is read."""
    call.reset()


def form(content: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    pieces = [
        f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n' for key, value in fields.items()
    ]
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
    return "".join(pieces).encode() + head.encode() + content + b"\r\n--x--\r\n", {
        "content-type": "multipart/form-data; boundary=x"
    }


async def post(gateway: Gateway, path: str, body: Any, headers: dict[str, str] = {}, **more: str) -> Response:
    own = {
        "authorization": f"Bearer {ROOT}",
        **headers,
        **{key.replace("_", "-"): value for key, value in more.items()},
    }
    if isinstance(body, bytes):
        return await ask(gateway, "POST", path, body=body, headers={"content-length": str(len(body)), **own})
    return await ask(gateway, "POST", path, json=body, headers=own)


JOBS: dict[str, tuple[str, Any]] = {
    "batches": ("/v1/batches", {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}),
    "fine-tuning": ("/v1/fine_tuning/jobs", {"model": "m", "training_file": "file-1"}),
    "files": ("/v1/files", form(SHORT, purpose="batch")),
    "background": ("/v1/responses", {"model": "m", "input": "hi", "background": True}),
    "videos": ("/v1/videos", form(SHORT, model="m", prompt="A cat.")),
    "vector stores": ("/v1/vector_stores", {"name": "n"}),
    "runs": ("/v1/threads/t/runs", {"assistant_id": "a", "model": "m"}),
    "uploads": ("/v1/uploads", {"filename": "f", "bytes": 1, "mime_type": "text/plain", "purpose": "batch"}),
}


async def send(gateway: Gateway, job: str, **more: str) -> Response:
    path, body = JOBS[job]
    return await post(gateway, path, *(body if isinstance(body, tuple) else (body,)), **more)


FAULTS: dict[str, WireScript] = {
    "500": answer(500, body=b'{"error": {"message": "x"}}'),
    "503": answer(503, body=b'{"error": {"message": "x"}}'),
    "closed": close_before_headers,
    "reset": reset,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("job", JOBS)
async def test_case_236_a_job_that_may_have_been_executed_is_not_sent_again(job: str, fault: str) -> None:
    async with FakeUpstream(wire=[FAULTS[fault], OK]) as a, gateway_to(at(a, "a")) as gateway:
        got = await send(gateway, job)

        assert got.status in (500, 502, 503)
        assert got.header("x-should-retry") == "false"  # nor by the SDK, which tries twice more
        assert len(a.requests) == 1


@pytest.mark.parametrize("job", ["background", "fine-tuning"])
async def test_case_236_nor_to_another_or_a_fallback(job: str) -> None:
    async with FakeUpstream(wire=[FAULTS["500"]]) as a, FakeUpstream(wire=[OK]) as b:
        upstreams = at(a, "a"), at(b, "b", "m", "big")
        async with gateway_to(*upstreams, fallbacks={"m": ["big"]}) as gateway:
            assert (await send(gateway, job)).status == 500
            assert (len(a.requests), len(b.requests)) == (1, 0)


@pytest.mark.parametrize("job", JOBS)
async def test_case_236_with_a_key_of_the_clients_own_it_is(job: str) -> None:
    async with FakeUpstream(wire=[FAULTS["reset"], OK]) as a, gateway_to(at(a, "a")) as gateway:
        assert (await send(gateway, job, idempotency_key="k1")).status == 200
        assert [request.header("idempotency-key") for request in a.requests] == ["k1", "k1"]


async def test_case_236_but_not_where_the_key_stays_behind() -> None:
    settings = {"forwarded_headers": ["content-type"]}
    async with FakeUpstream(wire=[FAULTS["reset"], OK]) as a, gateway_to(at(a, "a"), settings=settings) as gateway:
        assert (await send(gateway, "batches", idempotency_key="k1")).status == 502
        assert len(a.requests) == 1


@pytest.mark.parametrize("job", JOBS)
async def test_case_236_what_was_refused_was_not_executed(job: str) -> None:
    limited = answer(429, ((b"Content-Type", b"application/json"), (b"Retry-After-Ms", b"10")), b"{}")
    async with FakeUpstream(wire=[limited, OK]) as a, gateway_to(at(a, "a")) as gateway:
        assert (await send(gateway, job)).status == 200
        assert len(a.requests) == 2


async def test_case_236_nor_was_what_reached_nobody() -> None:
    with refusing_url() as url:
        async with FakeUpstream(wire=[OK]) as b:
            dead = Upstream(f"{url}/v1", name="dead", model_ids=["m"])
            async with gateway_to(dead, at(b, "b"), settings={"retries": 0}) as gateway:
                assert (await send(gateway, "background")).status == 200


@pytest.mark.parametrize("job", JOBS)
async def test_case_236_a_job_goes_on_a_connection_that_nobody_has_used(job: str) -> None:
    async with FakeUpstream(wire=[OK]) as a, gateway_to(at(a, "a")) as gateway:
        for _ in range(2):
            assert (await get(gateway, "/v1/files")).status == 200
            assert (await send(gateway, job)).status == 200

        used = [request.connection for request in a.requests]
        assert used[1] != used[0]
        assert used[3] not in used[:3]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "m", "input": "hi", "background": False}),
        ("/v1/responses", {"model": "m", "input": "hi"}),
        ("/v1/responses/resp_1/cancel", {}),
        ("/v1/vector_stores/vs_1/search", {"query": "q"}),
    ],
)
async def test_case_236_what_is_no_job_is_sent_again(path: str, body: Any) -> None:
    async with FakeUpstream(wire=[FAULTS["reset"], OK]) as a, gateway_to(at(a, "a")) as gateway:
        assert (await post(gateway, path, body)).status == 200
        assert len(a.requests) == 2


TRANSCRIPTIONS = "/v1/audio/transcriptions"


async def test_case_240_a_short_upload_over_a_connection_that_is_just_being_closed_is_served() -> None:
    body, kind = form(SHORT, model="m")
    async with FakeUpstream(wire=[OK, gone_at_once, OK]) as a, gateway_to(at(a, "a")) as gateway:
        await get(gateway, "/v1/files")
        assert (await post(gateway, TRANSCRIPTIONS, body, kind)).json()["text"] == "heard"

        assert [request.connection for request in a.requests] == [0, 0, 1]
        assert SHORT in a.last.body


@pytest.mark.parametrize("first", FAULTS)
@pytest.mark.parametrize("size", [100, 300_000, 1_000_000])
async def test_case_240_a_form_of_up_to_a_mebibyte_can_be_sent_again(first: str, size: int) -> None:
    body, kind = form(b"x" * size, model="m")
    async with FakeUpstream(wire=[FAULTS[first], OK]) as a, gateway_to(at(a, "a")) as gateway:
        assert (await post(gateway, TRANSCRIPTIONS, body, kind)).status == 200
        assert [len(request.body) for request in a.requests] == [len(a.last.body)] * 2
        assert a.last.body.count(b"x" * size) == 1


async def test_case_240_and_goes_to_the_next_upstream_with_that_ones_model() -> None:
    body, kind = form(SHORT, model="m")
    async with FakeUpstream(wire=[FAULTS["500"]]) as a, FakeUpstream(wire=[OK]) as b:
        upstreams = at(a, "a"), at(b, "b", "big")
        async with gateway_to(*upstreams, fallbacks={"m": ["big"]}, settings={"retries": 0}) as gateway:
            assert (await post(gateway, TRANSCRIPTIONS, body, kind)).status == 200
            assert b"\r\n\r\nbig\r\n" in b.last.body
            assert b.last.body.replace(b"\r\n\r\nbig\r\n", b"\r\n\r\nm\r\n") == a.last.body


@pytest.mark.parametrize("known", [True, False], ids=["content-length", "chunked"])
async def test_case_240_a_longer_one_goes_on_a_fresh_connection_and_once(known: bool) -> None:
    body, kind = form(LONG, model="m")
    headers = {**kind, "authorization": f"Bearer {ROOT}"}
    if known:
        headers["content-length"] = str(len(body))
    async with FakeUpstream(wire=[OK, OK, FAULTS["500"]]) as a, gateway_to(at(a, "a")) as gateway:
        await get(gateway, "/v1/files")
        assert (await ask(gateway, "POST", TRANSCRIPTIONS, body=body, headers=headers)).status == 200
        got = await ask(gateway, "POST", TRANSCRIPTIONS, body=body, headers=headers)

        assert (got.status, got.header("x-should-retry")) == (500, None)
        assert [request.connection for request in a.requests] == [0, 1, 2]


async def test_case_240_or_again_while_nothing_of_it_was_read() -> None:
    body, kind = form(LONG, model="m")
    with refusing_url() as url:
        dead = Upstream(f"{url}/v1", name="dead", model_ids=["m"])
        async with FakeUpstream(wire=[OK]) as b, gateway_to(dead, at(b, "b"), settings={"retries": 0}) as gateway:
            assert (await post(gateway, TRANSCRIPTIONS, body, kind)).status == 200
            assert len(b.requests) == 1


async def test_case_240_json_is_sent_again_as_ever() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    async with FakeUpstream(wire=[OK, gone_at_once, OK]) as a, gateway_to(at(a, "a")) as gateway:
        await get(gateway, "/v1/files")
        assert (await post(gateway, "/v1/chat/completions", body)).status == 200
        assert [request.connection for request in a.requests] == [0, 0, 1]
        assert json.loads(a.last.body)["messages"] == body["messages"]


@pytest.mark.parametrize("sent", ["json", "form"])
async def test_case_240_however_many_connections_are_just_being_closed_one_more_try_is_enough(sent: str) -> None:
    everybody = asyncio.Barrier(4)

    async def once(call: Call) -> None:
        if len(call.connection.requests) > 1:
            call.reset()
            return
        if call.connection.number < everybody.parties:
            await everybody.wait()
        await OK(call)

    sample: Any = ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    path, *body = sample if sent == "json" else (TRANSCRIPTIONS, *form(SHORT, model="m"))
    async with FakeUpstream(wire=[once]) as a, gateway_to(at(a, "a"), settings={"retries": 1}) as gateway:
        await asyncio.gather(*(get(gateway, "/v1/files") for _ in range(everybody.parties)))
        assert (await post(gateway, path, *body)).status == 200
        assert len({request.connection for request in a.requests}) == everybody.parties + 1


async def test_case_240_an_upload_that_hangs_is_a_504_and_not_sent_again() -> None:
    body, kind = form(SHORT, model="m")
    async with FakeUpstream(wire=[hang]) as a, gateway_to(at(a, "a", timeouts=Timeouts(answer=0.1))) as gateway:
        assert (await post(gateway, TRANSCRIPTIONS, body, kind)).status == 504
        assert len(a.requests) == 1


async def test_case_240_what_was_kept_goes_when_a_streamed_answer_begins() -> None:
    """A stream may be long, and nobody else will be asked."""
    gate = asyncio.Event()
    told = b'data: {"type": "transcript.text.delta", "delta": "hea"}\n\n'
    done = b'data: {"type": "transcript.text.done", "text": "heard"}\n\n'
    body, kind = form(b"x" * 500_000, model="m", stream="true")
    async with FakeUpstream(wire=[sse(told, done, gates={1: gate})]) as a, gateway_to(at(a, "a")) as gateway:
        headers = {**kind, "authorization": f"Bearer {ROOT}"}
        async with Conversation(gateway, "POST", TRANSCRIPTIONS, body=body, headers=headers) as talking:
            await talking.receive_start()
            assert await talking.receive_chunk() == told
            shares = [each for each in gc.get_objects() if isinstance(each, Shares) and each.held()]
            assert shares == []
            gate.set()
            await talking.receive_rest()
