"""Cases 212 to 214: what has begun is mended by somebody else for as long as nothing was told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from openai_gateway_asgi import Settings, Timeouts
from openai_gateway_asgi.layers.keep_alive import COMMENT
from openai_gateway_asgi.testing.answers import sse
from openai_gateway_asgi.testing.wire import EVENTS, Call, WireScript, answer, chunked, hang, head
from tests.reliability.gateways import ANN, assert_error
from tests.support.asgi import Conversation, ask
from tests.support.leaks import lasting

from .streams import BOTH, CHAT, PING, RESPONSES, Api, error_event_of, read, stream, then_pings, told_by

both = pytest.mark.parametrize("api", BOTH, ids=lambda api: api.name)
AZURE = sse({"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]})
ERROR = sse({"error": {"message": "No.", "type": "server_error", "code": 500}})
KEY = "sk-provider-key"
HASTY = Timeouts(first_event=0.3, answer=0.3)
NO_RETRY = {"retries": 0}
OPENROUTER = b": OPENROUTER PROCESSING\n\n"


def first_lines(api: Api) -> list[bytes]:
    return [AZURE, *api.starts] if api is CHAT else api.starts


FAULTS: dict[str, Any] = {
    "error": lambda starts: stream(*starts, ERROR),
    "reset": lambda starts: stream(*starts, ending="reset"),
    "cut": lambda starts: stream(*starts, ending="cut"),
    "silence": lambda starts: stream(*starts, ending="open"),
    "nothing more": lambda starts: stream(*starts),
}


@both
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("fallback", [False, True], ids=["candidate", "fallback"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_case_212_somebody_else_answers_where_only_a_start_was_made(
    fault: str, fallback: bool, count: int, api: Api
) -> None:
    broken = FAULTS[fault](first_lines(api)[:count])
    async with told_by(broken, stream(*api.events), timeouts=HASTY, settings=NO_RETRY, fallback=fallback) as told:
        answered = await told.ask(api)
        assert (answered.status, answered.body) == (200, api.whole)  # of one id, with nothing of the other's
        assert told.asked == [1, 1]
        assert told.outcomes == ["completed"]
        async with told.sdk() as client:
            assert await read(client, api) == "Hello from upstream."


@both
async def test_case_212_the_same_upstream_is_asked_again(api: Api) -> None:
    async with told_by([FAULTS["reset"](api.starts), stream(*api.events)]) as told:
        assert (await told.ask(api)).body == api.whole
        assert told.asked == [2]


async def test_case_212_a_long_start_is_held_too() -> None:
    """Codex's repeats instructions and tools twice."""
    created = sse(
        {"type": "response.created", "response": {"id": "r", "instructions": "x" * 900_000}}, "response.created"
    )
    pieces = [created[at : at + 50_000] for at in range(0, len(created), 50_000)]
    async with told_by(stream(*pieces, ERROR), stream(*RESPONSES.events), settings=NO_RETRY) as told:
        assert (await told.ask(RESPONSES)).body == RESPONSES.whole
    async with told_by(stream(*pieces, *RESPONSES.events[1:]), stream(ERROR), settings=NO_RETRY) as told:
        assert (await told.ask(RESPONSES)).body == created + b"".join(RESPONSES.events[1:])


async def test_case_212_more_than_a_mebibyte_is_not_held() -> None:
    created = sse(
        {"type": "response.created", "response": {"id": "r", "instructions": "x" * 2_000_000}}, "response.created"
    )
    async with told_by(stream(created, ending="open"), stream(*RESPONSES.events), settings=NO_RETRY) as told:
        async with told.talk(RESPONSES) as talk:
            await talk.receive_start()
            assert created.startswith(await talk.receive_chunk() or b"")


@both
async def test_case_212_a_start_is_not_held_where_nobody_else_is_left(api: Api) -> None:
    gate = asyncio.Event()
    script = stream(*api.events, gates={1: gate})
    async with told_by(script, settings=NO_RETRY) as told, told.talk(api) as talk:
        await talk.receive_start()
        assert await talk.receive_chunk() == api.events[0]
        gate.set()
        assert await talk.receive_rest() == b"".join(api.events[1:])
    last = stream(*api.events[:1], ending="open")
    async with told_by(hang, last, timeouts=HASTY, settings=NO_RETRY) as told, told.talk(api) as talk:
        await talk.receive_start()
        assert await talk.receive_chunk() == api.events[0]


@both
async def test_case_212_a_failure_behind_such_a_start_is_an_error_event(api: Api) -> None:
    async with told_by(stream(*api.starts, ending="cut"), settings=NO_RETRY) as told, told.sdk() as client:
        answered = await told.ask(api)
        assert answered.status == 200
        assert answered.body.startswith(b"".join(api.starts) + b"event: error")
        with pytest.raises(Exception, match=r"cut short|broke off"):
            await read(client, api)
        assert told.outcomes == ["upstream_failed"] * 2


