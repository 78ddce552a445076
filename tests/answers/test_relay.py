"""When an answer commits, what is sent as one, and how it ends. The acceptance cases hold the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Settings, Timeouts
from openai_gateway_asgi.answers.events import DONE
from openai_gateway_asgi.errors import ResponseAborted
from openai_gateway_asgi.layers.keep_alive import COMMENT as KEEP_ALIVE
from openai_gateway_asgi.testing import Answer, stream_answer
from openai_gateway_asgi.testing.answers import bytes_answer
from tests.cases.gateways import World, chat, error_of, upstream_a, world

CHAT = "/chat/completions"
EVENT = b'data: {"a":1}\n\n'
FINISHED = b'data: {"choices":[{"finish_reason":"stop"}]}\n\n'
SSE = [("content-type", "text/event-stream")]


class Script:
    """An upstream's answer that the test writes as it goes."""

    def __init__(self, w: World, headers: list[tuple[str, str]] = SSE) -> None:
        self._reads: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        w.upstream.answer(CHAT, Answer(self._chunks(), 200, headers))

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (read := await self._reads.get()) is not None:
            if isinstance(read, Exception):
                raise read
            yield read

    def says(self, *reads: bytes | Exception | None) -> None:
        for read in reads:
            self._reads.put_nowait(read)


def streaming(w: World, **options: Any) -> Any:
    return w.conversation(CHAT, chat(stream=True), **options)


async def test_nothing_is_sent_before_the_first_event_is_whole() -> None:
    async with world() as w:
        script = Script(w)
        async with streaming(w) as talk:
            await w.upstream.until_requests(1)
            script.says(b": hello\n\n", EVENT[:5], EVENT[5:-1])
            assert await talk.quiet(100)
            script.says(EVENT[-1:])
            assert (await talk.receive_start()).status == 200
            assert await talk.receive_chunk() == b": hello\n\n" + EVENT
            script.says(DONE, None)
            assert await talk.receive_rest() == DONE


async def test_a_first_event_that_is_too_long_to_hold_commits() -> None:
    async with world(settings=Settings(hold_limit=10, retries=0)) as w:
        script = Script(w)
        async with streaming(w) as talk:
            script.says(b"data: 0123456789")
            await talk.receive_start()
            assert await talk.receive_chunk() == b"data: 0123456789"
            script.says(b"\n\n" + DONE, None)
            assert await talk.receive_rest() == b"\n\n" + DONE


async def test_a_whole_answer_takes_two_messages() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, bytes_answer(b"{}", "application/json"))
        async with w.conversation(CHAT, chat()) as talk:
            await talk.receive_start()
            assert await talk.receive_chunk() == b"{}"
            assert await talk.receive_chunk() is None
            await talk.ended()


@pytest.mark.parametrize("length", [2, 4])
async def test_an_answer_that_is_not_as_long_as_it_said_is_aborted(length: int) -> None:
    async with world() as w:
        answer = Answer([b"abc"], 200, [("content-type", "text/plain"), ("content-length", str(length))])
        w.upstream.answer(CHAT, answer)
        async with w.conversation(CHAT, chat()) as talk:
            await talk.receive_start()
            with pytest.raises((ResponseAborted, AssertionError)):
                await talk.receive_rest()


async def test_a_stream_has_the_headers_of_one() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, stream_answer([EVENT, DONE], [("cache-control", "public"), ("content-length", "99")]))
        response = await w.chat(stream=True)
        assert response.body == EVENT + DONE
        assert response.header("cache-control") == "no-cache"
        assert response.header("x-accel-buffering") == "no"
        assert response.header("content-length") is None


async def test_a_page_in_place_of_a_stream_is_a_502() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, bytes_answer(b"<p>", "text/html"))
        assert (await w.chat(stream=True)).status == 502


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (b'data: {"error": "no"}\n\n', 502),
        (b'data: {"error": {"message": "M", "code": 418}}\n\n', 418),
        (b'event: error\ndata: {"type": "error", "message": "M", "code": "rate_limit_exceeded"}\n\n', 429),
        (b'data: {"error": {"message": "bad key", "code": "invalid_api_key"}}\n\n', 502),
    ],
)
async def test_an_error_in_the_first_event_gets_a_status_of_its_own(event: bytes, status: int) -> None:
    async with world() as w:
        w.upstream.answer(CHAT, stream_answer([event]))
        response = await w.chat(stream=True)
        assert response.status == status
        assert error_of(response)["message"]


