"""Answers that come drop by drop: what they cost grows with their length alone, whatever is looked for in them."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest

from openai_gateway_asgi import Settings
from openai_gateway_asgi.testing import Answer
from tests.cases.gateways import chat, upstream_a, upstream_b, world
from tests.support.cost import TRIES

CHAT = "/chat/completions"
READS, SIZE = 20_000, 50
"""Together less than is held at most."""
FEWER = 4
MORE = 7.0
"""How much dearer they are than a quarter of them: four times, and ten where what came before is copied each time."""

JSON, SSE = "application/json", "text/event-stream"
ANSWER = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("stream", "status", "kind", "repeated", "end", "told"),
    [
        pytest.param(False, 200, JSON, b" ", b'{"id":1}', 200, id="white space before JSON"),
        pytest.param(True, 200, JSON, b"\n", ANSWER, 200, id="white space before a stream of another type"),
        pytest.param(True, 200, JSON, b" ", b"{}", 502, id="white space before JSON where a stream was asked for"),
        pytest.param(True, 200, JSON, b"x", b"", 502, id="anything else where a stream was asked for"),
        pytest.param(False, 200, SSE, b"x", b"", 502, id="a stream that nobody asked for"),
        pytest.param(False, 400, "text/plain", b"x", b"", 400, id="an error"),
    ],
)
async def test_what_comes_drop_by_drop_is_not_looked_at_again_and_again(
    stream: bool, status: int, kind: str, repeated: bytes, end: bytes, told: int
) -> None:
    async def cost(reads: int) -> float:
        w.upstream.answer(CHAT, Answer([repeated * SIZE] * reads + [end], status, [("content-type", kind)]))
        started = time.thread_time()
        answered = await w.post(CHAT, chat(stream=stream))
        took = time.thread_time() - started
        assert answered.status == told
        return took

    async with world() as w:
        await assert_linear(cost)


async def assert_linear(cost: Callable[[int], Awaitable[float]]) -> None:
    """``cost`` gives the CPU time of so many reads."""
    few = many = math.inf
    for _ in range(TRIES):
        few, many = min(few, await cost(READS // FEWER)), min(many, await cost(READS))
        if many <= MORE * few:
            return
    raise AssertionError(f"{FEWER} times the reads are {many / few:.1f} times as dear.")


WAIT = b": wait" + b"." * SIZE + b"\n\n"
WORD = b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'
ROLE = b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'


@pytest.mark.parametrize("commit", ["told", pytest.param("whole", marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("before", "each", "behind"),
    [
        pytest.param(b"", WAIT, b"", id="comments"),
        pytest.param(b"", b"\n" * SIZE, b"", id="blank lines"),
        pytest.param(b"", ROLE, b"", id="what tells nothing"),
        pytest.param(b"", WORD, b"", id="words"),
        pytest.param(b"", b"id: 1\n" + WORD, b"", id="words that are not told at once"),
        pytest.param(b"", WORD.replace(b"word", b"error"), b"", id="words that look like errors"),
        pytest.param(WORD, WAIT, b"", id="comments behind words"),
        pytest.param(WORD, ROLE, b"", id="what tells nothing behind words"),
        pytest.param(b'data: {"choices":[{"delta":{"content":"', b"x" * SIZE, b'"}}]}\n\n', id="a long event"),
        pytest.param(b'data: {"error":"', b"x" * SIZE, b'"}\n\n', id="a long error"),
        pytest.param(WORD + b'data: {"choices":[{"delta":{"content":"', b"x" * SIZE, b'"}}]}\n\n', id="a long event behind words"),
        pytest.param(b"", b"data: x\n" * 6, b"\n", id="an event of many lines"),
        pytest.param(b"event: x", b"\revent: x", b"\r\r", id="one of lines that end otherwise"),
        pytest.param(b": ", b"x" * SIZE, b"\n\n", id="a long comment"),
    ],
)  # fmt: skip
async def test_events_that_come_drop_by_drop_are_not_looked_at_again_and_again(
    before: bytes, each: bytes, behind: bytes, commit: Literal["told", "whole"]
) -> None:
    async def cost(reads: int) -> float:
        w.upstream.answer(CHAT, Answer([before, *[each] * reads, behind + ANSWER], 200, [("content-type", SSE)]))
        started = time.thread_time()
        assert (await w.post(CHAT, chat(stream=True))).body
        return time.thread_time() - started

    async with world(upstream_a(), upstream_b(), settings=Settings(retries=0, commit=commit)) as w:
        await assert_linear(cost)


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf \r\n", b"\n" * 40])
@pytest.mark.parametrize("events", [b'data: {"choices":[]}\n\n', b": hello\n\n", b"retry: 1\n\n"])
async def test_a_stream_of_another_type_is_known_however_small_its_reads(before: bytes, events: bytes) -> None:
    whole = before + events + ANSWER
    async with world() as w:
        for reads in ([whole], [whole[at : at + 1] for at in range(len(whole))]):
            w.upstream.answer(CHAT, Answer(reads, 200, [("content-type", "text/plain")]))
            assert (await w.post(CHAT, chat(stream=True))).body == whole
