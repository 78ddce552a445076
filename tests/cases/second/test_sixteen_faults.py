"""Sixteen things that go wrong with a streamed answer of sixty words, for whose model one fallback is configured.

Each call ends within half a minute as a whole answer, of one model, or as an error: by default twelve and four, and
fifteen and one where a stream is held until it is whole. The usual run has every time, those of the gateway and those
of the upstream, at a twentieth; ``-m soak`` has them as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import openai
import pytest

from openai_gateway_asgi import Outcome, Timeouts
from openai_gateway_asgi.testing.answers import DONE, Says, chat_events, responses_events
from openai_gateway_asgi.testing.wire import EVENTS, JSON, Call, WireScript, answer, chunked, hang, head, reset
from openai_gateway_asgi.testing.wire import sse as stream
from openai_gateway_asgi.upstream import breaker, failures
from tests.reliability.gateways import ANN, MODEL
from tests.support.asgi import ask

from .streams import CHAT, RESPONSES, Api, Told, told_by

PATIENCE = 30.0
OUTAGE = 10.0
RECOVERY = 10.0
USED = {
    "chat": {"prompt_tokens": 9, "completion_tokens": 60, "total_tokens": 69},
    "responses": {"input_tokens": 9, "output_tokens": 60, "total_tokens": 69},
}


def sixty(word: str) -> tuple[str, ...]:
    return tuple(f"{word}{number} " for number in range(60))


def answering(api: Api, model: str, word: str) -> list[bytes]:
    """The events of a model's answer of sixty words."""
    says = Says(sixty(word), usage=USED[api.name])
    if api is RESPONSES:
        return responses_events({"model": model}, says)
    return chat_events({"model": model, "stream_options": {"include_usage": True}}, says)


def refusing(status: int, code: str, message: str = "No.", **headers: str) -> WireScript:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    fields = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return answer(status, (*JSON, *fields), json.dumps({"error": error}).encode())


@dataclass
class Primary:
    """The upstream that is asked first; its own answer is of sixty words, too."""

    api: Api
    scale: float
    began: float = 0.0

    @property
    def events(self) -> list[bytes]:
        return answering(self.api, MODEL, "a")

    def told(self, words: int) -> list[bytes]:
        return self.events[: self.api.words + words]

    def late(self, seconds: float) -> WireScript:
        async def send(call: Call) -> None:
            await call.read_body()
            await call.send(head(200, (*EVENTS, (b"Transfer-Encoding", b"chunked"))))
            await asyncio.sleep(seconds * self.scale)
            for event in self.events:
                await call.send(chunked(event))
            await call.send(b"0\r\n\r\n")

        return send

    def down(self, seconds: float) -> WireScript:
        healthy = stream(*self.events)

        async def send(call: Call) -> None:
            now = asyncio.get_running_loop().time()
            self.began = self.began or now
            await (reset if now < self.began + seconds * self.scale else healthy)(call)

        return send


@dataclass(frozen=True)
class Fault:
    """How the first upstream fails, and who gives the whole answer then: nobody where it can only be an error."""

    script: Callable[[Primary], WireScript]
    by_default: str | None
    held: str | None
    status: int = 200
    most: int = 3
    """How often it may be asked."""


