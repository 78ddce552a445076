"""Answers that are made to hold the loop: whatever an upstream says in one read, or in one event, others have turns."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Literal

import pytest

from openai_gateway_asgi import Settings
from openai_gateway_asgi.testing import Answer
from tests.cases.gateways import chat, upstream_a, upstream_b, world
from tests.support.cost import TRIES
from tests.support.leaks import stall_watch

CHAT = "/chat/completions"
KIB = 1024
LOOPS = 20
"""Times what ``a_loop`` takes: 50 ms where these tests were written."""
READ = 256 * KIB
"""As much as a socket gives at most in one go."""
EVENT = 1000 * KIB
"""As much of one event as is held at most."""

EVENTS = [("content-type", "text/event-stream")]
JSON = [("content-type", "application/json")]
WORD = b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'
END = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def many(part: bytes, size: int) -> bytes:
    return part * (size // len(part))


ONE_READ = {
    "lines": b"x\n",
    "lines of data": b"data: x\n",
    "blank lines": b"\n",
    "comments": b":\n\n",
    "empty events": b"data:\n\n",
    "empty objects": b"data: {}\n\n",
    "no choices": b'data: {"choices":[]}\n\n',
    "roles": b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n',
    "words": WORD,
    "words that look like errors": WORD.replace(b"word", b"error"),
    "fields without a value": b"id\n\n",
    "names": b"event: x\n\n",
    "other line ends": b"x\r\r",
}

ONE_EVENT = {
    "objects": (b'data: {"choices":[', b"{},", b"{}]}\n\n"),
    "lists": (b'data: {"choices":[', b"[],", b"{}]}\n\n"),
    "choices": (b'data: {"choices":[', b'{"index":1,"delta":{}},', b"{}]}\n\n"),
    "texts": (b'data: {"x":[', b'"a",', b"1]}\n\n"),
    "depth": (b"data: ", b"[", b"\n\n"),
    "lines": (b"data: ", b"\nx", b"\n\n"),
    "lines of data": (b"data: ", b"\ndata: x", b"\n\n"),
    "an error of objects": (b'data: {"error":{"x":[', b"{},", b"{}]}}\n\n"),
    "an error of escapes": (b'data: {"error":"', b"\\u0041", b'"}\n\n'),
}

NO_STREAM = {
    "objects": (b'{"choices":[', b"{},", b"{}]}"),
    "errors": (b'{"choices":[', b'{"error":null},', b"{}]}"),
    "depth": (b"", b"[", b""),
    "texts": (b'{"error":null,"x":[', b'"",', b"1]}"),
    "details": (b'{"detail":[', b'{"msg":"x"},', b"{}]}"),
    "white space": (b"", b" ", b"{}"),
}


@pytest.fixture(autouse=True)
def _no_collections() -> Iterator[None]:
    """When the collector runs, and over how many objects, is the host's to settle."""
    gc.disable()
    yield
    gc.enable()


async def assert_turns(
    answer: Answer, *, stream: bool, commit: Literal["told", "whole"] = "told", api: str = "auto"
) -> None:
    settings = Settings(retries=0, commit=commit)
    async with world(upstream_a(api=api), upstream_b(api=api), settings=settings) as w:
        w.upstream.answer("", answer)
        await w.post(CHAT, chat(stream=stream))  # what is made by the first call is no matter here
        for _ in range(TRIES):  # what else the machine does makes a turn dearer, and none cheaper
            async with stall_watch() as stalls:
                assert (await w.post(CHAT, chat(stream=stream))).body
            if stalls.loops < LOOPS:
                return
    raise AssertionError(f"One turn takes {stalls.loops:.0f} times as long as a_loop.")


LATER = pytest.mark.soak


@pytest.mark.parametrize("commit", ["told", pytest.param("whole", marks=LATER)])
@pytest.mark.parametrize("told", [False, pytest.param(True, marks=LATER)])
@pytest.mark.parametrize("name", ONE_READ)
async def test_whatever_is_in_one_read_others_have_turns(
    name: str, told: bool, commit: Literal["told", "whole"]
) -> None:
    chunks = [WORD] * told + [many(ONE_READ[name], READ), END]
    await assert_turns(Answer(chunks, 200, EVENTS), stream=True, commit=commit)


@pytest.mark.parametrize("told", [False, pytest.param(True, marks=LATER)])
@pytest.mark.parametrize("name", ["empty events", "fields without a value", "other line ends", "words"])
async def test_whatever_is_translated_others_have_turns(name: str, told: bool) -> None:
    """Chat, of an upstream that speaks Responses."""
    begins = (
        b'data: {"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"a"}\n\n'
    )
    ends = b'data: {"type":"response.completed","response":{"id":"r","status":"completed","output":[]}}\n\n'
    part = begins if name == "words" else ONE_READ[name]
    chunks = [begins] * told + [many(part, READ), ends]
    await assert_turns(Answer(chunks, 200, EVENTS), stream=True, api="responses")


def pieces(begins: bytes, part: bytes, ends: bytes) -> list[bytes]:
    whole = begins + many(part, EVENT) + ends
    return [whole[at : at + READ] for at in range(0, len(whole), READ)]


@pytest.mark.parametrize("commit", ["told", pytest.param("whole", marks=LATER)])
@pytest.mark.parametrize("name", ONE_EVENT)
async def test_whatever_is_in_one_event_others_have_turns(name: str, commit: Literal["told", "whole"]) -> None:
    await assert_turns(Answer([*pieces(*ONE_EVENT[name]), END], 200, EVENTS), stream=True, commit=commit)


@pytest.mark.parametrize("stream", [False, pytest.param(True, marks=LATER)])
@pytest.mark.parametrize("status", [200, pytest.param(400, marks=LATER)])
@pytest.mark.parametrize("name", NO_STREAM)
async def test_whatever_is_in_json_others_have_turns(name: str, status: int, stream: bool) -> None:
    await assert_turns(Answer(pieces(*NO_STREAM[name]), status, JSON), stream=stream)


async def test_a_heavy_last_event_ends_an_answer_all_the_same() -> None:
    """It is known by its end, as one is that is too long to be held."""
    heavy = b'data: {"choices":[{"x":[' + many(b"{},", 300 * KIB) + b'{}],"delta":{},"finish_reason":"stop"}]}\n\n'
    async with world(upstream_a(), settings=Settings(retries=0, hold_limit=EVENT)) as w:
        w.upstream.answer(CHAT, Answer([WORD, heavy], 200, EVENTS))
        answer = await w.post(CHAT, chat(stream=True))
        assert answer.body == WORD + heavy + b"data: [DONE]\n\n"
        assert [record.outcome for record in w.records] == ["completed"]
