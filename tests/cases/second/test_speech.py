"""Case 271: of what one caller sends, nothing but the text and how it is to sound shapes what another one hears."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openai_gateway_asgi import MemoryStore, Settings, Upstream
from openai_gateway_asgi.speech.shared_request import LONGEST
from openai_gateway_asgi.testing import error_answer
from openai_gateway_asgi.testing.answers import Answer, bytes_answer
from openai_gateway_asgi.testing.requests import FakeRequest
from tests.cases.gateways import EAGER, World, upstream_a, world
from tests.support.leaks import stall_watch

SPEECH = "/audio/speech"
BODY = {"model": "tts-1", "input": "Hello", "voice": "alloy"}
AUDIO = b"ID3" + bytes(range(256))


def tts(**options: Any) -> Upstream:
    return upstream_a("tts-1", **options)


def speaks(request: FakeRequest) -> Answer:
    """As an upstream that honours whatever may be asked of it."""
    if request.header("range"):
        return bytes_answer(AUDIO[:4], "audio/mpeg", 206, [("content-range", "bytes 0-3/259")])
    if request.header("if-none-match") or request.header("if-modified-since"):
        return Answer([b""], 304, [])
    if request.header("if-match") or request.header("if-unmodified-since"):
        return error_answer(412, "no")
    if (request.header("idempotency-key") or "").startswith("bad") or "bad" in (request.header("user-agent") or ""):
        return error_answer(400, "no")
    accept = request.header("accept") or ""
    return bytes_answer(AUDIO, accept if accept.startswith("audio/") else "audio/mpeg", 200, [("etag", '"e"')])


async def both(w: World, one: dict[str, str], other: dict[str, str], *, at_once: bool) -> list[Any]:
    """The answers to two callers, one after the other or both while the first is still spoken."""
    headers = [{"x-test-user": "u1", **one}, {"x-test-user": "zoe", **other}]
    if not at_once:
        return [await w.post(SPEECH, BODY, headers=each) for each in headers]
    gate = asyncio.Event()

    async def slowly(request: FakeRequest) -> Answer:
        await gate.wait()
        return speaks(request)

    w.upstream.answer(SPEECH, slowly)
    asking = [asyncio.create_task(w.post(SPEECH, BODY, headers=headers[0]))]
    await w.upstream.until_requests(1)
    asking.append(asyncio.create_task(w.post(SPEECH, BODY, headers=headers[1])))
    await asyncio.sleep(0.05)
    gate.set()
    return list(await asyncio.gather(*asking))


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize(
    "sends",
    [
        {"range": "bytes=0-3"},
        {"range": "bytes=0-3", "if-range": '"e"'},
        {"if-none-match": '"e"'},
        {"if-match": '"other"'},
        {"if-modified-since": "Mon, 01 Jan 2035 00:00:00 GMT"},
        {"if-unmodified-since": "Mon, 01 Jan 2001 00:00:00 GMT"},
        {"idempotency-key": "bad"},
        {"user-agent": "bad bot"},
        {"x-client-request-id": "x" * 4000},
        {"x-stainless-lang": "odd"},
        {"traceparent": "odd"},
        {"content-type": "application/json; charset=utf-8"},
    ],
    ids=lambda sends: "+".join(sends),
)
async def test_case_271_what_one_caller_sends_is_not_heard_by_another(sends: dict[str, str], at_once: bool) -> None:
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, speaks)
        for response in await both(w, sends, {}, at_once=at_once):
            assert (response.status, response.header("content-type"), response.body) == (200, "audio/mpeg", AUDIO)
        assert len(w.upstream.requests) == 1
        assert w.upstream.last.header("content-type") == "application/json"


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize("sends", [{"accept": "audio/wav"}, {"openai-beta": "voices=2"}, {"x-tenant": "t"}], ids=str)
async def test_case_271_what_may_shape_the_sound_is_sent_and_makes_another_call(
    sends: dict[str, str], at_once: bool
) -> None:
    settings = Settings(retries=0, forwarded_headers=(*EAGER.forwarded_headers, "x-tenant"))
    async with world(tts(), settings=settings) as w:
        w.upstream.answer(SPEECH, speaks)
        one, other = await both(w, sends, {}, at_once=at_once)
        assert other.header("content-type") == "audio/mpeg"
        assert one.header("content-type") == sends.get("accept", "audio/mpeg")
        name, value = next(iter(sends.items()))
        assert {request.header(name) for request in w.upstream.requests} == {value, None}
        again = await w.post(SPEECH, BODY, headers=sends)
        assert again.header("content-type") == one.header("content-type")
        assert len(w.upstream.requests) == 2


async def test_case_271_the_query_makes_another_call() -> None:
    async with world(tts()) as w:
        for query, calls in [
            ("", 1),
            ("?voice=2", 2),
            ("?voice=3", 3),
            ("?voice=2", 3),
            ("?api-version=2024-10-21", 3),
        ]:
            await w.ask("POST", SPEECH + query, json=BODY)
            assert len(w.upstream.requests) == calls, query
        assert [request.query for request in w.upstream.requests] == [b"", b"voice=2", b"voice=3"]


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
async def test_case_271_a_fallback_with_credentials_of_the_callers_own_is_shared_by_nobody(at_once: bool) -> None:
    own = Upstream("http://b/v1", name="B", model_ids=["own"], auth_type="session")
    store = MemoryStore([tts(), own], fallbacks={"tts-1": ["own"]})
    async with world(store=store) as w:
        w.upstream.host("a").answer(SPEECH, error_answer(503))
        bearer = [{"authorization": f"Bearer {token}"} for token in ("Ann", "Bob")]
        if at_once:
            await asyncio.gather(*(w.post(SPEECH, BODY, headers=each) for each in bearer))
        else:
            for each in bearer:
                await w.post(SPEECH, BODY, headers=each)
        asked = [request.header("authorization") for request in w.upstream.requests if request.host == "b"]
        assert sorted(filter(None, asked)) == ["Bearer Ann", "Bearer Bob"]


async def test_case_271_what_an_upstream_is_told_of_who_asks_is_not_told_for_another() -> None:
    settings = Settings(retries=0, forward_user_info=True)

    async def chat_of(user: Any, request: Any) -> dict[str, str]:
        return {"chat_id": request.headers["x-chat"]}

    async with world(tts(), settings=settings, context=chat_of) as w:
        for user, chat in [("u1", "1"), ("zoe", "2"), ("u1", "3")]:
            await w.post(SPEECH, BODY, headers={"x-test-user": user, "x-chat": chat})
        told = [
            (request.header("x-openwebui-user-id"), request.header("x-openwebui-chat-id"))
            for request in w.upstream.requests
        ]
        assert told == [("u1", None), ("z%201", None)]


async def test_case_271_a_body_that_two_readers_may_read_otherwise_is_not_shared() -> None:
    twice = b'{"model":"tts-1","input":"Hello","voice":{"id":"evil","id":"good"}}'
    once = b'{"model":"tts-1","input":"Hello","voice":{"id":"good"}}'
    async with world(tts()) as w:
        for body in (twice, once, twice, once):
            await w.post_bytes(SPEECH, body)
        assert [request.body.count(b'"id"') for request in w.upstream.requests] == [2, 1, 2]


async def test_case_271_another_configuration_of_the_upstream_is_another_voice() -> None:
    store = MemoryStore([tts(headers={"x-voice-pack": "one"})])
    async with world(store=store) as w:
        await w.post(SPEECH, BODY)
        changed = (await w.ask("GET", "/config")).json()
        changed["OPENAI_API_CONFIGS"]["0"]["headers"] = {"x-voice-pack": "two"}
        assert (await w.post("/config/update", changed)).status == 200
        for _ in range(2):
            await w.post(SPEECH, BODY)
        assert [request.header("x-voice-pack") for request in w.upstream.requests] == ["one", "two"]


async def test_a_text_that_takes_long_to_compare_is_spoken_for_its_caller_alone() -> None:
    async with world(tts()) as w:
        for size, calls in [(LONGEST // 2, 1), (LONGEST // 2, 1), (2 * LONGEST, 2), (2 * LONGEST, 3)]:
            assert (await w.post(SPEECH, {**BODY, "input": "x" * size})).status == 200
            assert len(w.upstream.requests) == calls


async def test_a_stream_is_none_of_it() -> None:
    async with world(tts()) as w:
        for _ in range(2):
            await w.post(SPEECH, {**BODY, "stream": True})
        assert len(w.upstream.requests) == 2


async def test_long_audio_is_kept_and_found_without_a_stall() -> None:
    async with world(tts(), settings=Settings(speech_cache_bytes=32 * 2**20)) as w:
        audio = bytes(8 * 2**20 - 100)
        w.upstream.answer(SPEECH, bytes_answer(audio, "audio/mpeg"))
        async with stall_watch() as stalls:
            for _ in range(3):
                assert len((await w.post(SPEECH, BODY)).body) == len(audio)
        assert stalls.loops < 20
        assert len(w.upstream.requests) == 1


def test_case_271_a_call_under_way_on_one_event_loop_is_none_of_another_ones() -> None:
    """Each loop has tasks of its own: who waited for another's would wait for ever once that loop has stopped."""
    started, go_on = threading.Event(), threading.Event()
    heard: list[bytes] = []

    async def audio() -> AsyncIterator[bytes]:
        yield b"ID3"
        started.set()
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        yield b"end"

    async def on_two_loops() -> None:
        async with world(tts()) as w:
            w.upstream.answer(SPEECH, lambda _: Answer(audio(), 200, [("content-type", "audio/mpeg")]))
            first = asyncio.create_task(w.post(SPEECH, BODY))
            await asyncio.to_thread(started.wait, 5)
            started.clear()
            other = threading.Thread(
                target=lambda: heard.append(asyncio.run(asyncio.wait_for(w.post(SPEECH, BODY), 5)).body)
            )
            other.start()
            await asyncio.to_thread(started.wait, 5)
            go_on.set()
            heard.append((await first).body)
            await asyncio.to_thread(other.join, 5)

    asyncio.run(on_two_loops())
    assert heard == [b"ID3end", b"ID3end"]
