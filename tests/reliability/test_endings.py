"""How streams end: complete, completed, or visibly broken; never cut and called complete."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from openai_gateway_asgi import UsageRecord
from openai_gateway_asgi.testing import FakeUpstream, stream_answer
from openai_gateway_asgi.testing.answers import DONE, chat_events, responses_events, sse
from openai_gateway_asgi.testing.wire import EVENTS, answer, chunked, head, raw
from openai_gateway_asgi.testing.wire import sse as stream
from tests.reliability.gateways import ANN, CHAT, at, call, chat, make_gateway, over, talk
from tests.support.asgi import Response, ask
from tests.support.servers import serve

WHOLE = chat_events(chat(stream=True))
DELTA, FINISH = WHOLE[1], WHOLE[-2]
IN_BAND = sse({"error": {"message": "No.", "type": "server_error", "code": "server_error"}})


async def through(
    events: list[bytes], path: str = CHAT, records: list[UsageRecord] | None = None, **settings: Any
) -> Response:
    upstream = FakeUpstream()
    upstream.answer(path, stream_answer(events))
    gateway = make_gateway(over(upstream, "a"), transport=upstream.transport(), records=records, settings=settings)
    body = chat(stream=True) if path == CHAT else {"model": "gpt", "input": "Hello?", "stream": True}
    return await ask(gateway, "POST", path, json=body, headers=ANN)


@pytest.mark.parametrize(
    ("events", "body"),
    [
        pytest.param(WHOLE, b"".join(WHOLE), id="complete"),
        pytest.param(WHOLE[:-1], b"".join(WHOLE), id="without-done"),
        pytest.param([*WHOLE[:-1], b": ping\n\n"], b"".join([*WHOLE[:-1], b": ping\n\n", DONE]), id="comment-last"),
        pytest.param([b"".join(WHOLE)[:-2]], b"".join(WHOLE)[:-2], id="no-blank-line-after-done"),
        pytest.param([b"".join(WHOLE[:-1])[:-2]], b"".join(WHOLE[:-1])[:-2] + b"\n\n" + DONE, id="no-blank-line"),
        pytest.param([WHOLE[0], b"data: {oops\n\n", *WHOLE[1:]], b"".join([WHOLE[0], b"data: {oops\n\n", *WHOLE[1:]]), id="malformed"),
        pytest.param([WHOLE[0], b"\xff\xfe\n\n", *WHOLE[1:]], b"".join([WHOLE[0], b"\xff\xfe\n\n", *WHOLE[1:]]), id="not-utf-8"),
        pytest.param([b"".join(WHOLE)[n : n + 1] for n in range(len(b"".join(WHOLE)))], b"".join(WHOLE), id="byte-by-byte"),
    ],
)  # fmt: skip
async def test_a_complete_stream_ends_as_one(events: list[bytes], body: bytes) -> None:
    records: list[UsageRecord] = []
    answer = await through(events, records=records)

    assert answer.body == body
    assert [record.outcome for record in records] == ["completed"]


@pytest.mark.parametrize("count", range(1, len(WHOLE) - 1))
async def test_a_stream_that_merely_stops_ends_in_an_error(count: int) -> None:
    records: list[UsageRecord] = []
    answer = await through(WHOLE[:count], records=records)

    assert answer.body.startswith(b"".join(WHOLE[:count]))
    assert answer.body.count(b"event: error") == 1
    assert b"[DONE]" not in answer.body
    assert [record.outcome for record in records] == ["upstream_failed"]


async def test_half_an_event_at_the_end_is_not_sent() -> None:
    answer = await through([WHOLE[0], WHOLE[1][:-20]])

    assert answer.body.startswith(WHOLE[0] + b"event: error")


async def test_a_stream_of_comments_alone_is_a_failure_with_its_status() -> None:
    answer = await through([b": ping\n\n", b": ping\n\n"])

    assert answer.status == 502


async def test_an_error_event_of_the_upstreams_own_is_passed_on_and_recorded() -> None:
    records: list[UsageRecord] = []
    answer = await through([DELTA, IN_BAND], records=records)

    assert answer.body == DELTA + IN_BAND
    assert [(record.outcome, record.status) for record in records] == [("upstream_failed", 200)]


async def test_an_error_before_done_is_recorded_as_one_too() -> None:
    records: list[UsageRecord] = []
    late = sse({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}], "error": {"code": 502}})
    answer = await through([DELTA, late, DONE], records=records)

    assert answer.body == DELTA + late  # a [DONE] behind it would tell clients that all is well
    assert [record.outcome for record in records] == ["upstream_failed"]


async def test_responses_end_with_their_own_event_and_get_no_done() -> None:
    events = responses_events({"model": "gpt"})
    assert (await through(events, "/v1/responses")).body == b"".join(events)

    cut = (await through(events[:-1], "/v1/responses")).body
    assert cut.startswith(b"".join(events[:-1]) + b"event: error")
    assert f'"sequence_number":{len(events) - 1}'.encode() in cut.replace(b" ", b"")


async def test_responses_that_failed_are_recorded_as_failed() -> None:
    records: list[UsageRecord] = []
    events = responses_events({"model": "gpt"})[:3]
    failed = sse({"type": "response.failed", "response": {"error": {"code": "server_error"}}}, "response.failed")
    answer = await through([*events, failed], "/v1/responses", records=records)

    assert answer.body == b"".join([*events, failed])
    assert [record.outcome for record in records] == ["upstream_failed"]


BIG = b"A" * 300_000


def long_event(kind: str) -> bytes:
    return b'event: %b\ndata: {"type":"%b","b64_json":"%b"}\n\n' % (kind.encode(), kind.encode(), BIG)


def pieces(data: bytes, size: int = 20_000) -> list[bytes]:
    return [data[n : n + size] for n in range(0, len(data), size)]


async def image(events: list[bytes]) -> tuple[bytes, bool]:
    """What the client got, and whether its framing was broken."""
    upstream = FakeUpstream()
    upstream.answer("/images/generations", stream_answer(events))
    gateway = make_gateway(over(upstream, "a"), transport=upstream.transport())
    from tests.support.asgi import Conversation

    body = {"model": "gpt", "prompt": "A cat", "stream": True}
    got = b""
    async with Conversation(gateway, "POST", "/v1/images/generations", json=body, headers=ANN) as talking:
        await talking.receive_start()
        try:
            while (piece := await talking.receive_chunk()) is not None:
                got += piece
        except Exception:
            return got, True
    return got, False


async def test_a_final_event_longer_than_all_that_is_held_is_known_by_its_beginning() -> None:
    events = pieces(long_event("image_generation.completed"))
    assert await image(events) == (b"".join(events), False)


async def test_a_long_event_that_is_not_the_last_is_no_ending() -> None:
    events = pieces(long_event("image_generation.partial_image"))
    got, broken = await image(events)

    assert got.startswith(b"".join(events) + b"event: error")
    assert not broken


async def test_a_long_event_that_is_cut_breaks_the_framing() -> None:
    events = pieces(long_event("image_generation.completed"))[:-3]
    got, broken = await image(events)

    assert broken
    assert b"event: error" not in got


# The same as the real client sees it, over sockets


@contextlib.asynccontextmanager
async def client_of(upstream: FakeUpstream) -> AsyncIterator[AsyncOpenAI]:
    gateway = make_gateway([at(upstream)], settings={"retries": 0})
    async with serve(gateway) as server:
        http = DefaultAsyncHttpxClient(verify=False, trust_env=False)
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="ann", max_retries=0, http_client=http) as client:
            yield client
    await gateway.aclose()


async def read(client: AsyncOpenAI) -> str:
    stream = await client.chat.completions.create(**chat(stream=True))  # type: ignore[call-overload]
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


@pytest.mark.parametrize("ending", ["cut", "reset", "whole"])
async def test_the_sdk_raises_on_every_way_to_cut_a_stream(ending: str) -> None:
    async with FakeUpstream(wire=[stream(*WHOLE[:3], ending=ending)]) as upstream, client_of(upstream) as client:
        with pytest.raises(openai.APIError, match=r"cut short|broke off"):
            await read(client)


@pytest.mark.parametrize("tail", [b"", b"5\r\nda", b"zz\r\n"], ids=["no-last-chunk", "in-a-chunk", "bad-chunk"])
async def test_the_sdk_raises_when_the_framing_breaks_off(tail: bytes) -> None:
    script = raw(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))) + chunked(DELTA) + tail, close=True)
    async with FakeUpstream(wire=[script]) as upstream, client_of(upstream) as client:
        with pytest.raises(openai.APIError):
            await read(client)


@pytest.mark.parametrize("events", [WHOLE, WHOLE[:-1]], ids=["with-done", "without-done"])
async def test_the_sdk_reads_a_stream_that_ends_with_its_connection(events: list[bytes]) -> None:
    script = raw(head(200, (*EVENTS, (b"Connection", b"close"))) + b"".join(events), close=True)
    async with FakeUpstream(wire=[script]) as upstream, client_of(upstream) as client:
        assert await read(client) == "Hello from upstream."


async def test_the_sdk_raises_when_a_stream_without_framing_stops_early() -> None:
    script = raw(head(200, (*EVENTS, (b"Connection", b"close"))) + DELTA, close=True)
    async with FakeUpstream(wire=[script]) as upstream, client_of(upstream) as client:
        with pytest.raises(openai.APIError):
            await read(client)


async def test_json_that_is_cut_is_a_failure_with_its_status() -> None:
    cut = raw(head(200, ((b"Content-Type", b"application/json"), (b"Content-Length", b"100"))) + b'{"id": ', close=True)
    async with FakeUpstream(wire=[cut]) as upstream, client_of(upstream) as client:
        with pytest.raises(openai.InternalServerError, match=r"cut short|broke off"):
            await client.chat.completions.create(**chat())


async def test_a_whole_answer_without_length_arrives_whole() -> None:
    upstream = FakeUpstream(wire=[answer(200, body=b'{"id": "1"}')])
    async with upstream:
        gateway = make_gateway([at(upstream)])
        assert (await call(gateway)).body == b'{"id": "1"}'
        await gateway.aclose()


# Keep-alive comments

KEEPING = {"keepalive_comments": 0.05}
COMMENT = b": keep-alive\n\n"


async def test_comments_come_while_the_upstream_thinks_and_never_inside_an_event() -> None:
    gates = {n: asyncio.Event() for n in (1, 2, 3)}

    async def thinking() -> AsyncIterator[bytes]:
        yield WHOLE[0] + WHOLE[1]
        await gates[1].wait()
        yield WHOLE[2][:30]
        await gates[2].wait()
        yield WHOLE[2][30:]
        for event in WHOLE[3:]:
            yield event

    upstream = FakeUpstream()
    upstream.answer(CHAT, lambda _: stream_answer(thinking()))
    gateway = make_gateway(over(upstream, "a"), transport=upstream.transport(), settings=KEEPING)
    got = []
    async with talk(gateway) as talking:
        await talking.receive_start()
        got.append(await talking.receive_chunk())
        for gate in (1, 2):
            got += [await talking.receive_chunk() for _ in range(2)]
            gates[gate].set()
        got.append(await talking.receive_rest())

    assert got[0] == WHOLE[0] + WHOLE[1]
    assert got[1:5] == [COMMENT] * 4
    assert b"".join(piece for piece in got if piece).replace(COMMENT, b"") == b"".join(WHOLE)
    for piece in b"".join(piece for piece in got if piece).split(b"\n\n"):
        assert piece == b": keep-alive" or b"keep-alive" not in piece


async def test_a_comment_leaves_the_choice_of_another_upstream_open() -> None:
    go_on = asyncio.Event()

    async def thinking() -> AsyncIterator[bytes]:
        await go_on.wait()
        raise ConnectionResetError
        yield b""

    upstream = FakeUpstream()
    upstream.host("a.test").answer(CHAT, lambda _: stream_answer(thinking()))
    gateway = make_gateway(over(upstream, "a", "b"), transport=upstream.transport(), settings=KEEPING)
    async with talk(gateway) as talking:
        assert (await talking.receive_start()).status == 200
        assert await talking.receive_chunk() == COMMENT
        go_on.set()
        rest = await talking.receive_rest()

    assert rest.replace(COMMENT, b"") == b"".join(WHOLE)
    assert [request.host for request in upstream.requests][-1] == "b.test"


async def test_comments_do_not_keep_a_silent_upstream_alive() -> None:
    never = asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        yield WHOLE[0]
        await never.wait()

    upstream = FakeUpstream()
    upstream.answer(CHAT, lambda _: stream_answer(silent()))
    gateway = make_gateway(over(upstream, "a"), transport=upstream.transport(), settings=KEEPING)

    async with asyncio.timeout(5):
        body = (await call(gateway, chat(stream=True))).body

    assert COMMENT in body
    assert b'"upstream_timeout"' in body


async def test_without_the_setting_nothing_is_added() -> None:
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield WHOLE[0] + WHOLE[1]
        await go_on.wait()
        for event in WHOLE[2:]:
            yield event

    upstream = FakeUpstream()
    upstream.answer(CHAT, lambda _: stream_answer(slow()))
    gateway = make_gateway(over(upstream, "a"), transport=upstream.transport())
    async with talk(gateway) as talking:
        await talking.receive_start()
        first = await talking.receive_chunk()
        await asyncio.sleep(0.1)
        go_on.set()
        assert (first or b"") + await talking.receive_rest() == b"".join(WHOLE)
