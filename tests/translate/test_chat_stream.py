"""Cases 389 to 404: Responses events as chat chunks, read by the official SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from openai_gateway_asgi.errors import UpstreamError
from openai_gateway_asgi.testing.answers import Says, responses_events, sse
from openai_gateway_asgi.translate.chat_stream import ChatStream, StreamFailed
from openai_gateway_asgi.translate.response_objects import Frame
from openai_gateway_asgi.translate.responses_stream import ResponsesStream
from openai_gateway_asgi.translate.to_chat import ToChat
from tests.translate.sdk import final_completion

USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def response(status: str = "in_progress", **more: Any) -> dict[str, Any]:
    own = {"id": "resp_1", "created_at": 7, "model": "m", "status": status, "output": []}
    return {**own, **more}


CREATED = {"type": "response.created", "response": response()}
COMPLETED = {"type": "response.completed", "response": response("completed", usage=USAGE)}


def delta(words: str, item: int = 0) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "output_index": item, "content_index": 0, "delta": words}


def begins(index: int, **item: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def called(index: int, id: str = "c1") -> dict[str, Any]:
    return begins(index, type="function_call", id="fc_1", call_id=id, name="f", arguments="")


def arguments(index: int, words: str, kind: str = "delta") -> dict[str, Any]:
    held = "delta" if kind == "delta" else "arguments"
    return {"type": f"response.function_call_arguments.{kind}", "output_index": index, held: words}


def chunks(*events: dict[str, Any], include_usage: bool = True) -> list[dict[str, Any]]:
    stream = ChatStream(include_usage=include_usage)
    told = [chunk for event in events for chunk in stream.feed(event)]
    assert stream.over
    for chunk in told:
        if '"custom"' not in json.dumps(chunk):  # which the SDK's type of a chunk does not know
            ChatCompletionChunk.model_validate(chunk)
    return told


def deltas(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in told if chunk["choices"]]


def golden(says: Says) -> list[dict[str, Any]]:
    """What a real server sends, decoded."""
    lines = b"".join(responses_events({"model": "m"}, says)).decode().splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


@pytest.mark.parametrize("says", [Says(), Says(tool_calls=(("f", {"a": 1}), ("g", {})))])
def test_case_389_the_golden_stream(says: Says) -> None:
    completion = final_completion(chunks(*golden(says)))
    said = completion.choices[0]
    if says.tool_calls:
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in said.message.tool_calls]
        assert (calls, said.finish_reason) == ([("f", {"a": 1}), ("g", {})], "tool_calls")
    else:
        assert (said.message.content, said.finish_reason) == (says.text, "stop")
    assert completion.usage.total_tokens == 11


def test_case_390_role_id_name_and_type_come_once() -> None:
    told = deltas(
        chunks(
            CREATED,
            {**CREATED, "type": "response.in_progress"},
            called(0),
            arguments(0, "{"),
            arguments(0, "}"),
            COMPLETED,
        )
    )
    assert [each for each in told if "role" in each] == [{"role": "assistant", "content": ""}]
    calls = [each["tool_calls"][0] for each in told if "tool_calls" in each]
    assert [("id" in call, "type" in call, "name" in call["function"]) for call in calls] == [
        (True, True, True),
        (False, False, False),
        (False, False, False),
    ]


def test_case_391_calls_are_numbered_by_their_order() -> None:
    thought = begins(0, type="reasoning", id="rs_1", summary=[])
    told = deltas(chunks(CREATED, thought, called(2), called(3, "c2"), arguments(3, "{}"), COMPLETED))
    indexes = [each["tool_calls"][0]["index"] for each in told if "tool_calls" in each]
    assert indexes == [0, 1, 1]


@pytest.mark.parametrize(
    "last",
    [
        arguments(0, '{"a": 1}', "done"),
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        },
    ],
)
@pytest.mark.parametrize("deltas_came", [True, False])
def test_case_392_arguments_that_came_in_no_delta_come_whole_and_once(last: dict[str, Any], deltas_came: bool) -> None:
    pieces = [arguments(0, '{"a": '), arguments(0, "1}")] if deltas_came else []
    completion = final_completion(chunks(CREATED, called(0), *pieces, last, COMPLETED))
    (call,) = completion.choices[0].message.tool_calls
    assert call.function.arguments == '{"a": 1}'


def test_case_393_and_case_394_messages_are_joined_and_said_once() -> None:
    done = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "one "}
    item = {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": []}}
    completed = {
        "type": "response.completed",
        "response": response(
            "completed", output=[{"type": "message", "content": [{"type": "output_text", "text": "one "}]}]
        ),
    }
    told = chunks(CREATED, delta("one "), done, item, delta("two", 1), completed)
    assert final_completion(told).choices[0].message.content == "one two"


@pytest.mark.parametrize("asked", [True, False])
def test_case_395_usage_is_told_to_those_who_asked(asked: bool) -> None:
    told = chunks(CREATED, delta("x"), COMPLETED, include_usage=asked)
    assert [chunk["usage"]["total_tokens"] for chunk in told if not chunk["choices"]] == ([3] if asked else [])


@pytest.mark.parametrize(("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
def test_case_396_an_answer_that_is_not_whole(reason: str, finish: str) -> None:
    last = {"type": "response.incomplete", "response": response("incomplete", incomplete_details={"reason": reason})}
    told = chunks(CREATED, delta("half"), last)
    assert told[-1]["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize(
    "failure",
    [
        {"type": "response.failed", "response": response("failed", error={"code": "server_error", "message": "why"})},
        {"type": "error", "code": "server_error", "message": "why", "param": None},
        {"type": "error", "error": {"code": "server_error", "message": "why"}},
    ],
)
def test_case_397_and_case_398_a_failure_is_raised_with_its_message(failure: dict[str, Any]) -> None:
    stream = ChatStream(include_usage=True)
    list(stream.feed(CREATED))
    with pytest.raises(StreamFailed) as caught:
        list(stream.feed(failure))
    assert (caught.value.error["message"], caught.value.error["code"]) == ("why", "server_error")
    assert not stream.over


def test_case_399_a_stream_without_a_final_event_is_not_over() -> None:
    stream = ChatStream(include_usage=True)
    for event in (CREATED, delta("x")):
        list(stream.feed(event))
    assert not stream.over


def test_case_400_thoughts_have_a_blank_line_between_their_parts() -> None:
    part = {"type": "response.reasoning_summary_part.added", "part": {"type": "summary_text", "text": ""}}
    thought = {"type": "response.reasoning_summary_text.delta", "delta": "hm"}
    told = deltas(chunks(CREATED, part, thought, part, thought, delta("x"), COMPLETED))
    assert "".join(each.get("reasoning_content", "") for each in told) == "hm\n\nhm"


def test_case_401_annotations_come_in_one_chunk() -> None:
    citation = {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "u", "title": "t"}
    added = {"type": "response.output_text.annotation.added", "annotation": citation}
    told = deltas(chunks(CREATED, delta("x"), added, added, COMPLETED))
    (annotations,) = [each["annotations"] for each in told if "annotations" in each]
    assert len(annotations) == 2


def test_case_402_padding_is_left_out() -> None:
    told = chunks(CREATED, {**delta("x"), "obfuscation": "abc"}, COMPLETED)
    assert "abc" not in json.dumps(told)


def test_case_403_hosted_tools_at_work_say_nothing() -> None:
    quiet = [
        begins(0, type="web_search_call", id="ws_1", status="in_progress"),
        {"type": "response.web_search_call.searching", "output_index": 0},
        {"type": "response.something_new", "x": 1},
        {"type": "keepalive"},
    ]
    assert len(chunks(CREATED, *quiet, delta("x", 1), COMPLETED)) == 4


def test_case_404_a_custom_call() -> None:
    told = deltas(
        chunks(
            CREATED,
            begins(0, type="custom_tool_call", id="ctc_1", call_id="c1", name="sql", input=""),
            {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "SELECT 1"},
            COMPLETED,
        )
    )
    first, second = (each["tool_calls"][0] for each in told if "tool_calls" in each)
    assert first == {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "sql", "input": ""}}
    assert second == {"index": 0, "custom": {"input": "SELECT 1"}}


def test_there_and_back_again_says_the_same() -> None:
    stream = ResponsesStream(Frame({}, "m"))
    events: list[dict[str, Any]] = []
    for said in ({"reasoning_content": "hm"}, {"content": "a"}, {"content": "b"}):
        events += stream.feed({"created": 7, "choices": [{"index": 0, "delta": said, "finish_reason": None}]})
    events += stream.feed({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events += stream.end()
    told = deltas(chunks(*events))
    assert "".join(each.get("content") or "" for each in told) == "ab"
    assert "".join(each.get("reasoning_content", "") for each in told) == "hm"


def test_items_that_are_named_by_their_ids_alone() -> None:
    """As llama.cpp's, which names no model at first either."""
    thin = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}
    events = [thin, thin]
    for id in ("fc_1", "fc_2"):
        item = {"type": "function_call", "id": id, "call_id": f"c{id}", "name": "f", "arguments": ""}
        events.append({"type": "response.output_item.added", "item": item})
    for id in ("fc_1", "fc_2"):
        events.append({"type": "response.function_call_arguments.delta", "item_id": id, "delta": f'"{id}"'})
    stream = ChatStream(include_usage=False, model="m")
    told = [chunk for event in [*events, COMPLETED] for chunk in stream.feed(event)]
    assert {chunk["model"] for chunk in told} == {"m"}
    calls = final_completion(told).choices[0].message.tool_calls
    assert [(call.id, call.function.arguments) for call in calls] == [("cfc_1", '"fc_1"'), ("cfc_2", '"fc_2"')]


