"""Cases 369 to 388: chat chunks as the events of a Responses stream, read by the official SDK."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from openai_gateway_asgi.translate.response_objects import Frame
from openai_gateway_asgi.translate.responses_answer import response_of
from openai_gateway_asgi.translate.responses_stream import ResponsesStream
from tests.support.cost import assert_costs
from tests.translate.sdk import final_response

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
VALID = TypeAdapter(ResponseStreamEvent)


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "up", "choices": [choice]}


def tool(index: int = 0, *, id: str | None = None, name: str | None = None, arguments: str = "") -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return {"tool_calls": [{"index": index, "function": function, **({"id": id, "type": "function"} if id else {})}]}


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
CALLED = chunk({}, "tool_calls")
TOLD = {**ROLE, "choices": [], "usage": USAGE}


def events(*chunks: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    stream = ResponsesStream(Frame({"instructions": "be kind"}, "m"), **options)
    told = [event for each in chunks for event in stream.feed(each)]
    told += stream.end()
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    for event in told:
        VALID.validate_python(event)
    return told


def kinds(told: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in told]


MESSAGE = [
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
]
THOUGHT = [
    "output_item.added",
    "reasoning_summary_part.added",
    "reasoning_summary_text.delta",
    "reasoning_summary_text.done",
    "reasoning_summary_part.done",
    "output_item.done",
]
CALL = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]
BEGIN = ["created", "in_progress"]


def test_case_369_the_golden_stream() -> None:
    told = events(
        ROLE,
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "Let me see."}),
        chunk(tool(id="c1", name="f")),
        chunk(tool(arguments='{"a": 1}')),
        CALLED,
        TOLD,
    )
    assert kinds(told) == [*BEGIN, *THOUGHT, *MESSAGE, *CALL, "completed"]

    response = final_response(told)
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert (response.output_text, response.output[2].arguments) == ("Let me see.", '{"a": 1}')
    assert response.usage.total_tokens == 3


def test_case_370_a_role_alone_opens_nothing() -> None:
    stream = ResponsesStream(Frame({}, "m"))
    assert kinds(list(stream.feed(ROLE))) == BEGIN
    assert list(stream.feed(chunk({}))) == []


def test_case_371_text_alone() -> None:
    told = events(ROLE, chunk({"content": "a"}), STOP)
    assert kinds(told) == [*BEGIN, *MESSAGE, "completed"]


def test_case_372_a_call_alone() -> None:
    told = events(ROLE, chunk(tool(id="c1", name="f", arguments="{}")), CALLED)
    assert kinds(told) == [*BEGIN, *CALL, "completed"]


def test_case_373_arguments_in_one_piece_are_one_delta() -> None:
    told = events(chunk(tool(id="c1", name="f", arguments='{"a": 1}')), CALLED)
    assert [event["delta"] for event in told if event["type"].endswith("arguments.delta")] == ['{"a": 1}']


def test_case_374_a_call_opens_when_its_name_is_known() -> None:
    told = events(chunk(tool(id="c1", arguments="{")), chunk(tool(name="f")), chunk(tool(arguments="}")), CALLED)
    assert kinds(told)[2:] == [CALL[0], CALL[1], CALL[1], *CALL[2:], "completed"]
    assert told[-1]["response"]["output"][0]["arguments"] == "{}"


def test_case_375_calls_that_take_turns() -> None:
    told = events(
        chunk(tool(0, id="c0", name="f")),
        chunk(tool(1, id="c1", name="g")),
        chunk(tool(0, arguments="{0")),
        chunk(tool(1, arguments="{1")),
        chunk(tool(0, arguments="}")),
        chunk(tool(1, arguments="}")),
        CALLED,
    )
    calls = final_response(told).output
    assert [(call.call_id, call.name, call.arguments) for call in calls] == [("c0", "f", "{0}"), ("c1", "g", "{1}")]


def test_case_376_text_behind_a_call_is_a_new_item() -> None:
    told = events(
        chunk({"content": "a"}), chunk(tool(id="c1", name="f", arguments="{}")), chunk({"content": "b"}), STOP
    )
    output = final_response(told).output
    assert [item.type for item in output] == ["message", "function_call", "message"]
    assert len({item.id for item in output}) == 3


def test_case_377_what_is_repeated_is_told_once() -> None:
    piece = chunk(tool(id="c1", name="f", arguments="x"))
    (call,) = final_response(events(piece, piece, CALLED)).output
    assert (call.call_id, call.name, call.arguments) == ("c1", "f", "xx")


@pytest.mark.parametrize("last", [[STOP, TOLD], [{**STOP, "usage": USAGE}]])
def test_case_378_usage_stands_in_the_final_event(last: list[dict[str, Any]]) -> None:
    told = events(chunk({"content": "a"}), *last)
    assert told[-1]["response"]["usage"]["input_tokens"] == 1


def test_case_379_a_finish_reason_is_enough() -> None:
    assert events(chunk({"content": "a"}), STOP)[-1]["type"] == "response.completed"


def test_case_380_and_case_381_an_error_is_nested_and_flat() -> None:
    stream = ResponsesStream(Frame({}, "m"))
    list(stream.feed(chunk({"content": "a"})))
    error = {"message": "cut", "type": "upstream_error", "param": None, "code": "upstream_unavailable"}
    told = stream.error(error)
    VALID.validate_python(told)
    assert told["error"] == error
    assert (told["message"], told["code"], told["type"]) == ("cut", "upstream_unavailable", "error")


def test_case_382_out_of_tokens() -> None:
    told = events(chunk({"content": "a"}), chunk({}, "length"))
    assert told[-1]["type"] == "response.incomplete"
    assert told[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert told[-1]["response"]["output"][0]["status"] == "incomplete"


def test_case_383_and_case_384_items_are_the_same_wherever_they_stand() -> None:
    told = events(
        chunk({"reasoning": "hm"}), chunk({"content": "a"}), chunk(tool(id="c1", name="f", arguments="{}")), CALLED
    )
    added = [event["item"]["id"] for event in told if event["type"] == "response.output_item.added"]
    done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert [item["id"] for item in done] == added
    assert told[-1]["response"]["output"] == done
    assert len({event["response"]["id"] for event in told if "response" in event}) == 1


def test_case_385_no_calls_are_no_calls() -> None:
    assert kinds(events(chunk({"content": "a", "tool_calls": []}), STOP)) == [*BEGIN, *MESSAGE, "completed"]


def test_case_386_a_refusal_streams_too() -> None:
    told = events(chunk({"refusal": "I "}), chunk({"refusal": "won't"}), STOP)
    (item,) = final_response(told).output
    assert item.content[0].refusal == "I won't"


def test_a_refusal_behind_a_text_is_another_part_of_the_same_message() -> None:
    (item,) = final_response(events(chunk({"content": "a"}), chunk({"refusal": "no"}), STOP)).output
    assert [part.type for part in item.content] == ["output_text", "refusal"]


def test_case_387_logprobs_come_with_their_delta() -> None:
    entry = {"token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": []}
    told = events(chunk({"content": "a"}, logprobs={"content": [entry], "refusal": None}), STOP)
    deltas = [event for event in told if event["type"] == "response.output_text.delta"]
    assert deltas[0]["logprobs"] == [entry]


def test_nothing_at_all_is_an_empty_message() -> None:
    told = events(ROLE, STOP)
    assert final_response(told).output_text == ""


def test_annotations_are_told_where_they_stand() -> None:
    citation = {"type": "url_citation", "url_citation": {"start_index": 0, "end_index": 1, "url": "u", "title": "t"}}
    told = events(chunk({"content": "a"}), chunk({"annotations": [citation]}), STOP)
    (item,) = final_response(told).output
    assert item.content[0].annotations[0].url == "u"


def test_a_custom_tool_that_was_asked_as_a_function_is_one_again() -> None:
    told = events(
        chunk(tool(id="c1", name="sql", arguments='{"input": ')),
        chunk(tool(arguments='"SELECT 1"}')),
        CALLED,
        custom_tools={"sql"},
    )
    (item,) = final_response(told).output
    assert (item.type, item.input) == ("custom_tool_call", "SELECT 1")


def test_only_the_first_choice_is_looked_at() -> None:
    other = chunk({"content": "b"})
    other["choices"][0]["index"] = 1
    assert final_response(events(chunk({"content": "a"}), other, STOP)).output_text == "a"


def test_a_text_that_comes_in_parts_is_told() -> None:
    told = events(chunk({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}), chunk({}, "stop"))
    assert [event["delta"] for event in told if event["type"] == "response.output_text.delta"] == ["ab"]
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == "ab"


def calls_of(*chunks: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call, as the SDK gathers them."""
    output = final_response(events(ROLE, *chunks, CALLED)).output
    return [(item.call_id, item.name, item.arguments) for item in output if item.type == "function_call"]


