"""Input of texts, and answers that are one, take a short way; whatever they are, it says what the general way says."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config import Upstream
from openai_gateway_asgi.errors import GatewayError
from openai_gateway_asgi.translate.chat_answer import ResponseFailed, chat_completion
from openai_gateway_asgi.translate.chat_messages import items_of
from openai_gateway_asgi.translate.dialect import Dialect
from openai_gateway_asgi.translate.plain import plain_completion, plain_response
from openai_gateway_asgi.translate.plain_input import plain_items, plain_messages
from openai_gateway_asgi.translate.response_objects import Frame
from openai_gateway_asgi.translate.responses_answer import response_of
from openai_gateway_asgi.translate.responses_items import messages_of
from openai_gateway_asgi.translate.responses_parts import parts_of
from openai_gateway_asgi.translate.translation import Translation, to_chat, to_responses
from openai_gateway_asgi.translate.wire import encode
from tests.support.operations import operations

texts = st.text(max_size=12)
odd: st.SearchStrategy[Any] = st.sampled_from([None, "", "x", 0, 1, -3, 1.5, True, [], ["x"], {}, {"a": None}])
"""What may stand anywhere."""


def members(**usual: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object of these members, of which some may be missing, and some be of any kind."""

    @st.composite
    def drawn(draw: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in usual.items():
            chance = draw(st.integers(0, 79))
            if chance:
                found[name] = draw(odd if chance == 1 else value)
        return found

    return drawn()


counts = st.integers(0, 10**20)


def few(values: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=most)


nothing: st.SearchStrategy[Any] = st.sampled_from([None, [], []])
parts = members(
    type=st.sampled_from(["output_text"] * 6 + ["refusal"]),
    text=texts,
    annotations=nothing,
    logprobs=nothing,
    refusal=st.just("no"),
)
messages = members(
    type=st.just("message"),
    id=texts,
    role=st.just("assistant"),
    content=st.one_of(few(parts, 1), few(parts, 1), few(parts, 2)),
)
thoughts = members(
    type=st.just("reasoning"), id=texts, summary=st.sampled_from([[], [{"type": "summary_text", "text": "hm"}]])
)
calls = members(type=st.just("function_call"), call_id=texts, name=texts, arguments=texts)
responses = members(
    id=texts,
    created_at=st.one_of(counts, st.floats(0, 10**10)),
    status=st.sampled_from(["completed"] * 6 + ["incomplete", "failed"]),
    model=texts,
    error=st.none(),
    output=st.one_of(few(messages, 1), few(st.one_of(thoughts, messages, calls), 3)),
    usage=st.one_of(
        st.none(),
        members(
            input_tokens=counts,
            output_tokens=counts,
            total_tokens=counts,
            input_tokens_details=members(cached_tokens=counts, more=odd),
            output_tokens_details=members(reasoning_tokens=counts),
            prompt_tokens=counts,
            completion_tokens_details=st.one_of(st.none(), st.none(), members(reasoning_tokens=counts)),
        ),
    ),
    service_tier=st.just("flex"),
    metadata=st.just({"a": "b"}),
    incomplete_details=st.just({"reason": "content_filter"}),
)  # fmt: skip
completions = members(
    created=st.one_of(counts, st.floats(0, 10**10)),
    service_tier=st.just("flex"),
    choices=st.lists(
        members(
            message=members(
                content=texts,
                refusal=st.sampled_from([None] * 6 + ["", "no"]),
                annotations=nothing,
                tool_calls=st.sampled_from([None, None, None, None, [], [{"id": "c", "function": {"name": "f"}}]]),
                reasoning_content=st.sampled_from([None] * 6 + ["", "hm"]),
                function_call=st.none(),
            ),
            finish_reason=st.sampled_from(["stop", "stop", "stop", None, "length", "eos"]),
            logprobs=st.sampled_from([None, None, {}, {"content": []}]),
        ),
        min_size=1,
        max_size=2,
    ),
    usage=st.one_of(
        st.none(),
        members(
            prompt_tokens=counts,
            completion_tokens=counts,
            total_tokens=counts,
            prompt_tokens_details=st.one_of(st.none(), members(cached_tokens=counts, cache_write_tokens=counts)),
            completion_tokens_details=st.one_of(st.none(), members(reasoning_tokens=counts)),
            output_tokens=counts,
            input_tokens_details=st.one_of(st.none(), st.none(), members(cached_tokens=counts)),
        ),
    ),
)


def said(tell: Callable[[], dict[str, Any]]) -> bytes | str:
    try:
        return encode(tell())
    except (GatewayError, ResponseFailed) as error:
        return repr(error)


@given(responses, st.booleans(), st.booleans())
@settings(max_examples=600, deadline=None)
def test_a_response_is_told_the_same(response: dict[str, Any], structured: bool, old: bool) -> None:
    short = plain_completion(encode(response), "m")
    if short is not None:
        assert short == said(lambda: chat_completion(response, structured=structured, model="m", old=old))


@given(completions)
@settings(max_examples=600, deadline=None)
def test_a_chat_completion_is_told_the_same(completion: dict[str, Any]) -> None:
    frame = Frame({"temperature": msgspec.Raw(b"0.50")}, "m", id="resp_1")
    random.seed(1)
    short = plain_response(encode(completion), frame)
    if short is not None:
        random.seed(1)
        fresh = Frame({"temperature": msgspec.Raw(b"0.50")}, "m", id="resp_1")
        assert short == said(lambda: response_of(completion, fresh))


said_parts = members(
    type=st.sampled_from(["input_text", "output_text", "text"]), text=texts, annotations=nothing, logprobs=nothing
)


@given(few(said_parts, 3))
@settings(max_examples=300, deadline=None)
def test_parts_of_a_request_are_read_the_same(given_parts: list[dict[str, Any]]) -> None:
    """With a member that nobody knows each is read by itself."""
    slow = [{**part, "more": 1} for part in given_parts]
    try:
        expected = parts_of(msgspec.Raw(encode(slow)), "input[0].content")
    except GatewayError as error:
        with pytest.raises(type(error), match=re.escape(str(error))):
            parts_of(msgspec.Raw(encode(given_parts)), "input[0].content")
        return
    read = parts_of(msgspec.Raw(encode(given_parts)), "input[0].content")
    assert encode(read) == encode([{n: v for n, v in part.items() if n != "more"} for part in expected])


spoken = members(role=st.sampled_from(["user", "user", "system", "developer", "assistant"]), content=texts)


@given(members(input=st.one_of(texts, few(spoken, 3)), instructions=st.one_of(texts, st.none())))
@settings(max_examples=400, deadline=None)
def test_input_of_texts_is_said_the_same(body: dict[str, Any]) -> None:
    fields = Payload.parse(encode(body)).outline
    short = plain_messages(fields)
    if short is not None:
        long = messages_of(fields, Dialect())
        messages, places = short
        assert json.loads(bytes(messages)) == json.loads(encode(long.messages))
        assert list(places) == long.places


@given(members(messages=few(spoken, 3)))
@settings(max_examples=400, deadline=None)
def test_messages_of_texts_are_said_the_same(body: dict[str, Any]) -> None:
    fields = Payload.parse(encode(body)).outline
    short = plain_items(fields)
    if short is not None:
        items, places = short
        long = items_of(fields)
        assert bytes(items) == encode(long.said)
        assert list(places) == long.places


@pytest.mark.parametrize("said", [b'"h\\u00ed"', b'[{"content" : "h\\u00ed", "role": "user"}]'])
@pytest.mark.parametrize("instructions", [b"null", b'"be\\u0020kind"'])
def test_what_clients_usually_say_takes_the_short_way(said: bytes, instructions: bytes) -> None:
    short = plain_messages(Payload.parse(b'{"input":%b,"instructions":%b}' % (said, instructions)).outline)
    assert short is not None
    sent, places = bytes(short[0]), short[1]
    assert b'"h\\u00ed"' in sent, "a text keeps its bytes"
    assert len(json.loads(sent)) == len(places) == (1 if instructions == b"null" else 2)
    assert (instructions in sent) == (len(places) == 2)


def test_messages_of_usual_clients_take_it_too() -> None:
    said = b'[{"role":"developer","content":"be kind"}, {"content" : "h\\u00ed", "role": "user"}]'
    short = plain_items(Payload.parse(b'{"messages":%b}' % said).outline)
    assert short is not None
    assert b'"text":"h\\u00ed"' in bytes(short[0]), "a text keeps its bytes"
    assert [item["role"] for item in json.loads(bytes(short[0]))] == ["developer", "user"]


SAID = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    "said",
    [
        None, 1, {}, [], [None], ["hi"], [SAID] * 65, [{**SAID, "content": "x" * 1500}] * 60,
        [{**SAID, "role": "developer"}], [{**SAID, "role": "assistant"}], [{**SAID, "type": "message"}],
        [{**SAID, "name": "ada"}], [{**SAID, "content": [{"type": "input_text", "text": "hi"}]}], [{"role": "user"}],
        [{**SAID, "content": "\ud83d"}], [SAID, {**SAID, "content": None}],
    ],
)  # fmt: skip
def test_any_other_input_does_not(said: Any) -> None:
    assert plain_messages(Payload.parse(json.dumps({"input": said}).encode()).outline) is None