FAULTS = {
    "429 with retry-after": Fault(lambda of: refusing(429, "rate_limited", retry_after="20"), "b", "b", most=1),
    "429 without": Fault(lambda of: refusing(429, "rate_limited"), "b", "b"),
    "500": Fault(lambda of: refusing(500, "server_error"), "b", "b"),
    "reset before the answer": Fault(lambda of: reset, "b", "b"),
    "refused connection": Fault(lambda of: reset, "b", "b"),  # by `told`
    "silence from the start": Fault(lambda of: hang, "b", "b", most=1),
    "first token after 20 s": Fault(lambda of: of.late(20), "b", "b", most=1),
    "cut after 40 words": Fault(lambda of: stream(*of.told(40), ending="cut"), None, "b"),
    "stall after 20 words": Fault(lambda of: stream(*of.told(20), ending="open"), None, "b"),
    "malformed event in the middle": Fault(
        lambda of: stream(*of.told(30), b'data: {"id": "1", "choi\n\n', *of.events[of.api.words + 30 :]), "a", "a"
    ),
    "missing [DONE]": Fault(lambda of: stream(*[each for each in of.events if each != DONE]), "a", "a"),
    "context too long": Fault(
        lambda of: refusing(400, "context_length_exceeded", "This model's maximum context length is 8 tokens."),
        "b",
        "b",
        most=1,
    ),
    "content refused": Fault(lambda of: refusing(400, "content_filter"), None, None, status=400, most=1),
    "cut, and no continuing": Fault(lambda of: stream(*of.told(40), ending="reset"), None, "b"),
    "outage": Fault(lambda of: of.down(OUTAGE), "b", "b"),
    "usage and model": Fault(lambda of: refusing(503, "overloaded"), "b", "b"),
}


@dataclass
class Read:
    """What the client made of it."""

    text: str = ""
    finished: bool = False
    model: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    error: openai.APIError | None = None

    def take(self, data: dict[str, Any]) -> None:
        if data.get("type") == "response.output_text.delta":
            self.text += data["delta"]
        elif data.get("type") == "response.completed":
            self.finished, self.model, self.usage = True, data["response"]["model"], data["response"]["usage"]
        for choice in data.get("choices", ()):
            self.text += choice["delta"].get("content") or ""
            self.finished = self.finished or choice["finish_reason"] == "stop"
        if "choices" in data:
            self.model, self.usage = data["model"], data.get("usage") or {}


Reader = Callable[[], Awaitable[Read]]


@contextlib.asynccontextmanager
async def through_sdk(told: Told, api: Api) -> AsyncIterator[Reader]:
    """As the official client reads it, who is there before the call."""
    async with told.sdk() as client:
        create: Any = client.chat.completions.create if api is CHAT else client.responses.create

        async def call() -> Read:
            read = Read()
            try:
                async for event in await create(**api.body(**asked_of(api))):
                    read.take(event.model_dump())
            except openai.APIError as error:
                read.error = error
            return read

        yield call


@contextlib.asynccontextmanager
async def forgivingly(told: Told, api: Api) -> AsyncIterator[Reader]:
    """As a client reads it that leaves out what it does not understand; the official one stops at what is malformed."""

    async def call() -> Read:
        read = Read()
        answered = await ask(told.gateway, "POST", api.path, json=api.body(**asked_of(api)), headers=ANN)
        for event in answered.body.split(b"\n\n"):
            with contextlib.suppress(ValueError):
                read.take(json.loads(event.partition(b"data: ")[2]))
        return read

    yield call


def asked_of(api: Api) -> dict[str, Any]:
    return {"stream_options": {"include_usage": True}} if api is CHAT else {}


def spare(api: Api) -> WireScript:
    """The fallback. A conversation that ends with an answer that was begun is none for it."""
    whole, no = stream(*answering(api, "spare", "b")), refusing(400, "invalid_messages")

    async def send(call: Call) -> None:
        body = json.loads(await call.read_body())
        await (whole if all(body[key] == value for key, value in api.ask.items()) else no)(call)

    return send


def clocks(scale: float) -> Timeouts:
    if scale == 1:
        return Timeouts(idle=10, stall=5)
    return Timeouts(idle=10 * scale, stall=5 * scale, failover_after=12 * scale)