def test_what_only_the_final_event_says_is_told_from_it() -> None:
    text = {"type": "output_text", "text": "only", "annotations": [{"type": "url_citation", "url": "u"}]}
    output = [
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "id": "m", "content": [text, {"type": "refusal", "refusal": "no"}]},
        {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
    ]
    told = chunks(CREATED, {"type": "response.completed", "response": response("completed", output=output)})
    message = final_completion(told).choices[0].message
    assert (message.content, message.refusal) == ("only", "no")
    assert [delta["reasoning_content"] for delta in deltas(told) if "reasoning_content" in delta] == ["hm"]
    assert [delta["annotations"][0]["url_citation"]["url"] for delta in deltas(told) if "annotations" in delta] == ["u"]
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"a":1}'
    assert told[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_what_was_told_is_not_told_again_from_the_final_event() -> None:
    message = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "ab"}]}
    last = {"type": "response.completed", "response": response("completed", output=[message])}
    stage = ToChat(include_usage=False, structured=False)
    told = b"".join([stage.events(sse(event)) for event in (CREATED, delta("a"), delta("b"), last)])
    events = [json.loads(line[6:]) for line in told.decode().split("\n") if line.startswith("data: {")]
    assert "".join(each.get("content", "") for each in deltas(events)) == "ab"
    first_is_fast = ToChat(include_usage=False, structured=False)
    first_is_fast.events(sse(CREATED))
    assert first_is_fast.events(sse(delta("ab"))).count(b'"ab"') == 1
    assert b"ab" not in first_is_fast.events(sse(last))


