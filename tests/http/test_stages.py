"""What whoever changes answers on their way can rely on, seen by the client."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.middleware import Middleware

from openai_gateway_asgi import Settings, gateway
from openai_gateway_asgi.errors import UpstreamError
from openai_gateway_asgi.exchange import Exchange
from openai_gateway_asgi.http.asgi import ASGIApp, Receive, Scope, Send
from openai_gateway_asgi.http.stages import Stage
from openai_gateway_asgi.testing import Answer, json_answer, stream_answer
from openai_gateway_asgi.testing.answers import DONE, chat_events, sse
from tests.cases.gateways import chat, error_of, upstream_a, upstream_b, world

CHAT = "/chat/completions"
EVENTS = chat_events({"model": "m"})
ANSWER = {"id": "c", "object": "chat.completion", "choices": [], "usage": {"total_tokens": 3}}


class Shout:
    """What the upstream says in capitals, and a last word."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def events(self, events: bytes) -> bytes:
        self.seen.append(events)
        return events.replace(b"content", b"CONTENT")

    async def end(self) -> bytes:
        return b": over\n\n"

    async def answer(self, body: bytes) -> bytes:
        return body + b" "

    def lets_pass(self) -> bool:
        return False


class Slow(Shout):
    async def _late(self, events: bytes) -> bytes:
        await asyncio.sleep(0)
        return events.replace(b"CONTENT", b"Content")

    def events(self, events: bytes) -> Any:
        return self._late(events)


class Silent(Shout):
    """All is said at the end."""

    def events(self, events: bytes) -> bytes:
        self.seen.append(events)
        return b""

    async def end(self) -> bytes:
        return b"".join(self.seen)


class Refusing(Shout):
    def events(self, events: bytes) -> bytes:
        raise UpstreamError("Not like this.")

    async def answer(self, body: bytes) -> bytes:
        raise UpstreamError("Not like this.")


class Lenient(Shout):
    def lets_pass(self) -> bool:
        return True


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Stage]]:
    """Puts stages behind every attempt; the list is of those that were made."""

    def put(*makes: Callable[[], Stage]) -> list[Stage]:
        made: list[Stage] = []

        class Add:
            def __init__(self, app: ASGIApp) -> None:
                self.app = app

            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                new = [make() for make in makes]
                made.extend(new)
                Exchange.of(scope).stages += tuple(new)
                await self.app(scope, receive, send)

        chain = gateway.chain
        monkeypatch.setattr(gateway, "chain", lambda *args, **kwargs: (*chain(*args, **kwargs), Middleware(Add)))
        return made

    return put


async def test_whole_events_go_through_each_stage_in_turn_however_they_were_read(stages: Any) -> None:
    stages(Shout, Slow)
    said = b"".join(EVENTS)
    async with world() as w:
        w.upstream.answer(CHAT, stream_answer([said[at : at + 7] for at in range(0, len(said), 7)]))
        answer = await w.post(CHAT, chat(stream=True))
    assert answer.body == said.replace(b"content", b"Content") + b": over\n\n" * 2
    assert w.records[0].usage is None or w.records[0].complete


@pytest.mark.parametrize(("stands_in", "sees"), [(b'"stop"', True), (b"nowhere", False)])
async def test_a_single_stage_with_a_sign_sees_what_has_it_and_has_the_last_word(
    stages: Any, stands_in: bytes, sees: bool
) -> None:
    class Signed(Shout):
        sign = stands_in

    made = stages(Signed)
    said = b"".join(EVENTS)
    async with world(upstream_a(stream_usage="never")) as w:  # else there are two
        w.upstream.answer(CHAT, stream_answer([said[at : at + 7] for at in range(0, len(said), 7)]))
        answer = await w.post(CHAT, chat(stream=True))
    assert answer.body.replace(b"CONTENT", b"content") == said + b": over\n\n"
    assert (EVENTS[-2] in b"".join(made[0].seen)) == sees
    assert bool(made[0].seen) == sees


async def test_the_record_is_of_what_the_upstream_said(stages: Any) -> None:
    class Nothing(Shout):
        def events(self, events: bytes) -> bytes:
            return events if b"usage" not in events else b"data: [DONE]\n\n"

    stages(Nothing)
    usage = sse({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 7}})
    async with world() as w:
        w.upstream.answer(CHAT, stream_answer([*EVENTS[:-1], usage, DONE]))
        answer = await w.post(CHAT, chat(stream=True))
    assert b"usage" not in answer.body
    assert w.records[0].usage is not None
    assert w.records[0].usage.output == 7