def piece(said: dict[str, Any], index: int | None = None) -> dict[str, Any]:
    """A delta of a call, by default without an index."""
    return chunk({"tool_calls": [said if index is None else {"index": index, **said}]})


def names(id: str, name: str = "f", arguments: str = "") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def more(arguments: str) -> dict[str, Any]:
    return {"function": {"arguments": arguments}}


WITHOUT_INDEX = {
    "one in pieces": ([names("a"), more('{"x"'), more(":1}")], [("a", "f", '{"x":1}')]),
    "two in pieces": (
        [names("a"), more("{}"), names("b", "g"), more("[]")],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "two whole": ([names("a", "f", "{}"), names("b", "f", "{}")], [("a", "f", "{}"), ("b", "f", "{}")]),
    "an id in every piece": (
        [names("a", "f", "{"), names("b", "g", "["), names("a", "f", "}"), names("b", "g", "]")],
        [("a", "f", "{}"), ("b", "g", "[]")],
    ),
    "null for an index": ([{"index": None, **names("a", "f", "{}")}], [("a", "f", "{}")]),
}


@pytest.mark.parametrize(("pieces", "calls"), WITHOUT_INDEX.values(), ids=WITHOUT_INDEX)
def test_calls_without_an_index_are_told_apart_by_their_ids(pieces: list[Any], calls: list[Any]) -> None:
    assert calls_of(*[piece(each) for each in pieces]) == calls


def test_calls_with_neither_index_nor_id_are_told_apart_by_their_names() -> None:
    found = calls_of(piece(names("", "f", "{}")), piece(names("", "f", "[]")))
    assert [each[1:] for each in found] == [("f", "{}"), ("f", "[]")]
    assert len({id for id, _, _ in found}) == 2


def test_calls_that_share_one_index_are_told_apart_by_id_and_name() -> None:
    pieces = [names("a", "f", "{}"), names("b", "g", "["), more("]")]
    assert calls_of(*[piece(each, 0) for each in pieces]) == [("a", "f", "{}"), ("b", "g", "[]")]


def test_a_new_id_with_every_piece_of_one_call_is_no_new_call() -> None:
    pieces = [names("a", "f", "{"), {"id": "b", **more("}")}]
    assert calls_of(*[piece(each, 0) for each in pieces]) == [("a", "f", "{}")]


@pytest.mark.parametrize("pieces", [[[0], [1]], [[0, 1]]])
def test_calls_that_share_one_index_and_have_no_ids_are_told_apart_where_the_first_is_whole(pieces: Any) -> None:
    """As Gemini's, whose ids may be empty."""
    both = [{"index": 0, **names("", "f", '{"a":1}')}, {"index": 0, **names("", "g", "{}")}]
    found = calls_of(*[chunk({"tool_calls": [both[number] for number in numbers]}) for numbers in pieces])
    assert [each[1:] for each in found] == [("f", '{"a":1}'), ("g", "{}")]
    assert len({id for id, _, _ in found}) == 2


def test_a_name_with_every_piece_of_one_call_is_no_new_call() -> None:
    pieces = [names("", "f", '{"a":'), names("", "f", '{"b":'), names("", "f", "1}}")]
    assert [each[2] for each in calls_of(*[piece(each, 0) for each in pieces])] == ['{"a":{"b":1}}']


@pytest.mark.parametrize(("given", "told"), [({}, "{}"), ({"a": 1}, '{"a": 1}'), (None, "")])
def test_arguments_that_are_no_text_are_told_as_one(given: Any, told: str) -> None:
    ((_, _, said),) = calls_of(piece({"id": "a", "function": {"name": "f", "arguments": given}}, 0))
    assert said == told


def test_a_call_that_is_not_whole_goes_on_behind_a_text() -> None:
    """Some servers put a line break between the pieces of a call."""
    told = events(
        chunk(tool(id="c1", name="f", arguments='{"a"')), chunk({"content": "\n"}), chunk(tool(arguments=":1}")), CALLED
    )
    call, message = final_response(told).output
    assert (call.arguments, message.content[0].text) == ('{"a":1}', "\n")


def test_what_repeats_a_call_that_was_whole_is_left_out() -> None:
    whole = piece(names("a", "f", "{}"), 0)
    assert calls_of(whole, chunk({"content": "x"}), piece(names("a", "f", ""), 0)) == [("a", "f", "{}")]


def test_logprobs_have_the_bytes_that_strict_readers_require() -> None:
    entry = {"token": "é", "bytes": None, "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -0.5}]}
    response = final_response(events(chunk({"content": "é"}, logprobs={"content": [entry]}), STOP))
    (found,) = response.output[0].content[0].logprobs
    assert (found.bytes, found.top_logprobs[0].bytes) == ([195, 169], [101])


def test_items_count_for_what_is_kept() -> None:
    stream = ResponsesStream(Frame({}, "m"))
    for number in range(100):
        list(stream.feed(chunk(tool(number, id=f"c{number}", name="f"))))
    assert stream.kept > 10_000


CALLS = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in range(2)]
WHOLE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a text": {"content": "x"},
    "a thought alone": {"reasoning_content": "hm"},
    "a thought and a text": {"reasoning_content": "hm", "content": "x"},
    "calls alone": {"tool_calls": CALLS},
    "a text and calls": {"content": "x", "tool_calls": CALLS},
    "a text and a refusal": {"content": "x", "refusal": "no"},
}


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
@pytest.mark.parametrize("said", WHOLE.values(), ids=WHOLE)
def test_a_stream_ends_with_what_a_whole_answer_says(said: dict[str, Any], finish: str) -> None:
    answer = {"created": 7, "choices": [{"message": said, "finish_reason": finish}], "usage": USAGE}
    calls = [{"index": index, **call} for index, call in enumerate(said.get("tool_calls", ()))]
    pieces = [chunk({name: calls if name == "tool_calls" else value}) for name, value in said.items()]
    streamed = events(ROLE, *pieces, chunk({}, finish), TOLD)[-1]["response"]
    whole = response_of(answer, Frame({"instructions": "be kind"}, "m"))
    for response in (streamed, whole):
        for named in (response, *response["output"]):
            del named["id"]
    assert streamed == whole


def test_calls_whose_names_never_come_count_for_what_is_kept() -> None:
    stream = ResponsesStream(Frame({}, "m"))
    for number in range(100):
        list(stream.feed(chunk(tool(number, arguments="x" * 100))))
    assert stream.kept > 30_000
    one = ResponsesStream(Frame({}, "m"))
    for _ in range(100):
        list(one.feed(chunk(tool(0, arguments="x" * 100))))
    assert one.kept > 30_000


def test_turns_without_end_do_not_make_a_call_be_looked_at_again_and_again() -> None:
    """A megabyte of arguments that are not whole, and thousands of changes from thoughts to text."""
    turns = [chunk({"content": "a"}), chunk({"reasoning_content": "b"})] * 1000

    def run() -> None:
        stream = ResponsesStream(Frame({}, "m"))
        for each in [chunk(tool(id="a", name="f", arguments='{"a":"' + "x" * 1_000_000)), *turns]:
            list(stream.feed(each))

    assert_costs(run, at_most=150)
