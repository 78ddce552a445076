"""One record and one log line per model call, however it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import Outcome, Settings, UsageRecord
from openai_gateway_asgi.host.usage import normal_usage
from openai_gateway_asgi.testing import Answer, error_answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import RESPONSES_USAGE, USAGE
from tests.cases.gateways import USERS, chat, upstream_a, world
from tests.support.asgi import Conversation

CHAT = "/chat/completions"
DONE = b"data: [DONE]\n\n"


async def test_a_record_tells_who_asked_for_what_and_what_it_cost() -> None:
    async with world(upstream_a("m1", prefix_id="p")) as w:
        w.upstream.answer(CHAT, json_answer({"usage": USAGE}, 201, [("x-request-id", "req_up")]))
        response = await w.chat("p.m1", headers={"x-test-user": "u1"})
        (record,) = w.records
    assert record.first_byte is not None
    assert 0 < record.first_byte <= record.total < 5
    assert record == UsageRecord(
        request_id=response.header("x-gateway-request-id") or "",
        upstream_request_id="req_up",
        operation="createChatCompletion",
        user=USERS["u1"],
        model="p.m1",
        upstream="A",
        upstream_model="m1",
        status=201,
        outcome=Outcome.COMPLETED,
        error=None,
        attempts=1,
        streamed=False,
        first_byte=record.first_byte,
        total=record.total,
        usage=normal_usage(USAGE),
        usage_raw=USAGE,
        tries=record.tries,
        served_model="p.m1",
        model_label="p.m1",
    )


@pytest.mark.parametrize(
    ("path", "fields", "usage"),
    [
        (CHAT, {"stream": True, "stream_options": {"include_usage": True}}, USAGE),
        (CHAT, {"stream": True}, USAGE),
        (CHAT, {"stream": True, "stream_options": {"include_usage": False}}, USAGE),
        ("/responses", {"stream": True}, RESPONSES_USAGE),
        ("/responses", {}, RESPONSES_USAGE),
        ("/embeddings", {}, {"prompt_tokens": 7, "total_tokens": 7}),
        ("/moderations", {}, None),
    ],
)
async def test_usage_is_what_the_upstream_said(path: str, fields: dict[str, Any], usage: dict[str, int] | None) -> None:
    async with world() as w:
        assert (await w.post(path, {"model": "m1", "input": "x", **fields})).status == 200
        assert [record.usage_raw for record in w.records] == [usage]
        assert w.records[0].streamed is bool(fields.get("stream"))


async def test_usage_that_comes_in_pieces_is_found() -> None:
    body = b'{"object": "chat.completion", "usage": {"prompt_tokens": 7, "total_tokens": 11}, "service_tier": "x"}'
    pieces = [body[:60], body[60:80], body[80:]]
    async with world() as w:
        w.upstream.answer(CHAT, Answer(pieces, 200, [("content-type", "application/json")]))
        await w.chat()
        assert w.records[0].usage_raw == {"prompt_tokens": 7, "total_tokens": 11}


@pytest.mark.parametrize("streamed", [False, True])
async def test_usage_is_found_however_small_the_reads_are(streamed: bool) -> None:
    whole = b'{"output": ["%s"], "usage": {"total_tokens": 11}, "metadata": {"a": "%s"}}' % (b"x" * 900, b"m" * 900)
    if streamed:
        whole = b'data: {"type": "response.completed", "response": ' + whole + b"}\n\n"
    reads = [whole[at : at + 10] for at in range(0, len(whole), 10)]
    async with world(settings=Settings(hold_limit=100)) as w:
        kind = "text/event-stream" if streamed else "application/json"
        w.upstream.answer("/responses", Answer(reads, 200, [("content-type", kind)]))
        answer = await w.post("/responses", {"model": "m1", "input": "x", "stream": streamed})
        assert answer.body == whole
        assert w.records[0].usage_raw == {"total_tokens": 11}


async def test_comments_behind_the_last_event_hide_neither_the_end_nor_the_usage() -> None:
    final = b'data: {"type": "response.completed", "response": {"usage": {"total_tokens": 11}}}\n\n'
    async with world() as w:
        w.upstream.answer("/responses", stream_answer([final, *[b": ping\n\n"] * 20]))
        answer = await w.post("/responses", {"model": "m1", "input": "x", "stream": True})
        assert answer.body == final  # which is the end
        assert w.records[0].usage_raw == {"total_tokens": 11}


def cut(request: object) -> Answer:
    async def chunks() -> Any:
        yield b'data: {"a": 1}\n\n'
        raise httpx.ReadError("")

    return Answer(chunks(), 200, [("content-type", "text/event-stream")])


@pytest.mark.parametrize(
    ("answer", "status", "outcome", "error"),
    [
        (error_answer(400), 400, Outcome.REJECTED, "upstream_error"),
        (error_answer(429), 429, Outcome.REJECTED, "upstream_error"),
        (error_answer(500), 500, Outcome.UPSTREAM_FAILED, "upstream_error"),
        (error_answer(401), 502, Outcome.UPSTREAM_FAILED, "upstream_credential"),
        (cut, 200, Outcome.UPSTREAM_FAILED, "upstream_unavailable"),
        (
            stream_answer([b'data: {"a": 1}\n\n', b'data: {"error": {"message": "x"}}\n\n']),
            200,
            Outcome.UPSTREAM_FAILED,
            None,
        ),
    ],
)
async def test_failures_of_upstreams_have_their_outcome(
    answer: Any, status: int, outcome: Outcome, error: str | None
) -> None:
    async with world() as w:
        w.upstream.answer(CHAT, answer)
        await w.chat(stream=True)
        (record,) = w.records
        assert (record.status, record.outcome, record.error) == (status, outcome, error)
        assert record.upstream == "A"


async def test_what_the_gateway_refuses_is_recorded_too() -> None:
    async with world() as w:
        await w.chat("unknown")
        await w.post_bytes(CHAT, b"{")
        seen = [(record.model, record.status, record.outcome, record.error) for record in w.records]
        assert seen == [
            ("unknown", 404, Outcome.REJECTED, "model_not_found"),
            (None, 400, Outcome.REJECTED, "invalid_json"),
        ]
        assert [(record.upstream, record.attempts, record.usage_raw) for record in w.records] == [(None, 0, None)] * 2


async def test_a_failing_callable_of_the_hosts_is_recorded() -> None:
    def fails(*args: object) -> bool:
        raise RuntimeError

    async with world(authorize_model=fails) as w:
        await w.chat()
        assert [(record.status, record.outcome) for record in w.records] == [(500, Outcome.FAILED)]


async def test_lists_and_unknown_paths_are_no_model_calls() -> None:
    async with world() as w:
        for method, path in (("GET", "/models"), ("GET", "/models/m1"), ("GET", "/files"), ("POST", "/nothing")):
            await w.ask(method, path)
        assert w.records == []


async def test_strangers_leave_no_record() -> None:
    async with world() as w:
        assert (await w.chat(headers={"x-test-user": "nobody"})).status == 401
        assert w.records == []


async def hangs(request: object) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_client_that_leaves_before_its_answer_is_recorded() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, hangs)
        async with w.conversation(CHAT, chat()) as talk:
            await w.upstream.until_requests(1)
            talk.disconnect()
            await talk.ended()
        (record,) = w.records
        assert (record.status, record.outcome) == (None, Outcome.CLIENT_GONE_BEFORE_FIRST_BYTE)
        assert (record.first_byte, record.upstream) == (None, "A")


async def test_a_client_that_leaves_its_stream_is_recorded() -> None:
    async def endless() -> Any:
        yield b'data: {"a": 1}\n\n'
        await asyncio.Event().wait()

    async with world() as w:
        w.upstream.answer(CHAT, Answer(endless(), 200, [("content-type", "text/event-stream")]))
        async with w.conversation(CHAT, chat(stream=True)) as talk:
            await talk.receive_start()
            await talk.receive_chunk()
            talk.disconnect()
            await talk.ended()
        assert [(record.status, record.outcome) for record in w.records] == [(200, Outcome.CLIENT_GONE)]


async def test_a_call_that_the_server_cancels_is_recorded() -> None:
    async with world() as w:
        w.upstream.answer(CHAT, hangs)
        talk: Conversation = w.conversation(CHAT, chat())
        async with talk:
            await w.upstream.until_requests(1)
            assert talk._task is not None
            talk._task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await talk.ended()
        assert [record.outcome for record in w.records] == [Outcome.CANCELLED]


async def test_an_async_callable_gets_the_record_even_when_the_client_has_left() -> None:
    records: list[UsageRecord] = []

    async def record_usage(record: UsageRecord) -> None:
        await asyncio.sleep(0)
        records.append(record)

    async with world(record_usage=record_usage) as w:
        await w.chat()
        w.upstream.answer(CHAT, hangs)
        async with w.conversation(CHAT, chat()) as talk:
            await w.upstream.until_requests(2)
            talk.disconnect()
            await talk.ended()
    assert [record.outcome for record in records] == [Outcome.COMPLETED, Outcome.CLIENT_GONE_BEFORE_FIRST_BYTE]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_failing_record_usage_harms_no_answer(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    def fails(record: UsageRecord) -> None:
        raise RuntimeError("no database")

    async def fails_async(record: UsageRecord) -> None:
        raise RuntimeError("no database")

    async with world(record_usage=fails_async if is_async else fails) as w:
        assert (await w.chat()).status == 200
        assert (await w.chat("unknown")).status == 404
    assert "record_usage raised RuntimeError" in caplog.text


async def test_the_log_gets_one_line_with_the_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "openai_gateway_asgi")
    async with world(record_usage=None) as w:
        answer = stream_answer([b'data: {"secret-answer": {"finish_reason": "stop"}}\n\n', DONE])
        w.upstream.answer(CHAT, answer)
        await w.chat(stream=True, prompt="secret-question", headers={"authorization": "Bearer secret-token"})
    (line,) = [record for record in caplog.records if record.levelno == logging.INFO]
    fields: dict[str, Any] = line.call  # type: ignore[attr-defined]
    assert line.name == "openai_gateway_asgi"
    assert type(fields) is dict
    assert fields["tries"][0]["status"] == 200
    told = f"{fields['request_id']} createChatCompletion user=a1 model=m1 upstream=A status=200"
    assert line.getMessage().startswith(told)
    assert "secret" not in caplog.text + repr(line.__dict__)
    assert "ka" not in line.getMessage().split("user=")[1].split()


def test_a_line_names_the_thread_that_served_even_where_an_earlier_one_had_its_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "openai_gateway_asgi")

    async def call() -> None:
        async with world() as w:
            await w.chat()

    names = [f"thread {number}" for number in range(20)]
    for name in names:
        thread = threading.Thread(target=asyncio.run, args=(call(),), name=name)
        thread.start()
        thread.join()
    assert [line.threadName for line in caplog.records if line.levelno == logging.INFO] == names


FORKS = """
import asyncio, logging, os, sys
from tests.cases.gateways import world

class Numbers(logging.Handler):
    def emit(self, line):
        os.write(1, f"{line.process == os.getpid()} ".encode())

logger = logging.getLogger("openai_gateway_asgi")
logger.setLevel(logging.INFO)
logger.addHandler(Numbers())

async def call():
    async with world() as w:
        await w.chat()

asyncio.run(call())
child = os.fork()
asyncio.run(call())
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_line_of_a_forked_process_names_that_process() -> None:
    told = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.split() == ["True"] * 3