def test_a_stream_that_begins_with_its_text_has_the_role_first() -> None:
    told = deltas(chunks(delta("a"), COMPLETED))
    assert told[:2] == [{"role": "assistant", "content": ""}, {"content": "a"}]


def text_done(words: str, item: int = 0) -> dict[str, Any]:
    return {"type": "response.output_text.done", "output_index": item, "content_index": 0, "text": words}


def content(told: list[dict[str, Any]], name: str = "content") -> str:
    return "".join(each.get(name) or "" for each in deltas(told))


MESSAGE = {"type": "message", "role": "assistant", "content": []}


def test_texts_that_come_whole_alone_are_told() -> None:
    told = chunks(CREATED, begins(0, **MESSAGE), text_done("a"), begins(1, **MESSAGE), text_done("b", 1), COMPLETED)
    assert content(told) == "ab"


def test_texts_that_came_in_pieces_are_not_told_again_whatever_stands_between() -> None:
    told = chunks(
        CREATED, begins(0, **MESSAGE), delta("a"), begins(1, **MESSAGE), text_done("a"), delta("b", 1),
        text_done("b", 1), COMPLETED,
    )  # fmt: skip
    assert content(told) == "ab"


def test_the_short_way_of_a_text_counts_as_one_in_pieces() -> None:
    stage = ToChat(include_usage=False, structured=False)
    told = b"".join([stage.events(sse(each)) for each in (CREATED, delta("a"), delta("b"), text_done("ab"), COMPLETED)])
    assert told.count(b'"content":"a"') == told.count(b'"content":"b"') == 1
    assert b"ab" not in told


def test_a_refusal_that_comes_whole_alone_is_told() -> None:
    done = {"type": "response.refusal.done", "output_index": 0, "content_index": 0, "refusal": "no"}
    assert content(chunks(CREATED, done, COMPLETED), "refusal") == "no"


def thought(words: str, item: int, kind: str = "reasoning_text.delta") -> dict[str, Any]:
    held = "delta" if kind.endswith("delta") else "text"
    return {"type": f"response.{kind}", "output_index": item, "content_index": 0, held: words}


def test_thoughts_of_several_items_have_a_blank_line_between_them() -> None:
    told = chunks(CREATED, thought("a", 0), thought("b", 0), thought("c", 2), delta("x", 3), COMPLETED)
    assert content(told, "reasoning_content") == "ab\n\nc"


def test_thoughts_that_come_whole_alone_are_told() -> None:
    told = chunks(CREATED, thought("a", 0, "reasoning_text.done"), delta("x", 1), COMPLETED)
    assert content(told, "reasoning_content") == "a"
    told = chunks(CREATED, thought("a", 0), thought("a", 0, "reasoning_text.done"), delta("x", 1), COMPLETED)
    assert content(told, "reasoning_content") == "a"