@pytest.mark.parametrize(
    "said",
    [
        None, "hi", 1, {}, [], [None], ["hi"], [SAID] * 65, [{**SAID, "content": "x" * 1500}] * 60,
        [{**SAID, "role": "assistant"}], [{**SAID, "role": "tool"}], [{**SAID, "name": "ada"}],
        [{**SAID, "content": [{"type": "text", "text": "hi"}]}], [{"role": "user"}], [SAID, {**SAID, "content": None}],
    ],
)  # fmt: skip
def test_any_other_messages_do_not(said: Any) -> None:
    assert plain_items(Payload.parse(json.dumps({"messages": said}).encode()).outline) is None


def test_neither_does_input_with_instructions_that_are_no_text() -> None:
    assert plain_messages(Payload.parse(encode({"input": "hi", "instructions": 1})).outline) is None


def test_what_servers_usually_answer_takes_the_short_way() -> None:
    part = {"type": "output_text", "text": "h\u00ed", "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "xyz"}
    head = {"id": "resp_1", "object": "response", "created_at": 7.0, "model": "m", "status": "completed", "error": None}
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_tokens_details": {"cached_tokens": 1}}
    for output in ([item], [thought, item]):
        body = json.dumps({**head, "output": output, "usage": usage, "tools": [], "metadata": {}}).encode()
        told = plain_completion(body, "m")
        assert told is not None
        assert b'"h\\u00ed"' in told, "a text keeps its bytes"

    message = {"role": "assistant", "content": "hi", "refusal": None, "annotations": [], "reasoning_content": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    completion = {"id": "c", "created": 7, "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    assert plain_response(encode(completion), Frame({}, "m")) is not None


@pytest.mark.parametrize("body", [b"", b"nothing", b"[]", b"{}", b'{"output":[]}', b'{"choices":[]}'])
def test_anything_else_does_not(body: bytes) -> None:
    assert plain_completion(body, "m") is None
    assert plain_response(body, Frame({}, "m")) is None


UPSTREAM = Upstream("http://models.test/v1")
DIALECT = Dialect.of(UPSTREAM)
BEGINNING = {"model": "m", "temperature": 0.7, "stream": False, "user": "ada"}
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What does a call cost?"}]
RESPONSE = {
    "id": "resp_1", "created_at": 7, "status": "completed", "model": "m",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi", "annotations": []}]}],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}  # fmt: skip
COMPLETION = {
    "id": "c", "created": 7, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}  # fmt: skip


def test_usage_in_the_words_of_the_other_api_is_left_to_it_too() -> None:
    response = {**RESPONSE, "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    assert plain_completion(encode(response), "m") is None
    completion = {**COMPLETION, "usage": {"input_tokens": 1, "output_tokens": 2}}
    assert plain_response(encode(completion), Frame({}, "m")) is None


@pytest.mark.parametrize("spelt", [b"\xff", b"\\ud83d", b"a\nb"])
def test_texts_that_strict_readers_refuse_are_left_to_the_general_way(spelt: bytes) -> None:
    assert plain_completion(encode(RESPONSE).replace(b"hi", spelt), "m") is None
    assert plain_response(encode(COMPLETION).replace(b"hi", spelt), Frame({}, "m")) is None


def chat_there(payload: Payload) -> Translation:
    return to_chat(payload, UPSTREAM, "m", DIALECT)


def responses_there(payload: Payload) -> Translation:
    return to_responses(payload, UPSTREAM, "m")


@pytest.mark.parametrize(
    ("there", "said_in", "answer", "most"),
    [(responses_there, "messages", RESPONSE, 480), (chat_there, "input", COMPLETION, 460)],
)
def test_a_small_call_costs_a_few_hundred_instructions(
    there: Callable[[Payload], Translation], said_in: str, answer: dict[str, Any], most: int
) -> None:
    """There and back; some twenty nanoseconds each."""
    payload, body = Payload.parse(encode({**BEGINNING, said_in: MESSAGES})), encode(answer)

    def call() -> object:
        return there(payload).back.stage(1 << 20).answer(body)

    assert isinstance(call(), bytes), "it waits"
    assert operations(call) < most