async def test_an_event_that_merely_speaks_of_errors_is_none() -> None:
    event = b'data: {"error": null, "text": "\\"error\\""}\n\n'
    async with world() as w:
        w.upstream.answer(CHAT, stream_answer([event, DONE]))
        assert (await w.chat(stream=True)).body == event + DONE


@pytest.mark.parametrize("ending", [None, httpx.ReadError("")], ids=["clean", "broken"])
async def test_a_stream_that_ends_before_its_first_event_is_a_502(ending: Exception | None) -> None:
    async with world() as w:
        Script(w).says(b": hello\n\n", b"data: half", ending)
        response = await w.chat(stream=True)
        assert (response.status, error_of(response)["code"]) == (502, "upstream_unavailable")
        assert w.upstream.open_answers == 0


@pytest.mark.parametrize(
    ("reads", "added"),
    [
        ([EVENT, FINISHED], DONE),
        ([EVENT, FINISHED.rstrip()], b"\n\n" + DONE),
        ([EVENT, FINISHED, DONE], b""),
        ([EVENT, b"data: [DONE]"], b""),
    ],
)
async def test_a_chat_that_finished_ends_in_done(reads: list[bytes], added: bytes) -> None:
    async with world() as w:
        Script(w).says(*reads, None)
        assert (await w.chat(stream=True)).body == b"".join(reads) + added


async def test_a_clean_end_in_the_middle_is_an_error_all_the_same() -> None:
    async with world() as w:
        Script(w).says(EVENT, b"data: half", None)
        body = (await w.chat(stream=True)).body
        assert body.startswith(EVENT + b"event: error\n")
        assert body.count(b"event: error") == 1


async def test_the_total_holds_before_the_first_event_too() -> None:
    async with world(upstream_a(timeouts=Timeouts(total=0.05))) as w:
        Script(w)
        response = await w.chat(stream=True)
        assert (response.status, error_of(response)["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("first", [(), (EVENT,)])
async def test_where_asked_for_comments_keep_a_quiet_line_alive(first: tuple[bytes, ...]) -> None:
    async with world(settings=Settings(keepalive_comments=0.01, retries=0)) as w:
        script = Script(w)
        async with streaming(w) as talk:
            script.says(*first)
            await talk.receive_start()
            for event in (*first, KEEP_ALIVE, KEEP_ALIVE):
                assert await talk.receive_chunk() == event
            script.says(EVENT, DONE, None)
            rest = (await talk.receive_rest()).replace(KEEP_ALIVE, b"")
            assert rest == EVENT + DONE


@pytest.mark.parametrize("first", [(), (EVENT,)])
async def test_our_own_comments_move_no_clock(first: tuple[bytes, ...]) -> None:
    timeouts = Timeouts(first_event=0.1, idle=0.1)
    async with world(upstream_a(timeouts=timeouts), settings=Settings(keepalive_comments=0.01, retries=0)) as w:
        Script(w).says(*first)
        body = (await w.chat(stream=True)).body
        assert body.count(KEEP_ALIVE) >= 3
        assert b"upstream_timeout" in body


async def test_a_long_last_event_that_begins_where_a_long_one_ends_is_known_by_its_beginning() -> None:
    partial = b'data: {"type":"image_generation.partial_image","b64_json":"%s"}\n\n' % (b"A" * 200)
    final = b'data: {"type":"image_generation.completed","b64_json":"%s"}\n\n' % (b"A" * 900)
    whole = partial + final
    reads = [whole[at : at + 200] for at in range(0, len(whole), 200)]
    async with world(settings=Settings(hold_limit=100, retries=0)) as w:
        w.upstream.answer("/images/generations", stream_answer(reads))
        answer = await w.post("/images/generations", {"model": "m1", "prompt": "x", "stream": True})
        assert answer.body == whole


async def test_no_comment_breaks_into_a_long_event() -> None:
    async with world(settings=Settings(keepalive_comments=0.01, hold_limit=10, retries=0)) as w:
        script = Script(w)
        async with streaming(w) as talk:
            script.says(b"data: 0123456789")
            await talk.receive_start()
            assert await talk.receive_chunk() == b"data: 0123456789"
            asyncio.get_running_loop().call_later(0.05, script.says, b"\n\n", DONE, None)
            assert (await talk.receive_rest()).startswith(b"\n\n")


async def test_a_client_that_leaves_between_comments_frees_the_upstream() -> None:
    async with world(settings=Settings(keepalive_comments=0.01, retries=0)) as w:
        Script(w).says(EVENT)
        async with streaming(w) as talk:
            await talk.receive_start()
            talk.disconnect()
            await w.upstream.until_closed_early()