def test_the_final_event_says_how_it_ends_where_its_response_does_not() -> None:
    told = chunks(CREATED, delta("x"), {"type": "response.incomplete", "response": {"id": "resp_1"}})
    assert told[-1]["choices"][0]["finish_reason"] == "length"


def test_logprobs_have_all_that_strict_readers_require() -> None:
    entry = {"token": "x", "logprob": -0.5}
    told = chunks(CREATED, {**delta("x"), "logprobs": [entry]}, COMPLETED)
    (found,) = [each["choices"][0]["logprobs"] for each in told if each["choices"] and "logprobs" in each["choices"][0]]
    assert found == {"content": [{"bytes": None, **entry, "top_logprobs": []}], "refusal": None}


def test_what_a_stream_keeps_is_bounded() -> None:
    stage = ToChat(include_usage=False, structured=False, limit=1000)
    citation = {"type": "url_citation", "url": "https://a.test/" + "x" * 500, "title": "t"}
    event = {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": citation}
    stage.events(sse(CREATED) + sse(event))
    with pytest.raises(UpstreamError, match="event_limit"):
        stage.events(sse(event))


def test_the_last_chunks_say_which_tier_served_the_call() -> None:
    done = {"type": "response.completed", "response": response("completed", usage=USAGE, service_tier="flex")}
    told = chunks(CREATED, delta("x"), done)
    assert [chunk.get("service_tier") for chunk in told] == [None, None, "flex", "flex"]


def test_where_json_was_asked_for_nothing_of_a_comment_is_told() -> None:
    stream = ChatStream(include_usage=False, structured=True)
    citation = {"type": "url_citation", "url": "https://a.test/", "title": "t", "start_index": 0, "end_index": 1}
    cited = {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": citation}
    refused = {"type": "response.refusal.delta", "output_index": 0, "content_index": 1, "delta": "no"}
    comment = begins(0, **MESSAGE, phase="commentary")
    events = [CREATED, comment, delta("Let me see."), cited, refused, begins(1, **MESSAGE), delta("{}", 1), COMPLETED]
    told = [chunk for event in events for chunk in stream.feed(event)]
    assert [each for each in deltas(told) if each.get("content") != ""] == [{"content": "{}"}, {}]


TOLD_BEFORE = {
    "a thought": [thought("hm", 0)],
    "a text": [delta("ab")],
    "a call": [called(0), arguments(0, "{}")],
    "nothing": [],
}
LAST = [
    {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]},
    {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "so"}]},
    {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "ab"}]},
    {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": "{}"},
]


@pytest.mark.parametrize("item_done", [False, True])
@pytest.mark.parametrize("before", TOLD_BEFORE.values(), ids=TOLD_BEFORE)
def test_each_kind_is_told_once_wherever_the_upstream_says_it(before: list[dict[str, Any]], item_done: bool) -> None:
    """A thought that came in pieces does not hide a text that only the last events have, and so on."""
    done = [{"type": "response.output_item.done", "output_index": 5 + n, "item": item} for n, item in enumerate(LAST)]
    last = {"type": "response.completed", "response": response("completed", output=LAST)}
    told = chunks(CREATED, *before, *(done if item_done and not before else []), last)
    message = final_completion(told).choices[0].message
    assert message.content == "ab"
    assert [(call.id, call.function.arguments) for call in message.tool_calls or ()] == [("c1", "{}")]
    assert content(told, "reasoning_content") in ("hm", "hm\n\nso")
    assert told[-1]["choices"] == [] or told[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_text_that_only_the_end_of_its_item_says_is_told() -> None:
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ab"}]}
    ended = {"type": "response.output_item.done", "output_index": 1, "item": said}
    told = chunks(CREATED, thought("hm", 0), begins(1, **MESSAGE), ended, COMPLETED)
    assert (content(told), content(told, "reasoning_content")) == ("ab", "hm")
    told = chunks(CREATED, begins(1, **MESSAGE), text_done("ab", 1), ended, COMPLETED)
    assert content(told) == "ab"


@pytest.mark.parametrize("pieces", [[], [arguments(0, "{"), arguments(0, "}"), arguments(0, "{}", "done")]])
def test_arguments_that_an_item_begins_with_are_told_once(pieces: list[dict[str, Any]]) -> None:
    begun = begins(0, type="function_call", id="fc_1", call_id="c1", name="f", arguments="{}")
    (call,) = final_completion(chunks(CREATED, begun, *pieces, COMPLETED)).choices[0].message.tool_calls or ()
    assert call.function.arguments == "{}"