@both
async def test_case_212_the_head_goes_out_after_comment_hold_in_any_case(api: Api) -> None:
    gate = asyncio.Event()
    settings = {"comment_hold": 0.2, **NO_RETRY}
    held = stream(PING, *api.starts, ERROR, gates={len(api.starts) + 1: gate})
    async with told_by(held, stream(*api.events), settings=settings) as told, told.talk(api) as talk:
        async with lasting(0.2, 0.6):
            start = await talk.receive_start()
        assert start.header("content-type") == "text/event-stream"
        assert await talk.receive_chunk() == PING  # while the events stay held
        assert await talk.quiet()
        gate.set()
        assert await talk.receive_rest() == api.whole


@both
async def test_case_212_when_nobody_answers_behind_such_a_head_the_error_is_an_event(api: Api) -> None:
    script = then_pings(*api.starts)
    async with told_by(script, timeouts=HASTY, settings={"comment_hold": 0.05, **NO_RETRY}) as told:
        answered = await told.ask(api)
        assert answered.status == 200
        assert error_event_of(answered.body)["code"] == "upstream_timeout"


@both
async def test_case_212_a_head_that_went_out_early_tells_of_no_upstream(api: Api) -> None:
    async def named(call: Call) -> None:
        await call.read_body()
        own = ((b"X-Request-Id", b"req_first"), (b"OpenAI-Version", b"first"), (b"Transfer-Encoding", b"chunked"))
        await call.send(head(200, (*EVENTS, *own)) + chunked(PING))
        await asyncio.sleep(0.3)
        call.reset()

    settings = {"comment_hold": 0.05, "show_routing": "all", **NO_RETRY}
    async with told_by(named, stream(*api.events), settings=settings) as told:
        answered = await told.ask(api)
        assert answered.body == PING + api.whole
        names = {name for name, _ in answered.headers}
        assert answered.header("x-request-id") == answered.header("x-gateway-request-id")
        assert not names & {b"openai-version", b"x-gateway-upstream", b"x-gateway-model", b"x-gateway-attempts"}


@both
async def test_case_212_a_client_that_leaves_while_events_are_held_frees_everything(api: Api) -> None:
    async with told_by(stream(*api.starts, ending="open"), stream(*api.events)) as told:
        async with told.talk(api) as talk:
            await told.upstreams[0].until_requests(1)
            assert await talk.quiet()
            talk.disconnect()
            await told.upstreams[0].connections[0].closed()
        assert told.outcomes == ["client_gone_before_first_byte"]
        assert told.asked == [1, 0]


async def test_case_212_one_send_carries_what_was_held_and_what_told_something() -> None:
    gates = {1: asyncio.Event(), 2: asyncio.Event()}
    async with told_by(stream(*CHAT.events, gates=gates)) as told, told.talk(CHAT) as talk:
        await told.upstreams[0].until_requests(1)
        gates[1].set()
        await talk.receive_start()
        assert await talk.receive_chunk() == CHAT.events[0] + CHAT.events[1]
        gates[2].set()


# Case 213

SLOW = 0.5
"""Seconds for which an upstream withholds its head, in place of the twelve of the case."""
KEEPING = {"keepalive_comments": 0.2}


def withheld(then: WireScript) -> WireScript:
    async def wait(call: Call) -> None:
        await call.read_body()
        await asyncio.sleep(SLOW)
        await then(call)

    return wait


async def first_piece(talk: Any) -> tuple[Any, bytes | None]:
    return await talk.receive_start(), await talk.receive_chunk()


@both
async def test_case_213_comments_flow_before_the_upstream_has_answered(api: Api) -> None:
    settings = {**KEEPING, "show_routing": "all"}
    async with told_by(withheld(stream(*api.events)), settings=settings) as told, told.talk(api) as talk:
        async with lasting(0.2, SLOW):
            start, piece = await first_piece(talk)
        assert (start.status, start.header("content-type"), piece) == (200, "text/event-stream", COMMENT)
        assert start.header("cache-control") == "no-cache"
        assert start.header("x-gateway-upstream") is None
        assert (await talk.receive_rest()).replace(COMMENT, b"") == api.whole


@both
@pytest.mark.parametrize("fault", [answer(500), answer(429), stream(ERROR), stream(ending="reset")])
async def test_case_213_a_failure_behind_them_still_goes_to_the_next(fault: WireScript, api: Api) -> None:
    async with told_by(withheld(fault), stream(*api.events), settings={**KEEPING, **NO_RETRY}) as told:
        answered = await told.ask(api)
        assert answered.body.startswith(COMMENT)
        assert answered.body.replace(COMMENT, b"") == api.whole
        assert told.asked == [1, 1]
        assert told.outcomes == ["completed"]


@both
@pytest.mark.parametrize("status", [400, 404, 429, 500])
async def test_case_213_an_error_status_that_comes_later_is_an_error_event(status: int, api: Api) -> None:
    """It says what the upstream said."""
    error = {"message": "Not so.", "type": "t", "param": "messages", "code": "c"}
    refusing = withheld(answer(status, body=json.dumps({"error": error}).encode()))
    async with told_by(refusing, settings={**KEEPING, **NO_RETRY}) as told, told.sdk() as client:
        answered = await told.ask(api)
        assert answered.status == 200
        assert error_event_of(answered.body)["error"] == error
        with pytest.raises(Exception, match="Not so"):
            await read(client, api)


