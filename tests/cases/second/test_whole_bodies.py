"""Cases 215 to 217, 219 and 220: JSON is an answer when it is whole, and only where JSON was asked for."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from typing import Any

import openai
import pytest

from openai_gateway_asgi import Timeouts
from openai_gateway_asgi.errors import ResponseAborted
from openai_gateway_asgi.testing.wire import JSON, Call, Fields, WireScript, answer, chunked, head, raw, sse
from tests.reliability.gateways import ANN, assert_error, chat
from tests.reliability.gateways import CHAT as CHAT_PATH
from tests.support.asgi import ask
from tests.support.leaks import lasting

from .streams import BOTH, CHAT, Api, read, stream, told_by

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.name)
WHOLE = json.dumps({"id": "1", "choices": [{"message": {"content": "Hello " * 50}, "finish_reason": "stop"}]}).encode()
SHORT = WHOLE[: len(WHOLE) * 6 // 10]
GOOD = answer(200, body=b'{"id": "good"}')
NO_RETRY = {"retries": 0}


def in_pieces(
    *pieces: bytes, kind: bytes = b"application/json", every: float = 0.03, end: bytes = b"0\r\n\r\n"
) -> WireScript:
    """A chunked body, each piece read by itself."""

    async def send(call: Call) -> None:
        await call.read_body()
        await call.send(head(200, ((b"Content-Type", kind), (b"Transfer-Encoding", b"chunked"))))
        for piece in pieces:
            await call.send(chunked(piece))
            await asyncio.sleep(every)
        if end:
            await call.send(end)
        else:
            call.close()

    return send


async def asked(told: Any, path: str = CHAT_PATH, **fields: Any) -> Any:
    return await ask(told.gateway, "POST", path, json={**chat(), **fields}, headers=ANN)


CUT = {
    "a short body": raw(head(200, (*JSON, (b"Content-Length", b"%d" % len(WHOLE)))) + SHORT, close=True),
    "no last chunk": in_pieces(SHORT, end=b""),
    "no last chunk behind whole JSON": in_pieces(WHOLE, end=b""),
    "JSON that ends in its middle": answer(200, body=SHORT),
    "JSON that ends in its middle, in chunks": in_pieces(SHORT[:20], SHORT[20:]),
    "an open brace at the very end": answer(200, body=WHOLE[:-1]),
}


@pytest.mark.parametrize("fault", CUT)
async def test_case_215_json_that_is_cut_is_asked_for_again(fault: str) -> None:
    async with told_by([CUT[fault], GOOD]) as told:
        assert (await asked(told)).body == b'{"id": "good"}'
        assert told.asked == [2]
    async with told_by(CUT[fault], GOOD, settings=NO_RETRY) as told:
        assert (await asked(told)).body == b'{"id": "good"}'
        assert told.asked == [1, 1]
        assert told.outcomes == ["completed"]
    async with told_by(CUT[fault], settings=NO_RETRY) as told, told.sdk() as client:
        assert_error(await asked(told), 502, "upstream_unavailable")
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(**chat())  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "path", ["/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/moderations", "/v1/images/generations"]
)
async def test_case_215_so_is_that_of_every_model_call(path: str) -> None:
    async with told_by([answer(200, body=SHORT), GOOD]) as told:
        assert (await asked(told, path, input="x", prompt="x")).body == b'{"id": "good"}'


GAVE_UP = ("error", "insufficient_system_resource", "network_error", "abort")


@pytest.mark.parametrize("reason", GAVE_UP)
@pytest.mark.parametrize("before", ["", '{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}, '])
async def test_case_215_a_choice_that_was_given_up_is_half_an_answer(reason: str, before: str) -> None:
    given_up = f'{{"choices": [{before}{{"message": {{"content": "Hel"}}, "finish_reason": "{reason}"}}]}}'.encode()
    async with told_by(answer(200, body=given_up), GOOD, settings=NO_RETRY) as told:
        assert (await asked(told)).body == b'{"id": "good"}'
        assert told.outcomes == ["completed"]
    async with told_by(answer(200, body=given_up), settings=NO_RETRY) as told, told.sdk() as client:
        with pytest.raises(openai.InternalServerError, match="in the middle of its answer"):
            await client.chat.completions.create(**chat())  # type: ignore[call-overload]


async def test_case_215_a_text_about_such_a_choice_is_a_text() -> None:
    said = json.dumps(
        {"choices": [{"message": {"content": '"finish_reason": "error"'}, "finish_reason": "stop"}]}
    ).encode()
    async with told_by(answer(200, body=said)) as told:
        assert (await asked(told)).body == said


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("path", [CHAT_PATH, "/v1/embeddings", "/v1/images/generations"])
async def test_case_215_a_status_without_a_body_is_no_answer_of_a_model(path: str, status: int) -> None:
    async with told_by(answer(status, ()), GOOD, settings=NO_RETRY) as told:
        assert (await asked(told, path, input="x", prompt="x")).body == b'{"id": "good"}'
    async with told_by(answer(status, ()), settings=NO_RETRY) as told:
        assert_error(await asked(told, path, input="x", prompt="x"), 502, "upstream_unavailable")


@pytest.mark.parametrize(
    "script", [answer(200, ()), raw(head(200, ((b"Transfer-Encoding", b"chunked"),)) + b"0\r\n\r\n")]
)
async def test_case_215_what_has_nothing_to_answer_may_be_empty(script: WireScript) -> None:
    """OpenAI accepts a call with a status alone."""
    async with told_by(script, settings={"open_groups": {"realtime"}}) as told, told.sdk() as client:
        await client.realtime.calls.accept("rtc_1", type="realtime", model="gpt")
        assert told.outcomes == ["completed"]


@pytest.mark.parametrize("at_a_time", [1, 7, 10_000])
async def test_case_215_whole_json_passes_as_it_came(at_a_time: int) -> None:
    spaced = b" \n" + WHOLE + b"\n"
    pieces = [spaced[at : at + at_a_time] for at in range(0, len(spaced), at_a_time)]
    async with told_by(in_pieces(*pieces, every=0)) as told:
        assert (await asked(told)).body == spaced
        assert told.outcomes == ["completed"]


@pytest.mark.parametrize(
    "end", [b"-", b"0.", b"-0.", b"1e", b"1E", b"1e-", b"0.5e+", b"0.1, ", b"tr", b"nul", b'"\\', b'"\xc3']
)
async def test_case_215_json_that_ends_anywhere_in_its_middle_is_cut(end: bytes) -> None:
    body = b'{"object": "list", "data": [{"embedding": [0.25, ' + end
    for script in (answer(200, body=body), in_pieces(body[:9], body[9:], every=0)):
        async with told_by([script, GOOD]) as told:
            assert (await asked(told, "/v1/embeddings", input="x")).body == b'{"id": "good"}'
            assert told.asked == [2]


@pytest.mark.parametrize("body", [b'{"a": NaN}', b"not json", b'{"a": 1}\n{"a": 2}', b"[" * 200_000 + b"]" * 200_000])
async def test_case_215_what_is_no_strict_json_is_not_ours_to_mend(body: bytes) -> None:
    async with told_by(answer(200, body=body)) as told:
        assert (await asked(told)).body == body
        assert told.asked == [1]


async def test_case_215_more_than_a_mebibyte_passes_as_it_comes() -> None:
    gate = asyncio.Event()
    half = b'{"data": "' + b"x" * 1_200_000

    async def long(call: Call) -> None:
        await call.read_body()
        await call.send(head(200, (*JSON, (b"Transfer-Encoding", b"chunked"))) + chunked(half))
        await gate.wait()
        await call.send(chunked(b'"}') + b"0\r\n\r\n")

    async with told_by(long) as told, told.talk(CHAT, stream=False) as talk:
        await talk.receive_start()
        got = await talk.receive_chunk() or b""
        while len(got) < len(half):
            got += await talk.receive_chunk() or b""
        gate.set()
        assert got + await talk.receive_rest() == half + b'"}'


async def test_case_215_a_mebibyte_is_held() -> None:
    body = json.dumps({"data": "x" * (2**20 - 12)}).encode()
    assert len(body) == 2**20
    async with told_by([in_pieces(body[:-5], every=0), in_pieces(body, every=0)]) as told:
        assert (await asked(told)).body == body
        assert told.asked == [2]


async def test_case_215_compressed_json_is_held_by_its_framing() -> None:
    data = gzip.compress(WHOLE)
    fields = (*JSON, (b"Content-Encoding", b"gzip"), (b"Content-Length", b"%d" % len(data)))
    cut = raw(head(200, fields) + data[:30], close=True)
    async with told_by([cut, raw(head(200, fields) + data)]) as told:
        assert (await asked(told)).body == data
        assert told.asked == [2]


def packed(body: bytes, coding: str = "gzip", status: int = 200) -> WireScript:
    data = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    return answer(status, (*JSON, (b"Content-Encoding", coding.encode())), data)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_case_215_compressed_json_is_judged_by_what_it_holds(coding: str) -> None:
    """Nobody asked for it compressed; it passes as it came, and a failure in it is one."""
    failed = b'{"error": {"message": "x", "code": 429}}'
    for bad in (failed, SHORT, WHOLE.replace(b'"stop"', b'"error"')):
        async with told_by(packed(bad, coding), GOOD, settings=NO_RETRY) as told:
            assert (await asked(told)).body == b'{"id": "good"}'
            assert told.asked == [1, 1]
    async with told_by(packed(failed, coding), settings=NO_RETRY) as told, told.sdk() as client:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(**chat())  # type: ignore[call-overload]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_case_215_the_usage_in_compressed_json_is_counted(coding: str) -> None:
    counted = WHOLE[:-1] + b', "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}'
    async with told_by(packed(counted, coding)) as told, told.sdk() as client:
        heard = await client.chat.completions.create(**chat())  # type: ignore[call-overload]
        assert heard.usage.total_tokens == 7
        usage = told.records[0].usage
        assert usage is not None
        assert (usage.input, usage.output) == (3, 4)


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(b"0" * 10_000_000)])
async def test_case_215_what_cannot_be_opened_passes_unopened(body: bytes) -> None:
    async with told_by(answer(200, (*JSON, (b"Content-Encoding", b"gzip")), body)) as told:
        assert (await asked(told)).body == body


@pytest.mark.parametrize("length", [1, 10, 15, 30])
async def test_case_215_compressed_json_of_which_nothing_can_be_read_yet_is_cut(length: int) -> None:
    body = gzip.compress(WHOLE)[:length]
    async with told_by([answer(200, (*JSON, (b"Content-Encoding", b"gzip")), body), GOOD]) as told:
        assert (await asked(told)).body == b'{"id": "good"}'


async def test_case_215_a_silence_in_its_middle_is_mended_as_well() -> None:
    silent = raw(head(200, (*JSON, (b"Content-Length", b"%d" % len(WHOLE)))) + SHORT)
    async with told_by(silent, GOOD, timeouts=Timeouts(answer=0.3)) as told:
        assert (await asked(told)).body == b'{"id": "good"}'
        assert told.asked == [1, 1]


# Case 216

SPACES = [b" "] * 8
ERROR = b'{"error":{"message":"x","type":"server_error","code":500}}'


async def test_case_216_an_error_behind_white_space_has_its_status() -> None:
    async with told_by(in_pieces(*SPACES, ERROR), settings=NO_RETRY) as told:
        assert_error(await asked(told), 500)
    async with told_by(in_pieces(*SPACES, ERROR), GOOD, settings=NO_RETRY) as told:
        assert (await asked(told)).body == b'{"id": "good"}'
    async with told_by(in_pieces(*SPACES, end=b""), GOOD, settings=NO_RETRY) as told:
        assert (await asked(told)).body == b'{"id": "good"}'


@pytest.mark.parametrize("every", [0.03, 0.0], ids=["again and again", "once"])
async def test_case_216_later_the_white_space_goes_out(every: float) -> None:
    gate = asyncio.Event()

    async def slow(call: Call) -> None:
        await call.read_body()
        await call.send(head(200, (*JSON, (b"Transfer-Encoding", b"chunked"))) + chunked(b" "))
        while every and not gate.is_set():
            await call.send(chunked(b"\n"))
            await asyncio.sleep(every)
        await gate.wait()
        await call.send(chunked(WHOLE) + b"0\r\n\r\n")

    async with told_by(slow, settings={"comment_hold": 0.2}) as told, told.talk(CHAT, stream=False) as talk:
        async with lasting(0.2, 0.6):
            assert (await talk.receive_start()).status == 200
        assert (await talk.receive_chunk() or b"x").strip() == b""
        gate.set()
        assert (await talk.receive_rest()).strip() == WHOLE
    assert told.outcomes == ["completed"]


@pytest.mark.parametrize("then", [(ERROR,), (SHORT,)], ids=["error", "cut"])
async def test_case_216_and_a_failure_behind_it_breaks_the_framing(then: tuple[bytes, ...]) -> None:
    slow = in_pieces(*SPACES, *then, every=0.05, end=b"" if then == (SHORT,) else b"0\r\n\r\n")
    async with told_by(slow, GOOD, settings={"comment_hold": 0.1, **NO_RETRY}) as told:
        async with told.talk(CHAT, stream=False) as talk:
            assert (await talk.receive_start()).status == 200
            with pytest.raises(ResponseAborted):
                await talk.receive_rest()
        assert told.asked == [1, 0]
        assert told.outcomes == ["upstream_failed"]


async def test_case_216_white_space_alone_is_no_answer() -> None:
    async with told_by(in_pieces(*SPACES), GOOD, settings=NO_RETRY) as told:
        assert (await asked(told)).body == b'{"id": "good"}'


async def test_case_216_it_drips_no_longer_than_an_answer_may_take() -> None:
    async with told_by(in_pieces(*([b" "] * 100)), timeouts=Timeouts(answer=0.3)) as told:
        assert_error(await asked(told), 504, "upstream_timeout")


# Case 217

LATE = b'{"id":null,"choices":null,"error":{"message":"x","code":429}}'
NESTED = b'{"error":{"message":"x","code":429}}'


def split(body: bytes, at: int, after: float = 0.03) -> WireScript:
    return in_pieces(body[:at], body[at:], every=after)


@pytest.mark.parametrize(
    "script",
    [
        answer(200, body=LATE),
        *(split(LATE, at) for at in (1, 5, 30)),
        *(split(NESTED, at) for at in (1, 5, 30)),
        answer(200, body=b'{"error":"x","code":"429"}'),
        answer(200, body=b'[{"error":{"message":"x","code":429}}]'),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_case_217_an_error_is_one_wherever_it_stands_and_however_it_comes(
    script: WireScript, streamed: bool
) -> None:
    good = sse(*CHAT.events) if streamed else GOOD
    async with told_by(script, good, settings=NO_RETRY) as told:
        answered = await asked(told, stream=streamed)
        assert answered.body == (CHAT.whole if streamed else b'{"id": "good"}')
        assert told.asked == [1, 1]
    async with told_by(script, settings=NO_RETRY) as told:
        assert assert_error(await asked(told, stream=streamed), 429)["message"] == "x"


async def test_case_217_half_a_second_of_silence_changes_nothing() -> None:
    async def later(call: Call) -> None:
        await call.read_body()
        await call.send(head(200, (*JSON, (b"Content-Length", b"%d" % len(NESTED)))))
        await asyncio.sleep(0.5)
        await call.send(NESTED)

    async with told_by(later, GOOD, settings=NO_RETRY) as told:
        assert (await asked(told)).body == b'{"id": "good"}'


# Case 219


@both
async def test_case_219_json_in_place_of_a_stream_is_one_attempts_failure(api: Api) -> None:
    whole = answer(200, body=b'{"id": "1", "object": "response", "choices": []}')
    async with told_by(whole, stream(*api.events), settings=NO_RETRY) as told, told.sdk() as client:
        assert (await told.ask(api)).body == api.whole
        assert await read(client, api) == "Hello from upstream."
    async with told_by(whole, settings=NO_RETRY) as told:
        assert "stream" in assert_error(await told.ask(api), 502, "upstream_error")["message"]


async def test_case_219_where_a_model_may_answer_whole_json_passes() -> None:
    """Streaming is ignored by whisper-1, as its documentation says."""
    async with told_by(answer(200, body=b'{"text": "x"}')) as told, told.sdk() as client:
        heard = await client.audio.transcriptions.with_raw_response.create(model="gpt", file=b"RIFF", stream=True)
        assert await heard.http_response.aread() == b'{"text": "x"}'


@both
@pytest.mark.parametrize("kind", [b"text/plain", b"application/json", b"application/octet-stream", None])
@pytest.mark.parametrize("first", [b"", b": hello\n\n", b"\n", b"\xef\xbb\xbf"])
async def test_case_219_events_under_another_type_are_events(api: Api, kind: bytes | None, first: bytes) -> None:
    fields = ((b"Content-Type", kind),) if kind else ()
    async with told_by(sse(first, *api.events, headers=fields) if first else sse(*api.events, headers=fields)) as told:
        answered = await told.ask(api)
        assert answered.body == first + api.whole
        assert answered.header("content-type") == "text/event-stream"
        async with told.sdk() as client:
            assert await read(client, api) == "Hello from upstream."


@pytest.mark.parametrize("at", [1, 3, 5, 6])
async def test_case_219_they_are_known_however_they_are_split(at: int) -> None:
    whole = CHAT.whole
    async with told_by(in_pieces(whole[:at], whole[at:], kind=b"text/plain")) as told:
        assert (await told.ask(CHAT)).body == whole


@both
async def test_case_219_a_stream_that_nobody_asked_for_is_a_502_that_says_so(api: Api) -> None:
    async with told_by(stream(*api.events), settings=NO_RETRY) as told:
        assert "stream" in assert_error(await told.ask(api, stream=False), 502, "upstream_error")["message"]
    async with told_by(stream(*api.events), GOOD, settings=NO_RETRY) as told:
        assert (await told.ask(api, stream=False)).body == b'{"id": "good"}'


@pytest.mark.parametrize("path", ["/v1/images/generations", "/v1/embeddings"])
async def test_case_219_nor_is_one_the_answer_of_another_model(path: str) -> None:
    events = b'event: image_generation.completed\ndata: {"type": "image_generation.completed"}\n\n'
    async with told_by(stream(events), GOOD, settings=NO_RETRY) as told:
        assert (await asked(told, path, input="x", prompt="x")).body == b'{"id": "good"}'


@pytest.mark.parametrize("first", [b"", b"\n", b"\xef\xbb\xbf", b": hello\n\n"])
async def test_case_219_nor_is_one_that_calls_itself_json(first: bytes) -> None:
    async with told_by(answer(200, body=first + CHAT.whole), GOOD, settings=NO_RETRY) as told:
        assert (await told.ask(CHAT, stream=False)).body == b'{"id": "good"}'
    async with told_by(answer(200, body=first + CHAT.whole), settings=NO_RETRY) as told:
        assert "a stream" in assert_error(await told.ask(CHAT, stream=False), 502, "upstream_error")["message"]


async def test_case_219_nor_is_json_the_stream_of_a_stored_response() -> None:
    """The client would read no event in it, and take that for all there is."""
    stored = answer(200, body=b'{"id": "resp_1", "object": "response", "status": "completed", "output": []}')
    async with told_by(stored, settings={"open_groups": {"responses"}, **NO_RETRY}) as told, told.sdk() as client:
        with pytest.raises(openai.InternalServerError, match="something else than a stream"):
            async for _ in await client.responses.retrieve("resp_1", stream=True):
                pass
        assert (await client.responses.retrieve("resp_1")).status == "completed"


async def test_case_219_an_error_in_such_a_stream_is_that_error() -> None:
    error = b'data: {"error":{"message":"Too long.","code":"context_length_exceeded"}}\n\n'
    async with told_by(stream(error), settings=NO_RETRY) as told:
        assert assert_error(await asked(told), 400, "context_length_exceeded")["message"] == "Too long."


# Case 220

PAGE = answer(200, ((b"Content-Type", b"text/html; charset=utf-8"),), b"<html>log in</html>")


@pytest.mark.parametrize("kind", [b"text/html", b"text/html; charset=utf-8", b"TEXT/HTML", b"application/xhtml+xml"])
@pytest.mark.parametrize("path", [CHAT_PATH, "/v1/embeddings", "/v1/responses"])
async def test_case_220_a_page_is_no_answer(kind: bytes, path: str) -> None:
    page = answer(200, ((b"Content-Type", kind),), b"<html>log in</html>")
    async with told_by(page, GOOD, settings=NO_RETRY) as told:
        assert (await asked(told, path, input="x")).body == b'{"id": "good"}'
    async with told_by(page, settings=NO_RETRY) as told:
        answered = await asked(told, path, input="x")
        assert_error(answered, 502, "upstream_error")
        assert b"log in" not in answered.body


@pytest.mark.parametrize("page", [b"<html>log in</html>", b"\n<!DOCTYPE html><html>log in</html>"])
@pytest.mark.parametrize("path", [CHAT_PATH, "/v1/embeddings", "/v1/responses"])
async def test_case_220_a_page_is_none_under_the_name_of_json_either(page: bytes, path: str) -> None:
    async with told_by(answer(200, body=page), GOOD, settings=NO_RETRY) as told:
        assert (await asked(told, path, input="x")).body == b'{"id": "good"}'
    async with told_by(answer(200, body=page), settings=NO_RETRY) as told:
        answered = await asked(told, path, input="x")
        assert "a page" in assert_error(answered, 502, "upstream_error")["message"]
        assert b"log in" not in answered.body


@pytest.mark.parametrize("page", [b"<html>log in</html>", b" \n<!doctype html><html>log in</html>"])
@pytest.mark.parametrize("headers", [(), ((b"Content-Type", b"text/plain; charset=utf-8"),)])
async def test_case_220_nor_under_no_name(page: bytes, headers: Fields) -> None:
    for script in (answer(200, headers, page), raw(head(200, headers) + page, close=True)):
        async with told_by(script, GOOD, settings=NO_RETRY) as told:
            assert (await asked(told, CHAT_PATH, input="x")).body == b'{"id": "good"}'
    async with told_by(answer(200, headers, b"<speak>hello</speak>")) as told:
        assert (await asked(told, CHAT_PATH, input="x")).body == b"<speak>hello</speak>"


@pytest.mark.parametrize("path", ["/v1/files", "/v1/responses/resp_1", "/v1/vector_stores"])
async def test_case_220_a_page_is_no_stored_object_either(path: str) -> None:
    async with told_by(PAGE, settings={"open_groups": {"files", "responses", "vector_stores"}}) as told:
        assert_error(await ask(told.gateway, "GET", path, headers=ANN), 502, "upstream_error")


STORED_ERRORS = [
    {"error": {"message": "Slow.", "code": 429}},
    {"message": "Slow.", "code": 429},
    [{"error": {"code": 429, "message": "Slow."}}],
]


@pytest.mark.parametrize("data", STORED_ERRORS)
@pytest.mark.parametrize("path", ["/v1/files", "/v1/responses/resp_1", "/v1/batches/batch_1"])
async def test_case_217_an_error_in_place_of_a_stored_object_is_one(path: str, data: Any) -> None:
    opened = {**NO_RETRY, "open_groups": {"files", "responses", "batches"}}
    async with told_by(answer(200, body=json.dumps(data).encode()), settings=opened) as told:
        assert assert_error(await ask(told.gateway, "GET", path, headers=ANN), 429)["message"] == "Slow."


@pytest.mark.parametrize(
    "stored",
    [
        {"id": "resp_1", "object": "response", "status": "failed", "error": {"code": "server_error", "message": "x"}},
        {"id": "x_1", "object": "thing.unheard", "error": {"message": "x", "code": 500}},
        {"id": "batch_1", "object": "batch", "errors": {"object": "list", "data": [{"message": "x"}]}},
        {"object": "list", "data": [{"id": "v_1", "object": "video", "error": {"message": "x"}}]},
        {"object": "thing.deleted", "deleted": True, "error": None},
    ],
)
async def test_case_217_what_became_of_a_stored_object_is_no_error_of_the_call(stored: Any) -> None:
    body = json.dumps(stored).encode()
    async with told_by(answer(200, body=body), settings={"open_groups": {"responses"}}) as told:
        assert (await ask(told.gateway, "GET", "/v1/responses/resp_1", headers=ANN)).body == body


async def test_case_217_a_file_may_hold_an_error() -> None:
    body = json.dumps(STORED_ERRORS[0]).encode()
    async with told_by(answer(200, body=body), settings={"open_groups": {"files"}}) as told:
        assert (await ask(told.gateway, "GET", "/v1/files/file-1/content", headers=ANN)).body == body


@pytest.mark.parametrize("data", STORED_ERRORS)
async def test_case_217_nor_is_an_error_a_sound(data: Any) -> None:
    audio = ((b"Content-Type", b"audio/mpeg"),)
    async with told_by(answer(200, audio, json.dumps(data).encode()), settings=NO_RETRY) as told:
        assert_error(await asked(told, "/v1/audio/speech", input="x", voice="alloy"), 429)
    for sound in (b"{" + b"\0" * 100, b'{"' + b"\0" * 100):
        async with told_by(answer(200, audio, sound)) as told:
            assert (await asked(told, "/v1/audio/speech", input="x", voice="alloy")).body == sound


async def test_case_220_a_file_may_be_a_page() -> None:
    async with told_by(PAGE, settings={"open_groups": {"files"}}) as told:
        got = await ask(told.gateway, "GET", "/v1/files/file-1/content", headers=ANN)
        assert (got.status, got.body) == (200, b"<html>log in</html>")


async def test_case_220_a_transcription_may_be_plain_text() -> None:
    async with told_by(answer(200, ((b"Content-Type", b"text/plain"),), b"Hello.")) as told, told.sdk() as client:
        heard = await client.audio.transcriptions.create(model="gpt", file=b"RIFF", response_format="text")
        assert heard == "Hello."
    async with told_by(PAGE, settings=NO_RETRY) as told, told.sdk() as client:
        with pytest.raises(openai.InternalServerError):
            await client.audio.transcriptions.create(model="gpt", file=b"RIFF", response_format="text")