async def test_a_stage_may_hold_all_of_a_stream_and_nothing_is_sent_before_it_speaks(stages: Any) -> None:
    stages(Silent)
    async with world() as w:
        w.upstream.answer(CHAT, stream_answer(EVENTS))
        answer = await w.post(CHAT, chat(stream=True))
    assert (answer.status, answer.body) == (200, b"".join(EVENTS))


async def test_while_nothing_was_sent_another_upstream_may_answer_with_stages_of_its_own(stages: Any) -> None:
    made = stages(Silent)
    async with world(upstream_a(), upstream_b("m1"), settings=Settings(retries=0)) as w:
        w.upstream.answer(CHAT, stream_answer(EVENTS[:2]), stream_answer(EVENTS))
        answer = await w.post(CHAT, chat(stream=True))
    assert answer.body == b"".join(EVENTS)
    assert len(made) == 2


@pytest.mark.parametrize("streams", [True, False])
async def test_what_a_stage_raises_ends_the_call(stages: Any, streams: bool) -> None:
    stages(Refusing)
    async with world(settings=Settings(retries=0)) as w:
        w.upstream.answer(CHAT, stream_answer(EVENTS) if streams else json_answer(ANSWER))
        answer = await w.post(CHAT, chat(stream=streams))
    assert answer.status == 502
    assert error_of(answer)["message"] == "Not like this."


async def test_an_error_in_the_stream_goes_through_the_stages_and_nothing_follows_it(stages: Any) -> None:
    stages(Shout)
    async with world(settings=Settings(retries=0)) as w:
        w.upstream.answer(CHAT, stream_answer([*EVENTS[:2], sse({"error": {"message": "no content"}})]))
        answer = await w.post(CHAT, chat(stream=True))
    assert answer.body.endswith(b'"no CONTENT"}}\n\n')


async def test_an_answer_is_changed_whole_and_its_length_is_its_own(stages: Any) -> None:
    stages(Shout, Slow)
    async with world() as w:
        w.upstream.answer(CHAT, json_answer(ANSWER))
        answer = await w.post(CHAT, chat())
    assert answer.body.endswith(b"}  ")
    assert int(answer.header("content-length")) == len(answer.body)
    assert w.records[0].usage is not None


async def test_a_compressed_answer_is_changed_as_well(stages: Any) -> None:
    stages(Shout)
    packed = gzip.compress(json.dumps(ANSWER).encode())
    headers = [("content-type", "application/json"), ("content-encoding", "gzip")]
    async with world() as w:
        w.upstream.answer(CHAT, Answer([packed], 200, headers))
        answer = await w.post(CHAT, chat())
    assert json.loads(answer.body) == ANSWER
    assert answer.header("content-encoding") is None


def chunks(total: int) -> AsyncIterator[bytes]:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"data": "'
        for _ in range(total // 65536):
            yield b"x" * 65536
        yield b'"}'

    return body()


@pytest.mark.parametrize(
    ("make", "limit", "status"), [(Shout, 4, 200), (Shout, 2, 502), (Lenient, 2, 200)], ids=["held", "fails", "passes"]
)
async def test_a_long_answer_is_held_or_passes_or_fails(stages: Any, make: Any, limit: int, status: int) -> None:
    stages(make)
    mib = 1024 * 1024
    async with world(settings=Settings(event_limit=limit * mib, retries=0)) as w:
        w.upstream.answer(CHAT, Answer(chunks(3 * mib), 200, [("content-type", "application/json")]))
        answer = await w.post(CHAT, chat())
    assert answer.status == status
    if status == 200:
        assert answer.body.endswith(b"} ") == (make is Shout)


async def test_an_event_over_the_limit_fails_and_never_passes_unchanged(stages: Any) -> None:
    stages(Shout)
    async with world(settings=Settings(event_limit=200, retries=0)) as w:
        long = sse({"choices": [{"delta": {"content": "x" * 300}}]})
        w.upstream.answer(CHAT, stream_answer([EVENTS[0], long[:-2], long[-2:], DONE]))
        answer = await w.post(CHAT, chat(stream=True))
    assert b"xxx" not in answer.body
    assert b"event_limit" in answer.body