@both
@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        pytest.param(400, b'{"detail": "Not so."}', ("Not so.", "upstream_error", None), id="spelt otherwise"),
        pytest.param(404, b"<title>Not here</title>", ("Not here", "upstream_error", None), id="a page"),
        pytest.param(
            500, b"", ("The upstream answered 500 and said no more.", "upstream_error", None), id="nothing said"
        ),
        pytest.param(
            401, b'{"error": {"message": "Incorrect API key sk-provider-a.", "code": "invalid_api_key"}}',
            ("The upstream refused the gateway's credential.", "upstream_error", "upstream_credential"),
            id="the operator's credential",
        ),
        pytest.param(
            400, b'{"error": {"message": "Bearer KEY is not so.", "type": "t", "code": "c"}}',
            ("Bearer *** is not so.", "t", "c"), id="what it was sent",
        ),
    ],
)  # fmt: skip
async def test_case_213_that_event_tells_what_the_answer_would_have_told_and_no_more(
    status: int, body: bytes, told: tuple[str, str, str | None], api: Api
) -> None:
    refusing = withheld(answer(status, body=body.replace(b"KEY", KEY.encode())))
    async with told_by(refusing, settings={**KEEPING, **NO_RETRY}, api_key=KEY) as upstream:
        error = error_event_of((await upstream.ask(api)).body)["error"]
        assert (error["message"], error["type"], error["code"]) == told


async def test_case_213_comments_flow_while_a_place_is_waited_for_and_between_two_tries() -> None:
    settings = {**KEEPING, "queue_time": 0.5, **NO_RETRY}
    async with told_by(stream(*CHAT.told(), ending="open"), settings=settings, max_concurrency=1) as told:
        async with told.talk(CHAT) as first, told.talk(CHAT) as second:
            await first.receive_start()
            assert (await first_piece(second))[1] == COMMENT
            assert error_event_of(await second.receive_rest())["code"] == "gateway_busy"


async def test_case_213_a_client_that_leaves_then_frees_everything() -> None:
    async with told_by(hang, settings=KEEPING) as told:
        async with told.talk(CHAT) as talk:
            await first_piece(talk)
            talk.disconnect()
            await told.upstreams[0].connections[0].closed()
        assert told.outcomes == ["client_gone_before_first_byte"]


async def test_case_213_a_client_that_takes_no_comments_is_given_up() -> None:
    async with told_by(hang, settings={**KEEPING, "send_timeout": 0.2}) as told:
        talk = Conversation(told.gateway, "POST", CHAT.path, json=CHAT.body(), headers=ANN, read_ahead=False)
        with pytest.raises(AssertionError, match="without completing its answer"):
            async with talk:
                await talk.receive_start()
                await talk.ended()
        assert told.outcomes == ["client_gone_before_first_byte"]


@pytest.mark.parametrize("asked", [{"stream": False}, {}], ids=["false", "absent"])
async def test_case_213_whoever_asked_for_no_stream_gets_no_comments(asked: dict[str, Any]) -> None:
    async with told_by(withheld(answer(200, body=b'{"id": "1"}')), settings=KEEPING) as told:
        fields = {**CHAT.body(), **asked}
        if not asked:
            del fields["stream"]
        answered = await ask(told.gateway, "POST", CHAT.path, json=fields, headers=ANN)
        assert (answered.status, answered.body) == (200, b'{"id": "1"}')


# Case 214


@both
async def test_case_214_an_error_behind_comments_goes_to_the_next(api: Api) -> None:
    assert Settings().comment_hold < 18  # the comments went out by then

    async def processing(call: Call) -> None:
        await call.read_body()
        await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))))
        for _ in range(6):
            await call.send(chunked(OPENROUTER))
            await asyncio.sleep(0.05)
        await call.send(chunked(sse({"error": {"message": "Provider returned error", "code": 502}})) + b"0\r\n\r\n")

    async with told_by(processing, stream(*api.events), settings={"comment_hold": 0.15, **NO_RETRY}) as told:
        answered = await told.ask(api)
        assert answered.body.startswith(OPENROUTER)
        assert answered.body.replace(OPENROUTER, b"") == api.whole
        assert told.asked == [1, 1]


async def test_what_a_malformed_event_tells_is_told() -> None:
    async with told_by(stream(b"data: {oops\n\n", ending="cut"), stream(*CHAT.events), settings=NO_RETRY) as told:
        assert b"event: error" in (await told.ask(CHAT)).body
        assert told.asked == [1, 0]


async def test_an_error_in_the_first_event_has_its_status_where_nobody_else_is_left() -> None:
    async with told_by(stream(PING, ERROR), settings=NO_RETRY) as told:
        assert_error(await told.ask(CHAT), 500)