@pytest.fixture(params=[pytest.param(0.05, id="scaled"), pytest.param(1.0, id="real", marks=pytest.mark.soak)])
def scale(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """A second of the gateway's."""
    scale: float = request.param
    for module, name in ((breaker, "FIRST_COOL_DOWN"), (breaker, "LONGEST_COOL_DOWN"), (failures, "BACKOFF")):
        monkeypatch.setattr(module, name, getattr(module, name) * scale)
    monkeypatch.setattr(failures, "UNSAID", [seconds * scale for seconds in failures.UNSAID])
    return scale


@contextlib.asynccontextmanager
async def faulty(fault: str, api: Api, commit: str, scale: float, timeouts: Timeouts) -> AsyncIterator[Told]:
    script = FAULTS[fault].script(Primary(api, scale))
    async with told_by(script, spare(api), timeouts=timeouts, settings={"commit": commit}, fallback=True) as told:
        if fault == "refused connection":
            await told.upstreams[0].__aexit__(None, None, None)
        yield told


APIS = pytest.mark.parametrize(
    "api", [pytest.param(CHAT, id="chat"), pytest.param(RESPONSES, id="responses", marks=pytest.mark.soak)]
)
COMMITS = pytest.mark.parametrize("commit", ["told", "whole"])


@APIS
@COMMITS
@pytest.mark.parametrize("fault", FAULTS)
async def test_each_ends_as_a_whole_answer_or_as_an_error(fault: str, commit: str, api: Api, scale: float) -> None:
    expected = FAULTS[fault]
    by = expected.held if commit == "whole" else expected.by_default
    reader = forgivingly if fault.startswith("malformed") else through_sdk
    loop = asyncio.get_running_loop()
    async with faulty(fault, api, commit, scale, clocks(scale)) as told, reader(told, api) as call:
        began = loop.time()
        async with asyncio.timeout(PATIENCE * scale):
            read = await call()
        took = (loop.time() - began) / scale
        (record,) = told.records
        if by:
            assert (read.error, read.text, read.finished) == (None, "".join(sixty(by)), True)
            assert read.model == {"a": MODEL, "b": "spare"}[by]
            assert read.usage.items() >= USED[api.name].items()
            assert record.outcome is Outcome.COMPLETED
            assert (record.model, record.served_model) == (MODEL, read.model)
            assert record.upstream == {"a": "u0", "b": "fallback"}[by]
            assert record.usage is not None
            assert (record.usage.input, record.usage.output) == (9, 60)
            assert record.commit == commit
        elif expected.status == 200:
            assert read.error is not None
            assert not read.finished
            assert record.outcome is Outcome.UPSTREAM_FAILED
        else:
            assert isinstance(read.error, openai.APIStatusError)
            assert read.error.status_code == expected.status
            assert (read.text, record.outcome) == ("", Outcome.REJECTED)
        assert told.asked[0] <= expected.most
        assert told.asked[1] == (by == "b")
        if fault.startswith("first token"):
            assert took < 15 + (scale < 1) * 4  # less than what was waited for, were the machine busy


def test_how_many_are_whole() -> None:
    assert sum(1 for fault in FAULTS.values() if fault.by_default) == 12
    assert sum(1 for fault in FAULTS.values() if fault.held) == 15
    assert len(FAULTS) == 16


@COMMITS
async def test_an_outage_is_noticed_by_nobody_and_over_when_it_is(commit: str, scale: float) -> None:
    """Calls all the time: each is answered whole, and the one that failed is asked again within ten seconds."""
    loop = asyncio.get_running_loop()
    async with faulty("outage", CHAT, commit, scale, clocks(scale)) as told, forgivingly(told, CHAT) as call:
        began = loop.time()
        models: list[tuple[float, str | None]] = []
        while (at := (loop.time() - began) / scale) < OUTAGE + RECOVERY and (not models or models[-1][1] != MODEL):
            async with asyncio.timeout(PATIENCE * scale):
                read = await call()
            assert read.text in ("".join(sixty("a")), "".join(sixty("b")))
            models.append((at, read.model))
            await asyncio.sleep(0.5 * scale)
        assert len(models) > 5
        assert OUTAGE <= models[-1][0] < OUTAGE + RECOVERY, models
        assert models[-1][1] == MODEL
        assert told.outcomes == ["completed"] * len(models)


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["silence from the start", "first token after 20 s"])
async def test_slow_beginnings_are_mended_with_the_default_clocks(fault: str) -> None:
    async with faulty(fault, CHAT, "told", 1.0, Timeouts()) as told, through_sdk(told, CHAT) as call:
        async with asyncio.timeout(15):
            assert (await call()).text == "".join(sixty("b"))
