"""Case 218: where it is asked for, nothing is told of a stream before it is whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from openai_gateway_asgi import ConfigError, Outcome, Settings, Timeouts, Upstream
from openai_gateway_asgi.answers import events as stream_events
from openai_gateway_asgi.layers.keep_alive import COMMENT
from openai_gateway_asgi.testing.answers import DONE, sse
from openai_gateway_asgi.testing.wire import EVENTS, Call, WireScript, answer, chunked, head
from tests.reliability.gateways import assert_error
from tests.support.leaks import lasting

from .streams import BOTH, CHAT, PING, Api, at_once, error_event_of, read, stream, then_pings, told_by

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.name)
HELD = {"commit": "whole"}
ERROR = sse({"error": {"message": "No.", "type": "server_error", "code": 500}})


def reasoning(text: str) -> bytes:
    return sse({"id": "1", "choices": [{"index": 0, "delta": {"reasoning_content": text}, "finish_reason": None}]})


FAULTS: dict[str, Any] = {
    "cut": lambda api: stream(*api.told(3), ending="cut"),
    "reset": lambda api: stream(*api.told(3), ending="reset"),
    "merely stops": lambda api: stream(*api.told(3)),
    "in an event": lambda api: stream(*api.told(2), api.events[-2][:20], ending="cut"),
    "error": lambda api: stream(*api.told(3), ERROR),
    "error at once": lambda api: at_once(*api.told(3), ERROR, DONE),
    "stall": lambda api: stream(*api.told(3), ending="open"),
    "stall with comments": lambda api: then_pings(*api.told(3)),
}


@both
@pytest.mark.parametrize("fallback", [False, True], ids=["candidate", "fallback"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_case_218_what_fails_in_its_middle_is_mended(fault: str, fallback: bool, api: Api) -> None:
    clocks = Timeouts(stall=0.3, idle=60)
    broken = FAULTS[fault](api)
    settings = {**HELD, "retries": 0}
    async with told_by(broken, stream(*api.events), timeouts=clocks, settings=settings, fallback=fallback) as told:
        answered = await told.ask(api)
        assert (answered.status, answered.body) == (200, api.whole)
        assert told.asked == [1, 1]
        (record,) = told.records
        assert (record.outcome, record.commit) == (Outcome.COMPLETED, "whole")
        async with told.sdk() as client:
            assert await read(client, api) == "Hello from upstream."


@both
async def test_case_218_the_same_upstream_is_asked_again(api: Api) -> None:
    async with told_by([FAULTS["cut"](api), stream(*api.events)], settings=HELD) as told:
        assert (await told.ask(api)).body == api.whole
        assert told.asked == [2]


@both
async def test_case_218_when_nobody_gives_it_whole_its_failure_has_a_status(api: Api) -> None:
    async with told_by(FAULTS["cut"](api), settings=HELD) as told:
        assert_error(await told.ask(api), 502, "upstream_unavailable")
        assert told.asked == [3]
        (record,) = told.records
        assert (record.outcome, record.commit, record.first_byte) == (Outcome.UPSTREAM_FAILED, None, None)


@both
@pytest.mark.parametrize("script", [stream, at_once])
async def test_case_218_nothing_is_told_before_it_is_whole(script: Any, api: Api) -> None:
    gate = asyncio.Event()
    async with told_by(stream(*api.events, gates={len(api.events) - 1: gate}), settings=HELD) as told:
        async with told.talk(api) as talk:
            await told.upstreams[0].until_requests(1)
            assert await talk.quiet(200)
            gate.set()
            assert (await talk.receive_start()).status == 200
            assert await talk.receive_rest() == api.whole
        assert told.records[0].first_byte is not None
    async with told_by(script(*api.events, ending="open"), settings=HELD) as told, asyncio.timeout(5):
        assert (await told.ask(api)).body == api.whole


async def test_case_218_one_that_finished_without_done_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_events, "LAST_WORDS", 0.2)
    for ending in ("open", "cut", "whole"):
        async with told_by(stream(*CHAT.events[:-1], ending=ending), settings=HELD) as told:
            assert (await told.ask(CHAT)).body == CHAT.whole
            assert told.asked == [1]


async def test_case_218_the_stall_clock_waits_for_text_or_arguments() -> None:
    """Behind thoughts alone a model may be silent for long: there the clock for an answer runs."""
    clocks = Timeouts(stall=0.2, answer=1.0, idle=60)
    gate = asyncio.Event()
    thoughtful = [CHAT.events[0], reasoning("hm"), *CHAT.events[1:]]
    async with told_by(stream(*thoughtful, gates={2: gate}), timeouts=clocks, settings=HELD) as told:
        asyncio.get_running_loop().call_later(0.5, gate.set)
        assert (await told.ask(CHAT)).body == b"".join(thoughtful)
        assert told.asked == [1]
    silent = stream(CHAT.events[0], reasoning("hm"), ending="open")
    async with told_by(silent, stream(*CHAT.events), timeouts=clocks, settings=HELD) as told:
        async with lasting(1.0, 1.5):
            assert (await told.ask(CHAT)).body == CHAT.whole
    calling = sse({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]}, "finish_reason": None}]})  # fmt: skip
    stalled = stream(CHAT.events[0], calling, ending="open")
    async with told_by(stalled, stream(*CHAT.events), timeouts=clocks, settings=HELD) as told:
        async with lasting(0.2, 0.8):
            assert (await told.ask(CHAT)).body == CHAT.whole


async def test_case_218_a_stream_that_moves_does_not_stall() -> None:
    async def slowly(call: Call) -> None:
        await call.read_body()
        await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))))
        for event in CHAT.events:
            await call.send(chunked(event))
            await asyncio.sleep(0.12)
        await call.send(b"0\r\n\r\n")

    async with told_by(slowly, timeouts=Timeouts(stall=0.3), settings=HELD) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole


@both
async def test_case_218_comments_may_flow_meanwhile(api: Api) -> None:
    gate = asyncio.Event()
    broken = stream(PING, *api.told(), ERROR, gates={len(api.told()) + 1: gate})
    settings = {**HELD, "keepalive_comments": 0.1, "retries": 0}
    async with told_by(broken, stream(*api.events), settings=settings) as told, told.talk(api) as talk:
        assert (await talk.receive_start()).status == 200
        assert await talk.receive_chunk() in (COMMENT, PING)
        gate.set()
        rest = await talk.receive_rest()
        assert rest.replace(COMMENT, b"").replace(PING, b"") == api.whole
    gate.clear()
    async with told_by(broken, settings=settings) as told:
        asyncio.get_running_loop().call_later(0.3, gate.set)
        answered = await told.ask(api)
        assert answered.status == 200
        assert error_event_of(answered.body)["error"]["message"]


async def test_case_218_the_head_goes_out_after_comment_hold() -> None:
    gate = asyncio.Event()
    script = stream(*CHAT.events, gates={3: gate})
    async with told_by(script, settings={**HELD, "comment_hold": 0.1}) as told, told.talk(CHAT) as talk:
        assert (await talk.receive_start()).status == 200
        assert await talk.quiet()
        gate.set()
        assert await talk.receive_rest() == CHAT.whole


def word(size: int) -> bytes:
    return sse({"choices": [{"index": 0, "delta": {"content": "x" * size}, "finish_reason": None}]})


async def test_case_218_eight_mebibytes_are_held_and_what_is_longer_goes_on_as_usual() -> None:
    fits = [word(2_000_000)] * 4
    async with told_by([stream(*fits, ending="cut"), stream(*fits, DONE)], settings=HELD) as told:
        assert (await told.ask(CHAT)).body == b"".join(fits) + DONE
        assert told.asked == [2]
    longer = [word(2_000_000)] * 5
    gate = asyncio.Event()
    async with told_by(stream(*longer, DONE, gates={5: gate}), settings=HELD) as told:
        async with told.talk(CHAT) as talk:
            await talk.receive_start()
            got = b""
            while len(got) < sum(map(len, longer)):
                got += await talk.receive_chunk() or b""
            gate.set()
            assert got + await talk.receive_rest() == b"".join(longer) + DONE
        assert told.records[0].commit == "told"
    async with told_by(stream(*longer, ending="cut"), settings=HELD) as told:
        assert (await told.ask(CHAT)).body.startswith(b"".join(longer) + b"event: error")
        assert told.asked == [1]


async def test_case_218_one_event_that_is_longer_goes_on_as_usual() -> None:
    events = [word(9_000_000), DONE]
    async with told_by(stream(*events), settings=HELD) as told:
        assert (await told.ask(CHAT)).body == b"".join(events)
        assert told.records[0].commit == "told"


async def test_case_218_the_time_that_a_stream_took_is_not_counted_against_its_second_try() -> None:
    async def for_long(call: Call) -> None:
        await call.read_body()
        await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))))
        for _ in range(6):
            await call.send(chunked(CHAT.events[1]))
            await asyncio.sleep(0.1)
        call.reset()

    scripts: list[WireScript] = [for_long, stream(*CHAT.events)]
    async with told_by(scripts, settings={**HELD, "retry_time": 0.4}) as told:
        assert (await told.ask(CHAT)).body == CHAT.whole
        assert told.asked == [2]


@both
async def test_case_218_it_is_said_per_upstream_too(api: Api) -> None:
    async with told_by(FAULTS["cut"](api), stream(*api.events), commit="whole", settings={"retries": 0}) as told:
        assert (await told.ask(api)).body == api.whole
    async with told_by(FAULTS["cut"](api), commit="told", settings={**HELD, "retries": 0}) as told:
        answered = await told.ask(api)
        assert answered.body.startswith(b"".join(api.told(3)) + b"event: error")
        assert told.records[0].commit == "told"


async def test_case_218_a_client_that_leaves_frees_the_upstream() -> None:
    async with told_by(stream(*CHAT.told(), ending="open"), settings=HELD) as told:
        async with told.talk(CHAT) as talk:
            await told.upstreams[0].until_requests(1)
            assert await talk.quiet(100)
            talk.disconnect()
            await told.upstreams[0].connections[0].closed()
        assert told.outcomes == ["client_gone_before_first_byte"]


def test_case_218_it_is_off_by_default() -> None:
    assert (Settings().commit, Upstream("http://a.test").commit, Timeouts().stall) == ("told", None, 30)
    for wrong in ("half", "", True):
        with pytest.raises(ConfigError, match="commit"):
            Upstream("http://a.test", commit=wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="commit"):
            Settings(commit=wrong)  # type: ignore[arg-type]


async def test_case_218_json_is_held_up_to_the_same_size() -> None:
    body = json.dumps({"data": "x" * 3_000_000}).encode()
    cut = answer(200, body=body[:-2])
    async with told_by([cut, answer(200, body=body)], settings=HELD) as told:
        assert (await told.ask(CHAT, stream=False)).body == body
        assert told.asked == [2]
