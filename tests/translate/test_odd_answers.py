"""Whatever an upstream sends, a translated answer is one, or an error of the upstream's: never a failure of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.errors import UpstreamError
from openai_gateway_asgi.http.stages import Stage
from openai_gateway_asgi.testing.answers import Says, chat, chat_events, responses, responses_events, sse
from openai_gateway_asgi.translate.repaired import Repaired
from openai_gateway_asgi.translate.response_objects import Frame
from openai_gateway_asgi.translate.responses_tools import NO_TOOLS
from openai_gateway_asgi.translate.to_chat import ToChat
from openai_gateway_asgi.translate.to_responses import ToResponses
from openai_gateway_asgi.translate.wire import only_data
from tests.translate.test_repair import LLAMA, OLLAMA, TRANSFORMERS, golden

SAYS = (Says(reasoning="Hm."), Says(tool_calls=(("f", {"a": 1}), ("g", {}))))
MORE_CHUNKS: list[Any] = [
    {"choices": [{"index": 0, "delta": {"refusal": "no"}, "logprobs": {"content": [{"token": "a"}]}}]},
    {"choices": [{"index": 0, "delta": {"content": "x", "annotations": [{"url_citation": {"url": "u"}}]}}]},
    {"choices": [{"index": 0, "delta": {"function_call": {"name": "f"}}}], "usage": {"prompt_tokens": 1}},
]
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=3),
    st.lists(st.integers(0, 2), max_size=2), st.dictionaries(st.sampled_from(["a", "type", "id"]), st.integers(), max_size=2),
)  # fmt: skip


def decoded(events: list[bytes]) -> list[Any]:
    lines = [line for event in events for line in event.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line[6:]) for line in lines]


CHUNKS = [[*decoded(chat_events({"model": "m"}, says))[:-1], *MORE_CHUNKS] for says in SAYS]
EVENTS = [*[decoded(responses_events({"model": "m"}, says)) for says in SAYS], golden(), OLLAMA, TRANSFORMERS, LLAMA]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a value."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*at, key))


@st.composite
def spoilt(draw: Any, values: list[Any]) -> Any:
    """One of the values, with something odd somewhere in it."""
    value = json.loads(json.dumps(draw(st.sampled_from(values))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(list(places(value))[1:] or [()]))
        holder = value
        for key in at[:-1]:
            holder = holder[key]
        if at:
            holder[at[-1]] = draw(ODD)
    return value


def run(waiting: Any) -> bytes:
    if isinstance(waiting, bytes):
        return waiting
    try:
        waiting.send(None)
    except StopIteration as end:
        told: bytes = end.value
        return told
    raise AssertionError("it waits")


def stages() -> Iterator[Stage]:
    yield ToChat(include_usage=True, structured=True)
    yield ToResponses(Frame({}, "m"), NO_TOOLS, limit=1 << 20)
    yield Repaired(limit=1 << 20)


@given(st.one_of(spoilt(CHUNKS), spoilt(EVENTS)))
@settings(max_examples=400, deadline=None)
def test_odd_events(events: list[Any]) -> None:
    for stage in stages():
        try:
            told = [stage.events(sse(event)) for event in events] + [run(stage.end())]
        except UpstreamError:
            continue
        for event in b"".join(told).decode().split("\n\n"):  # type: ignore[arg-type]
            for line in event.split("\n"):
                assert not line or line.startswith(("data: ", "event: "))


WHOLE = [json.loads(b"".join(make({"model": "m"}, says).chunks)) for make in (chat, responses) for says in SAYS]  # type: ignore[arg-type]
WHOLE.append(golden()[-1]["response"])


@given(spoilt(WHOLE))
@settings(max_examples=400, deadline=None)
def test_odd_answers(answer: Any) -> None:
    for stage in stages():
        try:
            told = run(stage.answer(json.dumps(answer).encode()))
        except UpstreamError:
            continue
        msgspec.json.decode(told)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'"text"', b"{}"])
def test_answers_that_are_none(body: bytes) -> None:
    for stage in (ToChat(include_usage=True, structured=True), ToResponses(Frame({}, "m"), NO_TOOLS, limit=1 << 20)):
        with pytest.raises(UpstreamError):
            run(stage.answer(body))


ASKED = {"temperature": msgspec.Raw(b"0.50"), "metadata": msgspec.Raw(b'{"n":123456789012345678901234567890}')}


def test_text_with_halves_of_a_letter_or_broken_bytes_is_not_lost() -> None:
    """Upstreams cut letters anywhere, and some write what is no UTF-8: all else that they said is told."""
    halves = (b"\\ud83d", b"\\ude00", b" a\xff")
    stage = ToResponses(Frame(ASKED, "m"), NO_TOOLS, limit=1000)
    chunks = [b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % half for half in halves]
    told = decoded([stage.events(chunk) for chunk in chunks])
    last = stage.events(sse({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})) + run(stage.end())
    end = decoded([last])
    deltas = [event["delta"] for event in told if event["type"] == "response.output_text.delta"]
    assert deltas == ["\ud83d", "\ude00", " a\ufffd"]
    assert end[-1]["response"]["output"][0]["content"][0]["text"] == "\U0001f600 a\ufffd"
    assert b'"temperature":0.50,' in last, "what is repeated of the request keeps its bytes all the same"


def test_a_whole_answer_with_half_a_letter_is_translated() -> None:
    body = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"\\ud83d!"},"finish_reason":"stop"}]}'
    told = run(ToResponses(Frame(ASKED, "m"), NO_TOOLS, limit=1000).answer(body))
    assert json.loads(told)["output"][0]["content"][0]["text"] == "\ud83d!"
    assert b'"temperature":0.50,' in told


@pytest.mark.parametrize("written", [b"data: %b\n\n", b"event: x\ndata: %b\n\n"])
def test_the_only_data_is_told_at_once(written: bytes) -> None:
    assert only_data(written % b'{"a":1}') == b'{"a":1}'


@pytest.mark.parametrize(
    "events",
    [
        b"", b"\n\n", b": hi\n\n", b"data:{}\n\n", b"data: {}\r\n\r\n", b"data: {}\rdata: {}\n\n", b"data: {\ndata: }\n\n",
        b"data: {}\n\ndata: {}\n\n", b": hi\ndata: {}\n\n", b"data: {}\n: hi\n\n", b"event: x\nid: 1\ndata: {}\n\n",
        b"event: x\ndata: {}\nid: 1\n\n", b"event: x\n\ndata: {}\n\n", b"id: 1\ndata: {}\n\n", b"event: x\n\n",
    ],
)  # fmt: skip
def test_anything_else_is_taken_apart(events: bytes) -> None:
    assert only_data(events) is None
