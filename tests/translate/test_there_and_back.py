"""Random chats are translated there and back; what must survive is compared."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.testing.answers import sse
from openai_gateway_asgi.translate.chat_answer import chat_completion
from openai_gateway_asgi.translate.chat_request import responses_call
from openai_gateway_asgi.translate.chat_stream import ChatStream
from openai_gateway_asgi.translate.dialect import Dialect
from openai_gateway_asgi.translate.response_objects import Frame
from openai_gateway_asgi.translate.responses_answer import response_of
from openai_gateway_asgi.translate.responses_request import chat_call
from openai_gateway_asgi.translate.responses_stream import ResponsesStream
from openai_gateway_asgi.translate.responses_tools import NO_TOOLS
from openai_gateway_asgi.translate.to_chat import ToChat
from openai_gateway_asgi.translate.to_responses import ToResponses

OFFICIAL = Dialect(developer=True, custom_tools=True)
LIMIT = 1 << 24

texts = st.text(max_size=20)
words = st.text(min_size=1, max_size=20)
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
numbers = st.integers(min_value=-(10**30), max_value=10**30)
schemas = st.dictionaries(names, st.one_of(numbers, texts, st.booleans(), st.none()), max_size=3)


def user_part() -> st.SearchStrategy[dict[str, Any]]:
    image = st.builds(
        lambda url, detail: {"type": "image_url", "image_url": {"url": url, "detail": detail}},
        words, st.sampled_from(["auto", "low", "high"]),
    )  # fmt: skip
    file = st.builds(lambda id: {"type": "file", "file": {"file_id": id}}, names)
    return st.one_of(st.builds(lambda text: {"type": "text", "text": text}, texts), image, file)


instructing = st.builds(
    lambda role, text: {"role": role, "content": text}, st.sampled_from(["system", "developer"]), texts
)
asking = st.builds(
    lambda content: {"role": "user", "content": content},
    st.one_of(texts, st.lists(user_part(), min_size=2, max_size=3)),
)


@st.composite
def turns(draw: Any) -> list[dict[str, Any]]:
    """What an assistant says, calls, and is told by its tools."""
    said = draw(st.one_of(st.none(), words))
    names_called = draw(st.lists(names, max_size=3))
    if said is None and not names_called:
        said = "ok"
    message: dict[str, Any] = {"role": "assistant", "content": said}
    calls = [{"id": f"call_{draw(numbers)}_{n}", "name": name} for n, name in enumerate(names_called)]
    if calls:
        message["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": draw(texts)}}
            for call in calls
        ]
    outputs = [{"role": "tool", "tool_call_id": call["id"], "content": draw(texts)} for call in calls]
    return [message, *draw(st.permutations(outputs))]


@st.composite
def chats(draw: Any) -> dict[str, Any]:
    messages = draw(st.lists(instructing, max_size=2))
    seen: set[str] = set()
    for _ in range(draw(st.integers(0, 3))):
        messages.append(draw(asking))
        turn = draw(turns())
        ids = {message["tool_call_id"] for message in turn[1:]}
        if not ids & seen:
            messages += turn
            seen |= ids
    messages.append(draw(asking))
    body: dict[str, Any] = {"model": "m", "messages": messages}
    optional: dict[str, st.SearchStrategy[Any]] = {
        "temperature": st.floats(0, 2),
        "max_completion_tokens": st.integers(1, 10**20),
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "verbosity": st.just("low"),
        "user": texts,
        "metadata": schemas,
        "my_own": numbers,
        "parallel_tool_calls": st.booleans(),
        "response_format": st.builds(
            lambda name, schema: {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}},
            names, schemas,
        ),
        "tools": st.lists(
            st.builds(
                lambda name, schema, strict: {
                    "type": "function", "function": {"name": name, "parameters": schema, "strict": strict},
                },
                names, schemas, st.booleans(),
            ),
            min_size=1, max_size=2,
        ),
    }  # fmt: skip
    return body | {name: draw(values) for name, values in optional.items() if draw(st.booleans())}


def fields(body: Any) -> Any:
    return Payload.parse(json.dumps(body).encode()).outline


def plain(fields: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(fields))
    return decoded


@given(chats())
@settings(max_examples=150, deadline=None)
def test_a_chat_comes_back_as_it_was(body: dict[str, Any]) -> None:
    there = responses_call(fields(body)).body
    back = plain(chat_call(there, OFFICIAL).body)
    if "tools" not in body:
        body.pop("parallel_tool_calls", None)
    assert back == body


@given(chats())
@settings(max_examples=100, deadline=None)
def test_a_response_comes_back_as_it_was(body: dict[str, Any]) -> None:
    there = plain(responses_call(fields(body)).body)
    back = plain(responses_call(chat_call(fields(there), OFFICIAL).body).body)
    if "tools" not in there:
        there.pop("parallel_tool_calls", None)
    assert back == there


# Answers


@st.composite
def deltas(draw: Any, beside: Sequence[dict[str, Any]] = ({},)) -> list[dict[str, Any]]:
    """The deltas of one streamed answer: thought, text, calls, perhaps text again."""
    found: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    found += [{"reasoning_content": word} for word in draw(st.lists(words, max_size=3))]
    found += [{"content": word} for word in draw(st.lists(texts, max_size=4))]
    for index, name in enumerate(draw(st.lists(names, max_size=3))):
        first, *rest = draw(st.lists(texts, min_size=1, max_size=3))
        function = {"name": name, "arguments": first}
        found.append({"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": function}]})
        found += [{"tool_calls": [{"index": index, "function": {"arguments": word}}]} for word in rest]
    if draw(st.booleans()):
        found += [{"content": word, "tool_calls": None} for word in draw(st.lists(texts, max_size=2))]
        found += [{"content": word, **draw(st.sampled_from(beside))} for word in draw(st.lists(texts, max_size=4))]
    return found


def chunks_of(deltas: Iterable[dict[str, Any]], finish: str = "stop") -> list[dict[str, Any]]:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    told = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    end = {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return [*told, end, {**head, "choices": [], "usage": usage}]


def gathered(chunks: Iterable[dict[str, Any]]) -> tuple[str, str, list[tuple[str, str, str]]]:
    """What a client gathers: thought, text, calls."""
    thought = text = ""
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            thought += delta.get("reasoning_content") or ""
            text += delta.get("content") or ""
            for call in delta.get("tool_calls") or ():
                parts = calls.setdefault(call["index"], ["", "", ""])
                function = call["function"]
                for place, said in enumerate((call.get("id"), function.get("name"), function.get("arguments"))):
                    parts[place] += said or ""
    return thought, text, [(id, name, arguments) for id, name, arguments in calls.values()]


@given(deltas())
@settings(max_examples=150, deadline=None)
def test_a_stream_comes_back_as_it_was(given_deltas: list[dict[str, Any]]) -> None:
    chunks = chunks_of(given_deltas)
    there = ResponsesStream(Frame({}, "m"))
    events = [event for chunk in chunks for event in there.feed(chunk)] + list(there.end())
    back = ChatStream(include_usage=True)
    assert gathered(chunk for event in events for chunk in back.feed(event)) == gathered(chunks)
    assert events[-1]["response"]["output"] == [e["item"] for e in events if e["type"] == "response.output_item.done"]
    completion = chat_completion(events[-1]["response"])
    message = completion["choices"][0]["message"]
    whole = response_of({**completion, "choices": completion["choices"]}, Frame({}, "m"))
    assert (message["content"] or "") == gathered(chunks)[1]
    assert chat_completion(whole)["choices"] == completion["choices"]


BESIDE: list[dict[str, Any]] = [
    {"role": "assistant", "of_the_server": {"a": [1]}}, {"refusal": None, "annotations": [], "reasoning": ""},
    {"refusal": "no"}, {"reasoning": "hm"},
]  # fmt: skip
"""What servers say beside a text: nothing, something that nobody knows, or more."""


@given(deltas(BESIDE), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_texts_that_take_the_short_way_are_told_the_same(
    given_deltas: list[dict[str, Any]], cuts: random.Random
) -> None:
    chunks = chunks_of(given_deltas)

    random.seed(1)
    slow = ResponsesStream(Frame({}, "m"))
    events = [event for chunk in chunks for event in slow.feed(chunk)] + list(slow.end())
    random.seed(1)
    stage = ToResponses(Frame({}, "m"), NO_TOOLS, limit=LIMIT)
    told = b"".join([stage.events(piece) for piece in in_pieces([sse(chunk) for chunk in chunks], cuts)]) + ended(stage)
    assert values(told) == json.loads(json.dumps(events))

    back = ChatStream(include_usage=True)
    expected = [chunk for event in events for chunk in back.feed(event)]
    to_chat = ToChat(include_usage=True, structured=False)
    named = [sse(event, event["type"]) for event in events]
    told = b"".join([to_chat.events(piece) for piece in in_pieces(named, cuts)])
    assert values(told.removesuffix(b"data: [DONE]\n\n")) == json.loads(json.dumps(expected))


def in_pieces(events: list[bytes], cuts: random.Random) -> Iterable[bytes]:
    """Whole events, several at once, as reads give them."""
    while events:
        number = cuts.randint(1, 4)
        yield b"".join(events[:number])
        events = events[number:]


def ended(stage: ToResponses) -> bytes:
    try:
        stage.end().send(None)
    except StopIteration as end:
        said: bytes = end.value
        return said
    raise AssertionError("it waits")


def values(told: bytes) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in told.decode().split("\n") if line.startswith("data: ")]
