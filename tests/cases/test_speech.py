"""Cases 132 to 134: speech that is paid for once. Any upstream and any format are served, not OpenAI's alone.

The key is a SHA-256 over the model, the base URLs behind it and the body in canonical form.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiocache import SimpleMemoryCache

from openai_gateway_asgi import Grant, Grants, Outcome, Settings, Timeouts
from openai_gateway_asgi.testing import Answer, FakeUpstream, error_answer, wire
from openai_gateway_asgi.testing.answers import bytes_answer
from openai_gateway_asgi.testing.wire import head
from tests.support.leaks import stall_watch

from .gateways import EAGER, BrokenCache, World, error_of, served, upstream_a, upstream_b, world

SPEECH = "/audio/speech"
BODY = {"model": "tts-1", "input": "Hello", "voice": "alloy"}
MP3 = [("content-type", "audio/mpeg")]


def tts(**options: Any) -> Any:
    return upstream_a("tts-1", **options)


def audio(*pieces: bytes, gate: asyncio.Event | None = None, fails: bool = False) -> Answer:
    """Audio in pieces; ``gate`` is waited for after the first."""

    async def chunks() -> AsyncIterator[bytes]:
        for number, piece in enumerate(pieces):
            if number == 1 and gate is not None:
                await gate.wait()
            yield piece
        if fails:
            raise httpx.ReadError("")

    return Answer(chunks(), 200, MP3)


async def test_case_132_the_second_caller_gets_the_same_audio_without_a_call() -> None:
    async with world(tts()) as w:
        first = await w.post(SPEECH, BODY)
        request = w.upstream.last
        assert (request.method, request.path, request.json()) == ("POST", "/v1/audio/speech", BODY)
        assert request.header("authorization") == "Bearer ka"
        second = await w.post(SPEECH, BODY, headers={"x-test-user": "u1"})
        assert (first.status, first.header("content-type")) == (200, "audio/mpeg")
        assert (second.status, second.header("content-type"), second.body) == (200, "audio/mpeg", first.body)
        assert len(w.upstream.requests) == 1
        assert [record.attempts for record in w.records] == [1, 0]


@pytest.mark.parametrize(
    "same",
    [
        b'{"voice":"alloy","input":"Hello","model":"tts-1"}',
        b'{ "model": "tts-1", "input": "\\u0048ello", "voice": "alloy" }',
    ],
)
async def test_case_132_the_spelling_of_a_body_does_not_matter(same: bytes) -> None:
    async with world(tts()) as w:
        await w.post(SPEECH, BODY)
        await w.post_bytes(SPEECH, same)
        assert len(w.upstream.requests) == 1


@pytest.mark.parametrize(
    "change", [{"voice": "echo"}, {"input": "hello"}, {"speed": 1.5}, {"instructions": "x"}, {"response_format": "wav"}]
)
async def test_case_132_anything_that_changes_the_sound_is_another_entry(change: dict[str, Any]) -> None:
    async with world(tts()) as w:
        await w.post(SPEECH, BODY)
        await w.post(SPEECH, {**BODY, **change})
        assert len(w.upstream.requests) == 2


async def test_the_same_id_on_another_upstream_is_another_voice() -> None:
    cache = SimpleMemoryCache()
    async with world(tts(), speech_cache=cache) as w:
        await w.post(SPEECH, BODY)
    async with world(upstream_b("tts-1"), speech_cache=cache) as w:
        await w.post(SPEECH, BODY)
        assert len(w.upstream.requests) == 1


async def test_a_cache_of_the_hosts_is_shared_by_its_gateways() -> None:
    cache = SimpleMemoryCache()
    async with world(tts(), speech_cache=cache) as w:
        first = await w.post(SPEECH, BODY)
    async with world(tts(), speech_cache=cache) as w:
        assert (await w.post(SPEECH, BODY)).body == first.body
        assert w.upstream.requests == []


async def test_case_132_access_is_checked_before_the_cache() -> None:
    grants = Grants({"tts-1": Grant(users={"zoe"})})
    async with world(tts(), authorize_model=grants) as w:
        assert (await w.post(SPEECH, BODY)).status == 200
        response = await w.post(SPEECH, BODY, headers={"x-test-user": "u1"})
        assert (response.status, error_of(response)["code"]) == (404, "model_not_found")


async def test_speech_of_callers_with_their_own_tokens_is_not_shared() -> None:
    async with world(tts(auth_type="session")) as w:
        for token in ("T1", "T2"):
            await w.post(SPEECH, BODY, headers={"authorization": f"Bearer {token}"})
        sent = [request.header("authorization") for request in w.upstream.calls(SPEECH)]
        assert sent == ["Bearer T1", "Bearer T2"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"model": "tts-1", "input": [}', 400),
        (b'{"model": "unknown", "input": "x"}', 404),
        (b'{"input": "x"}', 400),
    ],
)
async def test_case_133_bad_requests_are_errors_and_reach_nobody(body: bytes, status: int) -> None:
    async with world(tts()) as w:
        for _ in range(2):
            assert (await w.post_bytes(SPEECH, body)).status == status
        assert w.upstream.requests == []


async def test_case_133_the_upstreams_refusal_comes_back_and_is_not_kept() -> None:
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, error_answer(400, "No such voice."), bytes_answer(b"ID3", "audio/mpeg"))
        response = await w.post(SPEECH, BODY)
        assert (response.status, response.json()["error"]["message"]) == (400, "No such voice.")
        assert (await w.post(SPEECH, BODY)).body == b"ID3"


@pytest.mark.parametrize(
    "answer",
    [
        bytes_answer(b'{"error": {"message": "x"}}', "application/json"),
        bytes_answer(b"<p>", "text/html"),
        bytes_answer(b"", "audio/mpeg"),
        bytes_answer(b"ID3", "audio/mpeg", 206),
        bytes_answer(b"zip", "audio/mpeg", 200, [("content-encoding", "gzip")]),
    ],
    ids=["json", "html", "empty", "partial", "compressed"],
)
async def test_only_successful_audio_is_kept(answer: Answer) -> None:
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, answer)
        for _ in range(2):
            await w.post(SPEECH, BODY)
        assert len(w.upstream.requests) == 2


@pytest.mark.parametrize("disposition", [[], [("content-disposition", "attachment; filename=speech.mp3")]])
async def test_audio_is_kept_whether_or_not_it_is_a_download(disposition: list[tuple[str, str]]) -> None:
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, bytes_answer(b"ID3", "audio/mpeg", 200, disposition))
        for _ in range(2):
            assert (await w.post(SPEECH, BODY)).body == b"ID3"
        assert len(w.upstream.requests) == 1


async def test_case_133_an_answer_that_was_cut_is_not_kept() -> None:
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, audio(b"ID3", b"half", fails=True), audio(b"ID3", b"whole"))
        talk = w.conversation(SPEECH, BODY)
        with pytest.raises(Exception, match="upstream_unavailable"):  # the server cuts the connection
            async with talk:
                await talk.whole()
        assert (await w.post(SPEECH, BODY)).body == b"ID3whole"
        assert len(w.upstream.requests) == 2


async def test_case_133_a_cut_answer_over_the_wire_is_seen_to_be_cut() -> None:
    script = wire.raw(head(200, ((b"Content-Type", b"audio/mpeg"), (b"Content-Length", b"9"))) + b"ID3", close=True)
    async with FakeUpstream(wire=[script]) as upstream, served(upstream) as s:
        with pytest.raises(httpx.RemoteProtocolError):
            await s.client.post(s.url + SPEECH, json={**BODY, "model": "m1"})
        assert len(upstream.requests) == 1


async def test_case_133_many_callers_at_once_are_one_call() -> None:
    gate = asyncio.Event()
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, audio(b"ID3", b"rest", gate=gate))
        asking = [asyncio.ensure_future(w.post(SPEECH, BODY)) for _ in range(20)]
        await w.upstream.until_requests(1)
        gate.set()
        responses = await asyncio.gather(*asking)
        assert {response.body for response in responses} == {b"ID3rest"}
        assert len(w.upstream.requests) == 1


async def test_the_first_caller_hears_the_beginning_while_the_end_is_still_being_spoken() -> None:
    gate = asyncio.Event()
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, audio(b"ID3", b"rest", gate=gate))
        async with w.conversation(SPEECH, BODY) as talk:
            await talk.receive_start()
            assert await talk.receive_chunk() == b"ID3"
            async with w.conversation(SPEECH, BODY) as late:
                await late.receive_start()
                assert await late.receive_chunk() == b"ID3"
                gate.set()
                assert await late.receive_rest() == await talk.receive_rest() == b"rest"
        assert len(w.upstream.requests) == 1


async def test_a_caller_that_takes_no_bytes_is_given_up_and_the_others_hear_it_all() -> None:
    gate = asyncio.Event()
    settings = Settings(send_timeout=0.05, speech_entry_bytes=4)
    async with world(tts(), settings=settings) as w:
        w.upstream.answer(SPEECH, audio(b"ID3", *[b"rest"] * 5, gate=gate))
        async with w.conversation(SPEECH, BODY, read_ahead=False) as deaf:
            await deaf.receive_start()
            async with w.conversation(SPEECH, BODY) as hearing:
                await hearing.receive_start()
                gate.set()
                assert await hearing.receive_rest() == b"ID3" + b"rest" * 5
            with pytest.raises(AssertionError, match="without completing"):  # upon which its server cuts it off
                await deaf.ended()
    assert sorted(record.outcome for record in w.records) == [Outcome.CLIENT_GONE, Outcome.COMPLETED]


async def test_the_call_goes_on_for_the_others_when_the_first_caller_leaves() -> None:
    gate = asyncio.Event()
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, audio(b"ID3", b"rest", gate=gate))
        async with w.conversation(SPEECH, BODY) as first:
            await first.receive_start()
            async with w.conversation(SPEECH, BODY) as other:
                await other.receive_start()
                first.disconnect()
                await first.ended()
                gate.set()
                assert await other.receive_rest() == b"ID3rest"
        assert (await w.post(SPEECH, BODY)).body == b"ID3rest"
        assert len(w.upstream.requests) == 1
        assert w.upstream.closed_early == []


async def test_the_call_ends_with_its_last_caller_and_nothing_is_kept() -> None:
    gate = asyncio.Event()
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, audio(b"ID3", b"rest", gate=gate), audio(b"ID3", b"new"))
        async with w.conversation(SPEECH, BODY) as first, w.conversation(SPEECH, BODY) as other:
            await first.receive_start()
            await other.receive_start()
            first.disconnect()
            other.disconnect()
            await w.upstream.until_closed_early()
        assert (await w.post(SPEECH, BODY)).body == b"ID3new"
    assert [record.outcome for record in w.records] == [Outcome.CLIENT_GONE] * 2 + [Outcome.COMPLETED]


async def test_a_failing_backend_fails_no_call(caplog: pytest.LogCaptureFixture) -> None:
    async with world(tts(), speech_cache=BrokenCache()) as w:
        for _ in range(3):
            assert (await w.post(SPEECH, BODY)).status == 200
        assert len(w.upstream.requests) == 3
    assert sum("speech cache" in record.message for record in caplog.records) == 1
    assert "Hello" not in caplog.text


async def test_audio_that_is_too_long_to_keep_is_still_streamed() -> None:
    async with world(tts(), settings=Settings(speech_entry_bytes=10)) as w:
        w.upstream.answer(SPEECH, *(audio(b"12345678", b"12345678", b"12345678") for _ in range(2)))
        for _ in range(2):
            assert (await w.post(SPEECH, BODY)).body == b"12345678" * 3
        assert len(w.upstream.requests) == 2


async def test_case_134_speech_that_takes_its_time_delays_nobody() -> None:
    gate = asyncio.Event()
    async with world(tts()) as w, stall_watch() as stalls:
        w.upstream.answer(SPEECH, audio(b"ID3", b"rest", gate=gate))
        async with w.conversation(SPEECH, BODY) as talk:
            await talk.receive_start()
            assert (await w.ask("GET", "/models")).status == 200
            gate.set()
            await talk.receive_rest()
    assert stalls.loops < 40


async def test_speech_as_events_is_streamed_and_not_kept() -> None:
    events = b'data: {"type":"speech.audio.delta","audio":"eA=="}\n\ndata: {"type":"speech.audio.done"}\n\n'
    async with world(tts()) as w:
        w.upstream.answer(SPEECH, bytes_answer(events, "text/event-stream"))
        for _ in range(2):
            assert (await w.post(SPEECH, {**BODY, "stream_format": "sse"})).body == events
        assert len(w.upstream.requests) == 2


async def timed_out(w: World) -> None:
    response = await w.post(SPEECH, BODY)
    assert (response.status, error_of(response)["code"]) == (504, "upstream_timeout")


async def test_everyone_who_waits_is_told_of_the_failure() -> None:
    gate = asyncio.Event()

    async def never(request: object) -> Answer:
        await gate.wait()
        raise AssertionError

    async with world(tts(timeouts=Timeouts(answer=0.05)), settings=EAGER) as w:
        w.upstream.answer(SPEECH, never)
        await asyncio.gather(*(timed_out(w) for _ in range(3)))
        assert len(w.upstream.requests) == 1
