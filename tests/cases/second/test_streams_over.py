"""Cases 201 to 211: a stream is over when it has said so, and only then, whatever its connection does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from openai_gateway_asgi import Timeouts
from openai_gateway_asgi.answers import events as stream_events
from openai_gateway_asgi.testing.answers import DONE, sse
from openai_gateway_asgi.testing.wire import EVENTS, WireScript, chunked, head, raw
from tests.reliability.gateways import assert_error
from tests.support.leaks import lasting

from .streams import (
    BOTH,
    CHAT,
    PING,
    RESPONSES,
    Api,
    at_once,
    error_event_of,
    read,
    stream,
    then_pings,
    told_by,
    usage_chunk,
)

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.name)
FINISHED = CHAT.events[:-1]
"""A chat whose choice has finished, without [DONE]."""


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> float:
    """The wait for the last words, shortened from its 3 seconds."""
    assert stream_events.LAST_WORDS == 3.0
    monkeypatch.setattr(stream_events, "LAST_WORDS", 0.3)
    return 0.3


def finish(reason: Any, index: int = 0, delta: dict[str, str] | None = None) -> bytes:
    return sse({"id": "1", "choices": [{"index": index, "delta": delta or {}, "finish_reason": reason}]})


def word(text: str, reason: Any = None, index: int = 0) -> bytes:
    return finish(reason, index, {"content": text})


@both
@pytest.mark.parametrize("ending", ["cut", "reset"])
async def test_case_201_a_whole_answer_is_whole_however_its_connection_ends(api: Api, ending: str) -> None:
    async with told_by(stream(*api.events, ending=ending), settings={"retries": 0}) as told:
        for _ in range(7):  # more than open a breaker
            answer = await told.ask(api)
            assert (answer.status, answer.body) == (200, api.whole)
        assert told.outcomes == ["completed"] * 7
        assert told.asked == [7]
        assert len(told.upstreams[0].connections) == 7


@both
async def test_case_201_the_official_client_reads_it(api: Api) -> None:
    async with told_by(stream(*api.events, ending="reset")) as told, told.sdk() as client:
        assert await read(client, api) == "Hello from upstream."


@both
async def test_case_201_a_connection_is_used_again_where_its_answer_ended_in_order(api: Api) -> None:
    gate = asyncio.Event()
    late = stream(*api.events, gates={len(api.events): gate})  # the end of the framing comes in a packet of its own
    async with told_by([late, stream(*api.events)]) as told:
        assert (await told.ask(api)).body == api.whole
        gate.set()
        async with asyncio.timeout(5):
            while len(told.upstreams[0].connections[0].requests) < 2:
                assert (await told.ask(api)).body == api.whole


async def test_case_201_bytes_behind_the_end_of_an_answer_reach_nobody_else() -> None:
    poisoned = raw(
        head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked")))
        + chunked(CHAT.whole)
        + b"0\r\n\r\nHTTP/1.1 200 POISON\r\n\r\n"
    )
    async with told_by(poisoned) as told:
        for _ in range(3):
            assert (await told.ask(CHAT)).body == CHAT.whole
        assert len(told.upstreams[0].connections) == 3


@both
@pytest.mark.parametrize("commit", ["told", "whole"])
@pytest.mark.parametrize("script", [stream, at_once], ids=["event by event", "at once"])
async def test_case_201_an_error_behind_the_end_of_an_answer_is_none_of_it(api: Api, script: Any, commit: str) -> None:
    """Clients would raise on it, though they have had all of the answer; how far its reads go must make no difference."""
    late = sse({"type": "error", "error": {"message": "broken pipe", "code": 500}}, "error")
    async with told_by(script(*api.events, PING, late), settings={"commit": commit}) as told, told.sdk() as client:
        assert (await told.ask(api)).body == api.whole
        assert await read(client, api)
        assert told.outcomes == ["completed"] * 2


@both
@pytest.mark.parametrize("script", [stream, at_once], ids=["event by event", "at once"])
async def test_case_202_the_answer_ends_with_its_last_event_though_the_connection_stays_open(
    api: Api, script: Any
) -> None:
    async with told_by(script(*api.events, ending="open")) as told:
        async with asyncio.timeout(5):
            assert (await told.ask(api)).body == api.whole
        assert told.outcomes == ["completed"]
        await told.upstreams[0].connections[0].closed()


@pytest.mark.parametrize("end", [b"data: [DONE]\n\n: ping\n\n", b"data: [DONE]\r\n\r\n", b"data:[DONE]\n\n" + PING * 5])
async def test_case_202_done_is_known_however_it_is_written(end: bytes) -> None:
    async with told_by(stream(*CHAT.events[:-1], end, ending="open")) as told:
        async with asyncio.timeout(5):
            assert (await told.ask(CHAT)).body == b"".join(CHAT.events[:-1]) + end


async def test_case_202_completions_images_and_sound_end_with_their_own_last_event() -> None:
    texts = [sse({"choices": [{"index": 0, "text": "x", "finish_reason": None}]}), DONE]
    images = [sse({"type": "image_generation.partial_image"}), sse({"type": "image_generation.completed"})]
    words = [sse({"type": "transcript.text.delta", "delta": "x"}), sse({"type": "transcript.text.done", "text": "x"})]
    spoken = [sse({"type": "speech.audio.delta", "audio": "AA"}), sse({"type": "speech.audio.done"})]
    asked = {
        "/v1/completions": (texts, {"prompt": "x"}),
        "/v1/images/generations": (images, {"prompt": "x"}),
        "/v1/images/edits": ([images[0], sse({"type": "image_edit.completed"})], {"prompt": "x", "images": []}),
        "/v1/audio/speech": (spoken, {"input": "x", "voice": "alloy", "stream_format": "sse"}),
    }
    for path, (events, fields) in asked.items():
        async with told_by(stream(*events, ending="open")) as told, asyncio.timeout(5):
            api = Api(path, path, events, 0, fields)
            assert (await told.ask(api)).body == b"".join(events), path
    async with told_by(stream(*words, ending="open")) as told, told.sdk() as client, asyncio.timeout(5):
        heard = await client.audio.transcriptions.create(model="gpt", file=b"RIFF", stream=True)
        assert [event.type async for event in heard] == ["transcript.text.delta", "transcript.text.done"]


@pytest.mark.parametrize(
    "script", [stream(*FINISHED, ending="open"), then_pings(*FINISHED)], ids=["silent", "comments"]
)
async def test_case_203_a_finished_answer_ends_with_done_when_nothing_more_comes(
    script: WireScript, brief: float
) -> None:
    async with told_by(script, timeouts=Timeouts(idle=0.2)) as told:
        async with lasting(brief, brief + 0.7):
            answer = await told.ask(CHAT)
        assert answer.body.replace(PING, b"") == b"".join(FINISHED) + DONE
        assert told.outcomes == ["completed"]


async def test_case_203_the_usage_is_waited_for(brief: float) -> None:
    gate = asyncio.Event()
    script = stream(*FINISHED, usage_chunk(), gates={len(FINISHED): gate}, ending="open")
    async with told_by(script) as told:
        asyncio.get_running_loop().call_later(brief / 2, gate.set)
        asked = await told.ask(CHAT, stream_options={"include_usage": True})
        assert asked.body == b"".join(FINISHED) + usage_chunk() + DONE
        (record,) = told.records
        assert record.usage_raw == {"total_tokens": 3}


async def test_case_203_all_the_choices_that_were_asked_for_are_waited_for(brief: float) -> None:
    two = [word("a"), word("b", index=1), finish("stop")]
    async with told_by(stream(*two, ending="open"), timeouts=Timeouts(idle=2 * brief)) as told:
        assert error_event_of((await told.ask(CHAT, n=2)).body)["code"] == "upstream_timeout"
    async with told_by(stream(*two, finish("stop", 1), ending="open")) as told:
        assert (await told.ask(CHAT, n=2)).body == b"".join(two) + finish("stop", 1) + DONE


async def test_case_203_one_that_goes_on_to_speak_is_not_over(brief: float) -> None:
    """Agents finish a choice for each of their rounds."""
    gates = {number: asyncio.Event() for number in (2, 3)}
    rounds = [word("a"), finish("tool_calls"), word("b"), finish("stop"), DONE]
    async with told_by(stream(*rounds, gates=gates)) as told:
        for number, gate in gates.items():
            asyncio.get_running_loop().call_later(brief * 0.6 * (number - 1), gate.set)
        assert (await told.ask(CHAT)).body == b"".join(rounds)


@pytest.mark.parametrize("more", [word("b", "stop"), sse({"choices": [{"delta": {"reasoning_content": "b"}, "finish_reason": "stop"}]})])  # fmt: skip
async def test_case_203_one_that_says_of_each_event_that_it_is_the_last_is_heard_for_longer(
    brief: float, more: bytes
) -> None:
    gates = {number: asyncio.Event() for number in (1, 2)}
    events = [word("a", "stop"), more, word("c", "stop"), DONE]
    async with told_by(stream(*events, gates=gates)) as told:
        asyncio.get_running_loop().call_later(brief * 0.6, gates[1].set)
        asyncio.get_running_loop().call_later(brief * 2.5, gates[2].set)
        assert (await told.ask(CHAT)).body == b"".join(events)
        assert told.outcomes == ["completed"]


async def test_case_203_but_one_that_only_repeats_its_end_is_not(brief: float) -> None:
    again = [*FINISHED, finish("stop"), usage_chunk()]
    async with told_by(stream(*again, ending="open")) as told:
        async with lasting(brief, brief + 0.7):
            assert (await told.ask(CHAT, stream_options={"include_usage": True})).body == b"".join(again) + DONE


@pytest.mark.parametrize("reason", ["", "null", "None"])
async def test_case_204_an_empty_reason_is_none(reason: str) -> None:
    events = [word("Hello", reason), word(" from", reason)]
    async with told_by(at_once(*events)) as told:
        answer = await told.ask(CHAT)
        assert answer.body.startswith(b"".join(events) + b"event: error")
        assert error_event_of(answer.body)["code"] == "upstream_unavailable"
        assert told.outcomes == ["upstream_failed"]


@pytest.mark.parametrize("then", [(), (DONE,)], ids=["end", "done"])
@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource", "network_error", "abort"])
async def test_case_205_a_reason_that_is_an_error_is_one(then: tuple[bytes, ...], reason: str) -> None:
    events = [*CHAT.told(), finish(reason)]
    async with told_by(stream(*events, *then)) as told, told.sdk() as client:
        answer = await told.ask(CHAT)
        assert answer.body.startswith(b"".join(events) + b"event: error")
        assert DONE not in answer.body
        with pytest.raises(openai.APIError):
            await read(client, CHAT)
        assert told.outcomes == ["upstream_failed"] * 2


@pytest.mark.parametrize("index", [0, 1])
async def test_case_205_what_an_error_in_a_choice_says_is_told(index: int) -> None:
    """OpenRouter has it there; before anything was told it has its status."""
    choice = {
        "index": index,
        "delta": {"content": ""},
        "finish_reason": "error",
        "error": {"code": 429, "message": "Slow."},
    }
    failed = sse({"id": "1", "choices": [choice]})
    async with told_by(stream(failed, DONE), stream(*CHAT.events)) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [1, 1]
    async with told_by(stream(*CHAT.told(), failed, DONE)) as told:
        assert error_event_of((await told.ask(CHAT)).body)["error"]["message"] == "Slow."


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("done", [DONE, b"data: [DONE]\n"])
async def test_case_205_done_behind_a_response_without_its_final_event_hides_nothing(
    done: bytes, together: bool
) -> None:
    """A proxy that writes it behind whatever it got: clients stop reading there, so the error stands before it."""
    cut = RESPONSES.told()
    events = [b"".join((*cut, done))] if together else [*cut, done]
    async with told_by(stream(*events)) as told, told.sdk() as client:
        answer = await told.ask(RESPONSES)
        assert answer.body.startswith(b"".join(cut) + b"event: error")
        assert b"[DONE]" not in answer.body
        with pytest.raises(openai.APIError):
            await read(client, RESPONSES)
        assert told.outcomes == ["upstream_failed"] * 2


@pytest.mark.parametrize("ending", ["cut", "reset", "whole"])
@pytest.mark.parametrize("tail", [b"", b'data: {"id": "half of'], ids=["at a boundary", "in an event"])
async def test_case_206_an_answer_that_has_finished_is_whole_without_done(ending: str, tail: bytes) -> None:
    async with told_by(stream(*FINISHED, *([tail] if tail else []), ending=ending)) as told:
        assert (await told.ask(CHAT)).body == b"".join(FINISHED) + DONE
        assert told.outcomes == ["completed"]


async def test_case_206_so_is_one_whose_framing_breaks_in_the_read_that_brings_it_all() -> None:
    start, whole = head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))), b"".join(FINISHED)
    for events, broken in ((whole, b"zz\r\n"), (whole + DONE, b"\0"), (whole + DONE, b"8\r\n{}\r\n")):
        async with told_by(raw(start + chunked(events) + broken, close=True), settings={"retries": 0}) as told:
            assert (await told.ask(CHAT)).body == whole + DONE
            assert told.outcomes == ["completed"]
    half = b"".join(CHAT.told())
    async with told_by(raw(start + chunked(half) + b"zz\r\n")) as told:
        answer = await told.ask(CHAT)
        assert answer.body.startswith(half)
        assert error_event_of(answer.body)["error"]["code"] == "upstream_unavailable"
    for nothing in (b"zz\r\n", b""):
        async with told_by([raw(start + nothing, close=True), stream(*CHAT.events)]) as told:
            assert (await told.ask(CHAT)).body == CHAT.whole
    async with told_by([raw(b"HTTP/1.1 200 OK\r\nno header\r\n\r\nno body"), stream(*CHAT.events)]) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole


LLAMA = b'error: {"code":503,"message":"Loading model","type":"unavailable_error"}\n\n'


@pytest.mark.parametrize("starts", [[], CHAT.starts], ids=["at once", "behind the role"])
async def test_case_207_an_error_field_before_anything_was_told_is_a_failure_like_any_other(
    starts: list[bytes],
) -> None:
    async with told_by([stream(*starts, LLAMA, DONE), stream(*CHAT.events)]) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [2]
    bare = b'{"error": {"message": "Loading model", "code": 503}}\n\n'
    async with told_by([stream(*starts, bare, DONE), stream(*CHAT.events)]) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole
    async with told_by(stream(*starts, LLAMA, DONE)) as told:
        answer = await told.ask(CHAT)
        if not starts:
            assert_error(answer, 503)
        assert b"Loading model" in answer.body


IN_OTHER_WORDS = {
    "detail": b'data: {"detail": "Overloaded."}\n\n',
    "flat": b'data: {"message": "Overloaded.", "code": 503}\n\n',
    "status": b'data: {"message": "Overloaded.", "status": "503"}\r\n\r\n',
    "no success": b'data: {"success": false, "message": "Overloaded."}\n\n',
}


@pytest.mark.parametrize("done", [DONE, DONE[:-1], DONE.strip()])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("failed", IN_OTHER_WORDS)
async def test_case_208_nor_does_done_hide_one_that_is_told_in_other_words(
    failed: str, together: bool, done: bytes
) -> None:
    """Nobody looks for these words while a stream goes on; but no choice had finished."""
    events = [*CHAT.told(), IN_OTHER_WORDS[failed]]
    script = stream(b"".join((*events, done))) if together else stream(*events, done)
    async with told_by(script) as told, told.sdk() as client:
        answer = await told.ask(CHAT)
        assert answer.body.startswith(b"".join(events) + b"event: error")
        assert error_event_of(answer.body)["error"]["message"] == "Overloaded."
        assert DONE not in answer.body
        with pytest.raises(openai.APIError):
            await read(client, CHAT)
    async with told_by([script, stream(*CHAT.events)], settings={"commit": "whole"}) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [2]


@pytest.mark.parametrize("last", [b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": NaN}]}\n\n', b"data: words\n\n", PING, b"event: ping\ndata: {}\n\n", b"data: \n\n", usage_chunk(), b'data: {"choices": [{"index": 0, "delta": {"content": "the message, code 503"}}]}\n\n'])  # fmt: skip
async def test_case_208_an_upstream_that_never_says_that_a_choice_has_finished_is_whole_with_done(last: bytes) -> None:
    events = [word("a", None), word("b", None), last, DONE]
    for script in (stream(*events), at_once(*events)):
        async with told_by(script) as told:
            assert (await told.ask(CHAT)).body.endswith(DONE)
            assert told.outcomes == ["completed"]


@pytest.mark.parametrize("failed", [LLAMA, b'{"error": {"message": "Loading model", "code": 503}}\n\n', b'{"error":"Loading model"}\r\n\r\n'])  # fmt: skip
async def test_case_207_later_it_is_our_error_event(failed: bytes) -> None:
    events = [*CHAT.told(), failed]
    async with told_by(stream(*events, DONE)) as told, told.sdk() as client:
        answer = await told.ask(CHAT)
        assert answer.body.startswith(b"".join(events) + b"event: error")
        assert DONE not in answer.body
        with pytest.raises(openai.APIError):
            await read(client, CHAT)
        assert told.outcomes == ["upstream_failed"] * 2


UNSEEN = [
    b'event: error\ndata: {"message":"No.","code":500}\n\n',
    sse({"type": "error", "message": "No.", "code": "server_error"}),
    sse({"type": "error", "message": "No."}, "error"),
    sse({"object": "error", "message": "No.", "code": 500}),
]


@pytest.mark.parametrize("ending", ["whole", "open"])
@pytest.mark.parametrize("error", UNSEEN)
async def test_case_208_an_error_that_clients_do_not_raise_on_is_followed_by_one_that_they_do(
    error: bytes, ending: str
) -> None:
    events = [*CHAT.told(), error]
    async with told_by(stream(*events, ending=ending)) as told, told.sdk() as client, asyncio.timeout(5):
        answer = await told.ask(CHAT)
        assert answer.body.startswith(b"".join(events) + b"event: error")
        assert error_event_of(answer.body)["error"]["message"]
        with pytest.raises(openai.APIError):
            await read(client, CHAT)
        assert told.outcomes == ["upstream_failed"] * 2


@pytest.mark.parametrize("at_a_time", [stream, at_once], ids=["event by event", "at once"])
async def test_case_208_nothing_is_told_behind_an_error(at_a_time: Any) -> None:
    events = [*CHAT.told(), sse({"error": {"message": "No.", "code": 500}})]
    async with told_by(at_a_time(*events, word("more"), DONE)) as told:
        assert (await told.ask(CHAT)).body == b"".join(events)
        assert told.outcomes == ["upstream_failed"]


async def test_case_208_the_error_event_of_responses_is_raised_too() -> None:
    events = [
        *RESPONSES.told(),
        sse({"type": "error", "code": "server_error", "message": "No.", "param": None}, "error"),
    ]
    async with told_by(stream(*events)) as told, told.sdk() as client:
        with pytest.raises(openai.APIError):
            await read(client, RESPONSES)


async def test_case_208_a_response_that_failed_ends_as_the_api_says() -> None:
    events = [*RESPONSES.told(), sse({"type": "response.failed", "response": {"error": {"code": "server_error"}}})]
    async with told_by(stream(*events, ending="open")) as told, asyncio.timeout(5):
        assert (await told.ask(RESPONSES)).body == b"".join(events)
        assert told.outcomes == ["upstream_failed"]


@pytest.mark.parametrize("events", [[DONE], [PING, DONE], [CHAT.events[0], DONE], [usage_chunk(), DONE]])
async def test_case_209_an_end_before_anything_was_told_is_a_failure(events: list[bytes]) -> None:
    async with told_by([stream(*events), stream(*CHAT.events)]) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [2]
    async with told_by(stream(DONE)) as told:
        assert_error(await told.ask(CHAT), 502, "upstream_unavailable")
        assert told.asked == [3]
        assert told.outcomes == ["upstream_failed"]


@pytest.mark.parametrize("error", [sse({"error": {"message": "No.", "code": 500}}), UNSEEN[0], LLAMA, finish("error")])
async def test_case_210_a_client_that_hangs_up_on_an_error_does_not_hide_it(error: bytes) -> None:
    async with told_by(stream(*CHAT.told(), error, ending="open")) as told, told.sdk() as client:
        with pytest.raises(openai.APIError):
            await read(client, CHAT)
        async with asyncio.timeout(5):
            while not told.records:
                await asyncio.sleep(0.01)
        assert told.outcomes == ["upstream_failed"]


def empty() -> bytes:
    return sse({"id": "1", "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]})


def test_case_211_the_idle_clock_is_as_long_as_reasoning_models_are_silent() -> None:
    assert Timeouts().idle == 300


@both
@pytest.mark.parametrize(
    "ping", [PING, empty(), sse({"type": "keepalive"}, "keepalive")], ids=["comment", "empty", "keepalive"]
)
async def test_case_211_only_what_tells_something_moves_the_idle_clock(api: Api, ping: bytes) -> None:
    if api is RESPONSES and ping == empty():
        ping = sse({"type": "response.output_text.delta", "delta": ""})
    async with told_by(then_pings(*api.told(), ping=ping), timeouts=Timeouts(idle=0.3)) as told:
        async with asyncio.timeout(5):
            answer = await told.ask(api)
        assert answer.body.startswith(b"".join(api.told()))
        assert error_event_of(answer.body)["code"] == "upstream_timeout"


async def test_case_211_what_tells_something_does() -> None:
    async def speaking(call: Any) -> None:
        await call.read_body()
        await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))))
        for _ in range(12):
            await call.send(chunked(word("x") + PING))
            await asyncio.sleep(0.05)
        await call.send(chunked(DONE) + b"0\r\n\r\n")

    async with told_by(speaking, timeouts=Timeouts(idle=0.25)) as told:
        assert (await told.ask(CHAT)).body == (word("x") + PING) * 12 + DONE


@both
async def test_case_211_before_anything_is_told_the_first_event_has_one_clock_and_the_answer_another(api: Api) -> None:
    clocks = Timeouts(first_event=0.2, answer=0.6, idle=0.05)
    for script, least, most in ((stream(ending="open"), 0.2, 0.5), (then_pings(), 0.6, 1.2), (stream(*api.starts, ending="open"), 0.6, 1.2)):  # fmt: skip
        async with told_by(script, timeouts=clocks, settings={"comment_hold": 5.0}) as told:
            async with lasting(least, most):
                assert_error(await told.ask(api), 504, "upstream_timeout")


async def test_the_number_of_our_own_event_is_the_next_one() -> None:
    events = [*RESPONSES.told(), sse({"type": "error", "message": "No.", "sequence_number": 5})]
    async with told_by(stream(*events)) as told:
        answer = (await told.ask(RESPONSES)).body
        assert json.loads(answer.rpartition(b"data: ")[2])["sequence_number"] == 6
