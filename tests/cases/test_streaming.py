"""Cases 113 to 116 and 119 to 122: event streams. After an error event there is no ``[DONE]``."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest

from openai_gateway_asgi import Outcome, Settings, Timeouts
from openai_gateway_asgi.errors import ResponseAborted
from openai_gateway_asgi.testing import Answer, FakeUpstream, stream_answer, wire
from openai_gateway_asgi.testing.wire import head
from tests.support.leaks import lasting

from .gateways import MESSAGES, Served, World, chat, served, upstream_a, world

CHAT = "/chat/completions"
DONE = b"data: [DONE]\n\n"
FIRST = b'data: {"a":1}\n\n'
CLOSED_WITHIN = 0.15
"""Seconds from the client's leaving to the end of the upstream's connection."""


def word(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m1", "choices": [choice]}
    return b"data: " + json.dumps(frame).encode() + b"\n\n"


def answers(w: World, *chunks: bytes, **headers: str) -> None:
    w.upstream.answer(CHAT, stream_answer(list(chunks), [(k.replace("_", "-"), v) for k, v in headers.items()]))


async def gated(gate: asyncio.Event, before: list[bytes], after: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in before:
        yield chunk
    await gate.wait()
    for chunk in after:
        yield chunk


@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_case_113_events_arrive_unchanged_and_at_once(http: Any) -> None:
    events = [FIRST, b": ping\n\n", DONE]
    gate = asyncio.Event()
    async with FakeUpstream(wire=[wire.sse(*events, gates={1: gate})]) as upstream, served(upstream, http=http) as s:
        async with s.post(CHAT, chat(stream=True)) as response:
            assert response.headers["content-type"] == "text/event-stream"
            assert response.headers["cache-control"] == "no-cache"
            assert response.headers["x-accel-buffering"] == "no"
            chunks = response.aiter_raw()
            assert await anext(chunks) == FIRST  # while the upstream waits at its gate
            gate.set()
            assert b"".join([chunk async for chunk in chunks]) == b": ping\n\n" + DONE


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
async def test_case_114_however_it_is_split_nothing_is_added_or_lost(size: int, line_end: bytes) -> None:
    whole = FIRST + b": c\n\nevent: x\nid: 1\ndata: a\ndata: b\n\n" + "data: žluťoučký\n\n".encode() + DONE
    whole = whole.replace(b"\n", line_end)
    async with world() as w:
        answers(w, *(whole[at : at + size] for at in range(0, len(whole), size)))
        assert (await w.chat(stream=True)).body == whole


async def test_the_last_event_may_lack_its_blank_line() -> None:
    async with world() as w:
        answers(w, FIRST, b"data: [DONE]")
        assert (await w.chat(stream=True)).body == FIRST + b"data: [DONE]"


@pytest.mark.parametrize("size", [300_000, 5_000_000])
async def test_case_115_a_long_event_passes_and_is_not_held(size: int) -> None:
    piece = b"x" * 50_000
    gate = asyncio.Event()
    chunks = gated(gate, [FIRST, b"data: ", piece, piece], [piece] * (size // len(piece) - 2) + [b"\n\n", DONE])
    async with world() as w:
        w.upstream.answer(CHAT, Answer(chunks, 200, [("content-type", "text/event-stream")]))
        async with w.conversation(CHAT, chat(stream=True), read_ahead=False) as talk:
            await talk.receive_start()
            assert await talk.receive_chunk() == FIRST
            assert await talk.receive_chunk() == b"data: " + piece + piece  # beyond the limit of what is held
            gate.set()
            assert await talk.receive_rest() == piece * (size // len(piece) - 2) + b"\n\n" + DONE


@pytest.mark.parametrize("accept", ["identity", "gzip"])
async def test_case_116_compressed_events_are_inflated(accept: str) -> None:
    async with FakeUpstream(wire=[wire.gzip_sse(FIRST, DONE)]) as upstream, served(upstream) as s:
        async with s.post(CHAT, chat(stream=True), headers={"accept-encoding": accept}) as response:
            assert b"".join([chunk async for chunk in response.aiter_raw()]) == FIRST + DONE
            assert "content-encoding" not in response.headers
            assert "content-length" not in response.headers
        assert upstream.requests[0].values("accept-encoding") == [b"identity"]


async def test_case_116_a_bomb_is_inflated_in_bounded_pieces() -> None:
    bomb = gzip.compress(FIRST + b": " + b"0" * 20_000_000 + b"\n\n" + DONE)
    async with world() as w:
        answers(w, bomb, content_encoding="gzip")
        async with w.conversation(CHAT, chat(stream=True), read_ahead=False) as talk:
            await talk.receive_start()
            sizes = []
            while (chunk := await talk.receive_chunk()) is not None:
                sizes.append(len(chunk))
        assert sum(sizes) == 20_000_000 + len(FIRST) + 4 + len(DONE)
        assert max(sizes) <= 2 * 65_536


async def test_comments_that_inflate_without_end_are_not_held() -> None:
    async with world() as w:
        answers(w, gzip.compress((b": " + b"0" * 998 + b"\n\n") * 5_000 + FIRST + DONE), content_encoding="gzip")
        async with w.conversation(CHAT, chat(stream=True), read_ahead=False) as talk:
            await talk.receive_start()
            first = await talk.receive_chunk()
            assert first is not None
            assert 65_536 < len(first) <= 3 * 65_536
            assert (await talk.receive_rest()).endswith(FIRST + DONE)


async def test_an_unknown_compression_of_events_is_a_502() -> None:
    async with world() as w:
        answers(w, b"x", content_encoding="br")
        assert (await w.chat(stream=True)).status == 502


async def test_one_read_of_the_upstream_is_at_most_one_send() -> None:
    many = [FIRST * 50, FIRST[:5], FIRST[5:] + FIRST + FIRST[:3], FIRST[3:] + DONE]
    async with world() as w:
        answers(w, *many)
        async with w.conversation(CHAT, chat(stream=True)) as talk:
            await talk.receive_start()
            sends = []
            while (chunk := await talk.receive_chunk()) is not None:
                sends.append(chunk)
    assert sends == [FIRST * 50, FIRST * 2, FIRST + DONE]


async def test_a_client_that_does_not_read_stops_the_reading_of_the_upstream() -> None:
    read = 0

    async def events() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            await asyncio.sleep(0)
            yield FIRST

    async with world() as w:
        w.upstream.answer(CHAT, Answer(events(), 200, [("content-type", "text/event-stream")]))
        async with w.conversation(CHAT, chat(stream=True), read_ahead=False) as talk:
            await talk.receive_start()
            await talk.receive_chunk()
            assert await talk.quiet(200) is False
            assert read <= 3


async def test_comments_do_not_commit_so_a_late_failure_is_told_by_its_status() -> None:
    async with world() as w:
        answers(w, b": processing\n\n", b": processing\n\n")
        response = await w.chat(stream=True)
        assert (response.status, response.json()["error"]["code"]) == (502, "upstream_unavailable")


async def test_comments_go_out_when_they_have_been_held_long_enough() -> None:
    gate = asyncio.Event()
    async with world(settings=Settings(comment_hold=0.05)) as w:
        chunks = gated(gate, [b": one\n\n"], [FIRST, DONE])
        w.upstream.answer(CHAT, Answer(chunks, 200, [("content-type", "text/event-stream")]))
        async with w.conversation(CHAT, chat(stream=True)) as talk:
            assert (await talk.receive_start()).status == 200
            assert await talk.receive_chunk() == b": one\n\n"
            gate.set()
            assert await talk.receive_rest() == FIRST + DONE


async def test_a_client_that_leaves_while_comments_are_held_frees_the_upstream() -> None:
    gate = asyncio.Event()
    async with world(settings=Settings(comment_hold=30)) as w:
        chunks = gated(gate, [b": one\n\n"], [FIRST, DONE])
        w.upstream.answer(CHAT, Answer(chunks, 200, [("content-type", "text/event-stream")]))
        async with w.conversation(CHAT, chat(stream=True)) as talk:
            await w.upstream.until_requests(1)
            assert await talk.quiet()
            talk.disconnect()
            await w.upstream.until_closed_early()


async def test_an_upstream_that_fails_while_comments_are_held_is_closed() -> None:
    async def events() -> AsyncIterator[bytes]:
        yield b": one\n\n"
        raise httpx.ReadError("")

    async with world(settings=Settings(comment_hold=30, retries=0)) as w:
        w.upstream.answer(CHAT, Answer(events(), 200, [("content-type", "text/event-stream")]))
        assert (await w.chat(stream=True)).status == 502
        assert w.upstream.open_answers == 0


async def raised_by_sdk(s: Served, api: str) -> openai.APIError:
    """What the real client raises while it reads the stream."""
    async with s.sdk as sdk:
        create: Any = sdk.chat.completions.create if api == "chat" else sdk.responses.create
        asked = {"messages": MESSAGES} if api == "chat" else {"input": "x"}
        stream = await create(model="m1", stream=True, **asked)
        with pytest.raises(openai.APIError) as caught:
            _ = [event async for event in stream]
    return caught.value


EVENTS = {
    "chat": word("Hel"),
    "responses": b'data: {"type":"response.output_text.delta","sequence_number":4,"delta":"Hel"}\n\n',
}


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("ending", ["cut", "reset", "whole"])
async def test_case_119_an_upstream_that_dies_after_commit_ends_in_an_error_event(api: str, ending: str) -> None:
    script = wire.sse(EVENTS[api], b"data: {half an event", ending=ending)
    async with FakeUpstream(wire=[script]) as upstream, served(upstream) as s:
        path = CHAT if api == "chat" else "/responses"
        body = (await s.client.post(s.url + path, json=chat(stream=True, input="x"))).content
        sent, event = body[: len(EVENTS[api])], body[len(EVENTS[api]) :]
        assert sent == EVENTS[api]
        name, data, *rest = event.split(b"\n")
        assert (name, rest) == (b"event: error", [b"", b""])
        told = json.loads(data.removeprefix(b"data: "))
        assert told["type"] == "error"
        assert told["sequence_number"] == (0 if api == "chat" else 5)
        assert told["code"] == told["error"]["code"] == "upstream_unavailable"
        assert b"[DONE]" not in body
        error = await raised_by_sdk(s, api)
        assert error.code == "upstream_unavailable"
        assert error.message == told["message"]
        assert [record.outcome for record in s.records] == [Outcome.UPSTREAM_FAILED] * 2


async def test_inside_a_long_event_the_framing_is_broken_instead() -> None:
    script = wire.sse(word("a"), b"data: " + b"x" * 200_000, ending="cut")
    async with FakeUpstream(wire=[script]) as upstream, served(upstream) as s:
        with pytest.raises(httpx.RemoteProtocolError):
            await s.client.post(s.url + CHAT, json=chat(stream=True))
        assert type(await raised_by_sdk(s, "chat")) is openai.APIConnectionError


@pytest.mark.parametrize(
    "fault",
    [
        wire.raw(head(200, ((b"Content-Type", b"text/plain"), (b"Content-Length", b"100"))) + b"cut", close=True),
        wire.truncated_chunk,
    ],
    ids=["short", "chunk-cut"],
)
async def test_a_cut_answer_that_is_no_stream_breaks_its_framing(fault: wire.Script) -> None:
    async with FakeUpstream(wire=[fault]) as upstream, served(upstream) as s:
        with pytest.raises(httpx.RemoteProtocolError):
            await s.client.post(s.url + CHAT, json=chat())
        assert [record.outcome for record in s.records] == [Outcome.UPSTREAM_FAILED]


async def test_a_chunk_that_is_none_breaks_the_framing() -> None:
    gate = asyncio.Event()

    async def bad_chunk(call: wire.Call) -> None:
        await call.read_body()
        await call.send(head(200, ((b"Transfer-Encoding", b"chunked"),)) + wire.chunked(b"good"))
        await gate.wait()
        await call.send(b"zz\r\nbad\r\n")

    async with FakeUpstream(wire=[bad_chunk]) as upstream, served(upstream) as s, s.post(CHAT, chat()) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"good"
        gate.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(chunks)


async def test_the_length_of_an_answer_that_is_no_stream_is_kept() -> None:
    async with FakeUpstream(wire=[wire.answer(body=b"x" * 200_000)]) as upstream, served(upstream) as s:
        response = await s.client.post(s.url + CHAT, json=chat())
        assert response.headers["content-length"] == "200000"
        assert "transfer-encoding" not in response.headers


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("clock", [Timeouts(idle=0.1), Timeouts(total=0.3)], ids=["idle", "total"])
async def test_case_120_an_upstream_that_falls_silent_ends_in_an_error_event(api: str, clock: Timeouts) -> None:
    async with FakeUpstream(wire=[wire.sse(EVENTS[api], ending="open")]) as upstream:
        async with served(upstream, timeouts=clock) as s:
            error = await raised_by_sdk(s, api)
            assert error.code == "upstream_timeout"
            await upstream.connections[0].closed()


async def test_case_120_the_total_ends_a_flood() -> None:
    async def flood(call: wire.Call) -> None:
        await call.read_body()
        await call.send(head(200, (*wire.EVENTS, (b"Transfer-Encoding", b"chunked"))))
        while not call.connection.peer_gone.is_set():
            await call.send(wire.chunked(FIRST * 100))
            await asyncio.sleep(0)

    async with FakeUpstream(wire=[flood]) as upstream, served(upstream, timeouts=Timeouts(total=0.3)) as s:
        body = (await s.client.post(s.url + CHAT, json=chat(stream=True))).content
        assert body.startswith(FIRST)
        assert b"upstream_timeout" in body


async def test_case_120_a_drip_that_never_makes_an_event_runs_into_the_first_events_clock() -> None:
    step = asyncio.Semaphore(10_000)
    answer = head(200, (*wire.EVENTS, (b"Transfer-Encoding", b"chunked"))) + wire.chunked(b"data: never") * 200
    async with FakeUpstream(wire=[wire.drip(answer, step)]) as upstream:
        async with served(upstream, timeouts=Timeouts(first_event=0.15, idle=5)) as s:
            response = await s.client.post(s.url + CHAT, json=chat(stream=True))
            assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")


async def test_case_120_a_drip_inside_an_event_does_not_move_the_idle_clock() -> None:
    stop = asyncio.Event()

    async def trickle(call: wire.Call) -> None:
        await call.read_body()
        await call.send(head(200, (*wire.EVENTS, (b"Transfer-Encoding", b"chunked"))) + wire.chunked(FIRST))
        while not call.connection.peer_gone.is_set():
            await call.send(wire.chunked(b"x"))
            await asyncio.wait([asyncio.ensure_future(call.connection.peer_gone.wait())], timeout=0.01)

    async with FakeUpstream(wire=[trickle]) as upstream, served(upstream, timeouts=Timeouts(idle=0.15)) as s:
        body = (await s.client.post(s.url + CHAT, json=chat(stream=True))).content
        assert body.startswith(FIRST + b"event: error")
    stop.set()


async def test_comments_alone_do_not_stop_the_clock_for_an_answer() -> None:
    """Comments say that the request is queued or thought about, so they have longer than ``first_event``."""

    async def comments(call: wire.Call) -> None:
        await call.read_body()
        await call.send(head(200, (*wire.EVENTS, (b"Transfer-Encoding", b"chunked"))))
        while not call.connection.peer_gone.is_set():
            await call.send(wire.chunked(b": still here\n\n"))
            await asyncio.wait([asyncio.ensure_future(call.connection.peer_gone.wait())], timeout=0.01)

    settings = Settings(comment_hold=0.02, retries=0)
    async with FakeUpstream(wire=[comments]) as upstream:
        async with served(upstream, timeouts=Timeouts(first_event=0.1, answer=0.3), settings=settings) as s:
            body = (await s.client.post(s.url + CHAT, json=chat(stream=True))).content
            assert body.startswith(b": still here\n\n")
            assert b"upstream_timeout" in body


async def test_an_answer_that_drips_is_ended_by_the_answers_clock() -> None:
    step = asyncio.Semaphore(30)
    drip = wire.drip(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000, step)
    async with FakeUpstream(wire=[drip]) as upstream, served(upstream, timeouts=Timeouts(answer=0.2, idle=60)) as s:
        with pytest.raises(httpx.RemoteProtocolError):
            await s.client.post(s.url + CHAT, json=chat())
        await upstream.connections[0].closed()


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("stage", ["before-headers", "before-first-event", "between-events", "case-122-not-streaming"])
async def test_case_121_a_client_that_leaves_frees_the_upstream_at_once(stage: str, http: Any) -> None:
    scripts = {
        "before-headers": wire.hang,
        "before-first-event": wire.sse(ending="open"),
        "between-events": wire.sse(FIRST, ending="open"),
        "case-122-not-streaming": wire.hang,
    }
    async with FakeUpstream(wire=[scripts[stage]]) as upstream, served(upstream, http=http) as s:
        body = chat(stream=not stage.endswith("not-streaming"))
        asking = asyncio.create_task(s.client.post(s.url + CHAT, json=body))
        await upstream.until_requests(1)
        if stage == "between-events":
            await asyncio.wait([asking], timeout=0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        async with lasting(0, CLOSED_WITHIN):
            await upstream.connections[0].closed()
    gone = {Outcome.CLIENT_GONE, Outcome.CLIENT_GONE_BEFORE_FIRST_BYTE}
    assert {record.outcome for record in s.records} <= gone
    assert len(s.records) == 1


async def test_case_122_after_two_hundred_aborted_requests_nothing_is_left() -> None:
    scripts = (wire.hang, wire.sse(FIRST, ending="open"), wire.sse(ending="open"), wire.hang)
    turns = (scripts[number % 4] for number in range(200))
    async with FakeUpstream(wire=[*turns, wire.answer()]) as upstream, served(upstream) as s:
        for batch in range(10):
            asking = [
                asyncio.create_task(s.client.post(s.url + CHAT, json=chat(stream=bool(n % 4)))) for n in range(20)
            ]
            await upstream.until_requests(20 * (batch + 1), within=5)
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        for connection in upstream.connections:
            await connection.closed()
        assert upstream.open_answers == 0
        assert len(upstream.requests) == 200
        assert (await s.client.post(s.url + CHAT, json=chat())).status_code == 200


async def test_a_client_that_takes_no_bytes_is_given_up() -> None:
    async with world(settings=Settings(send_timeout=0.1)) as w:
        w.upstream.answer(CHAT, stream_answer([FIRST] * 5 + [DONE]))
        async with w.conversation(CHAT, chat(stream=True), read_ahead=False) as talk:
            await talk.receive_start()
            await w.upstream.until_closed_early()
            with pytest.raises(AssertionError, match="without completing"):  # upon which its server cuts it off
                await talk.ended()
    assert [record.outcome for record in w.records] == [Outcome.CLIENT_GONE]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_client_that_does_not_take_the_end_is_given_up_and_no_fault_of_the_upstreams(streamed: bool) -> None:
    upstream = upstream_a(timeouts=Timeouts(idle=0.02, answer=0.02))
    async with world(upstream, settings=Settings(send_timeout=0.1)) as w:
        answer = (
            stream_answer([FIRST, DONE]) if streamed else Answer([b"{}"], 200, [("content-type", "application/json")])
        )
        w.upstream.answer(CHAT, answer)
        async with w.conversation(CHAT, chat(stream=streamed), read_ahead=False) as talk:
            await talk.receive_start()
            if streamed:
                await talk.receive_chunk()
            await talk.ended()
    assert [record.outcome for record in w.records] == [Outcome.CLIENT_GONE]


async def test_a_client_that_does_not_take_its_error_is_given_up() -> None:
    async with world(settings=Settings(send_timeout=0.05)) as w:
        w.upstream.answer(CHAT, stream_answer([FIRST]))
        async with w.conversation(CHAT, chat(stream=True), read_ahead=False) as talk:
            await talk.receive_start()
            assert await talk.receive_chunk() == FIRST
            with pytest.raises(ResponseAborted):
                await talk.ended()
    assert [record.outcome for record in w.records] == [Outcome.UPSTREAM_FAILED]


async def test_a_stream_that_ends_without_done_but_finished_gets_its_done() -> None:
    last = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    async with world() as w:
        answers(w, FIRST, last)
        assert (await w.chat(stream=True)).body == FIRST + last + DONE
