"""Cases 354 to 368: whole answers, in both directions."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from openai_gateway_asgi.errors import UpstreamError
from openai_gateway_asgi.translate.chat_answer import ResponseFailed, chat_completion
from openai_gateway_asgi.translate.response_objects import Frame
from openai_gateway_asgi.translate.responses_answer import response_of

USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 30,
}


def message(*words: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": word, "annotations": [], **more} for word in words]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def call(**more: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", **more}


def response(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "model": "m",
        "output": list(output),
        "usage": USAGE,
        **more,
    }


def chat(*output: dict[str, Any], structured: bool = False, **more: Any) -> dict[str, Any]:
    completion = chat_completion(response(*output, **more), structured=structured)
    ChatCompletion.model_validate(completion, strict=True)
    return completion


def choice(completion: dict[str, Any]) -> dict[str, Any]:
    (one,) = completion["choices"]
    result: dict[str, Any] = one
    return result


def test_case_354_two_messages_are_one_choice() -> None:
    said = choice(chat(message("Let me see. "), message("It is ", "42.")))
    assert (said["message"]["content"], said["finish_reason"]) == ("Let me see. It is 42.", "stop")


def test_case_355_where_json_was_asked_for_the_last_message_counts() -> None:
    said = choice(chat(message("Let me see."), message('{"a": 1}'), structured=True))
    assert said["message"]["content"] == '{"a": 1}'


def test_case_356_a_refusal() -> None:
    refused = {**message(), "content": [{"type": "refusal", "refusal": "no"}]}
    said = choice(chat(refused))
    assert (said["message"]["content"], said["message"]["refusal"], said["finish_reason"]) == (None, "no", "stop")


def test_case_357_a_call() -> None:
    said = choice(chat(message("Let me see."), call()))
    assert said["finish_reason"] == "tool_calls"
    assert said["message"]["content"] == "Let me see."
    assert said["message"]["tool_calls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]


def test_a_custom_call() -> None:
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "sql", "input": "SELECT 1"}
    (one,) = choice(chat(custom))["message"]["tool_calls"]
    assert one == {"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}


def test_case_358_out_of_tokens_while_it_thought() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    details = {"reason": "max_output_tokens"}
    completion = chat(thought, status="incomplete", incomplete_details=details)
    said = choice(completion)
    assert (said["message"]["content"], said["finish_reason"]) == ("", "length")
    assert completion["usage"]["completion_tokens"] == 20


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("content_filter", "content_filter"), ("max_output_tokens", "length"), ("steered", "length"), (None, "length")],
)
def test_case_359_why_it_is_incomplete(reason: str | None, finish: str) -> None:
    completion = chat(message("x"), call(), status="incomplete", incomplete_details={"reason": reason})
    assert choice(completion)["finish_reason"] == finish


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("rate_limit_exceeded", 429),
        ("server_error", 500),
        ("invalid_prompt", 400),
        ("image_too_large", 400),
        ("vector_store_timeout", 500),
    ],
)
def test_case_360_one_that_failed_has_the_status_of_its_code(code: str, status: int) -> None:
    with pytest.raises(ResponseFailed) as caught:
        chat_completion(response(status="failed", error={"code": code, "message": "why"}))
    assert caught.value.status == status
    assert caught.value.error == {"message": "why", "type": "upstream_error", "param": None, "code": code}


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled"])
def test_one_that_is_not_over_is_an_error(status: str) -> None:
    with pytest.raises(UpstreamError):
        chat_completion(response(status=status))


def test_nothing_at_all_is_an_empty_text() -> None:
    said = choice(chat())
    assert (said["message"]["content"], said["finish_reason"]) == ("", "stop")


def test_case_361_usage_goes_both_ways() -> None:
    usage = chat(message("x"))["usage"]
    assert usage == {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert back(completion({"content": "x"}, usage=usage))["usage"] == USAGE


def test_case_362_a_citation_is_wrapped_and_unwrapped() -> None:
    flat = {"type": "url_citation", "start_index": 0, "end_index": 4, "url": "http://x", "title": "X"}
    file = {"type": "file_citation", "file_id": "f", "index": 0, "filename": "a"}
    said = choice(chat(message("see", annotations=[flat, file])))["message"]
    inner = {name: value for name, value in flat.items() if name != "type"}
    assert said["annotations"] == [{"type": "url_citation", "url_citation": inner}]
    (item,) = back(completion({"content": "see", "annotations": said["annotations"]}))["output"]
    assert item["content"][0]["annotations"] == [flat]


def test_what_it_thought_is_told_in_the_field_that_clients_read() -> None:
    parts = [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]
    said = choice(chat({"type": "reasoning", "id": "rs_1", "summary": parts}, message("x")))["message"]
    assert (said["reasoning_content"], said["content"]) == ("one\n\ntwo", "x")


def test_logprobs_are_joined() -> None:
    entry = {"token": "x", "bytes": [120], "logprob": -0.5, "top_logprobs": []}
    said = choice(chat(message("x", logprobs=[entry]), message("x", logprobs=[entry])))
    assert said["logprobs"] == {"content": [entry, entry], "refusal": None}


def completion(said: dict[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
    one = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": finish, "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "other",
        "choices": [one],
        **more,
    }


def back(answer: dict[str, Any], request: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    result = response_of(answer, Frame(request or {}, "m"), **options)
    Response.model_validate(result)
    return result


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_case_363_and_case_364_an_answer_that_is_not_whole(finish: str, reason: str) -> None:
    answer = back(completion({"content": "half"}, finish))
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": reason})
    assert answer["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "function_call", "eos", None])
def test_every_other_end_is_whole(finish: str) -> None:
    assert back(completion({"content": "x"}, finish))["status"] == "completed"


def test_case_365_text_and_calls() -> None:
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in range(2)]
    output = back(completion({"content": "Let me see.", "tool_calls": calls}, "tool_calls"))["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "function_call"]
    assert [item.get("call_id") for item in output] == [None, "c0", "c1"]
    assert len({item["id"] for item in output}) == 3


def test_calls_alone_have_no_message_before_them() -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    (item,) = back(completion({"content": None, "tool_calls": calls}, "tool_calls"))["output"]
    assert item["id"].startswith("fc_")


def test_a_custom_tool_that_was_asked_as_a_function_is_one_again() -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "sql", "arguments": '{"input": "SELECT 1"}'}}]
    (item,) = back(completion({"content": None, "tool_calls": calls}), custom_tools={"sql"})["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "SELECT 1")


def test_case_366_unknown_usage_is_null() -> None:
    assert back(completion({"content": "x"}))["usage"] is None


@pytest.mark.parametrize("choices", [[], None, "x", [None]])
def test_case_367_an_answer_without_a_choice_is_an_error(choices: Any) -> None:
    with pytest.raises(UpstreamError):
        back({**completion({"content": "x"}), "choices": choices})


def test_case_368_thoughts_in_two_spellings_are_told_once() -> None:
    output = back(completion({"content": "x", "reasoning": "hm", "reasoning_content": "hm"}))["output"]
    assert [item["type"] for item in output] == ["reasoning", "message"]
    assert output[0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert output[0]["encrypted_content"] is None


def test_case_342_what_was_asked_is_repeated_and_nothing_is_stored() -> None:
    request = {"instructions": "be kind", "temperature": 0.5, "tools": [], "store": True, "metadata": {"a": "b"}}
    answer = back(completion({"content": "x"}), request)
    assert answer["store"] is False
    assert {name: answer[name] for name in ("instructions", "temperature", "metadata", "model")} == {
        "instructions": "be kind",
        "temperature": 0.5,
        "metadata": {"a": "b"},
        "model": "m",
    }
    assert answer["id"].startswith("resp_")


def test_an_empty_answer_is_an_empty_message() -> None:
    (item,) = back(completion({"content": None}))["output"]
    assert item["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]


def test_thoughts_that_stand_in_the_content_are_told() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    thought, said = back(completion({"content": [thinking, {"type": "text", "text": "x"}]}))["output"]
    assert (thought["summary"][0]["text"], said["content"][0]["text"]) == ("hm", "x")


def test_a_total_that_is_missing_is_the_sum() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2}
    assert chat(message("x"), usage=usage)["usage"]["total_tokens"] == 3
    assert (
        back(completion({"content": "x"}, usage={"prompt_tokens": 1, "completion_tokens": 2}))["usage"]["total_tokens"]
        == 3
    )


def test_where_json_was_asked_for_logprobs_are_those_of_what_is_told() -> None:
    entries = [{"token": word, "bytes": [1], "logprob": -0.5, "top_logprobs": []} for word in ("hm", "{}")]
    said = choice(chat(*[message(each["token"], logprobs=[each]) for each in entries], structured=True))
    assert (said["message"]["content"], said["logprobs"]["content"]) == ("{}", entries[1:])


@pytest.mark.parametrize("value", ["now", None, float("inf"), float("nan"), pytest.param(10**400, id="far")])
def test_an_answer_made_at_no_time_is_told_all_the_same(value: Any) -> None:
    assert isinstance(chat(message("x"), created_at=value)["created"], int)
    assert isinstance(back({**completion({"content": "x"}), "created": value})["created_at"], int)


def test_counts_that_are_written_with_a_point_or_in_the_other_words_are_told() -> None:
    """As the record has them."""
    counts = {"prompt_tokens": 7.0, "completion_tokens": 4.0, "total_tokens": 11.0}
    told = back(completion({"content": "x"}, usage=counts))["usage"]
    assert (told["input_tokens"], told["output_tokens"], told["total_tokens"]) == (7, 4, 11)
    told = chat(message("x"), usage=counts)["usage"]
    assert (told["prompt_tokens"], told["completion_tokens"], told["total_tokens"]) == (7, 4, 11)
    assert back(completion({"content": "x"}, usage=USAGE))["usage"] == USAGE


@pytest.mark.parametrize(
    ("given", "told"), [({}, "{}"), ({"a": 1}, '{"a": 1}'), (None, ""), ("", ""), ('{"a":1}', '{"a":1}')]
)
def test_arguments_are_a_text_whatever_the_server_sends(given: Any, told: str) -> None:
    asked = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": given}}
    (item,) = back(completion({"content": None, "tool_calls": [asked]}, "tool_calls"))["output"]
    assert item["arguments"] == told
    (found,) = choice(chat(call(arguments=given)))["message"]["tool_calls"]
    assert found["function"]["arguments"] == told


def test_a_call_without_an_id_gets_one() -> None:
    (found,) = choice(chat(call(call_id=None)))["message"]["tool_calls"]
    assert found["id"].startswith("call_")


def test_an_old_client_whose_model_called_a_custom_tool_gets_an_answer() -> None:
    custom = {"type": "custom_tool_call", "id": "ctc", "call_id": "c", "name": "f", "input": "x"}
    said = choice(chat_completion(response(custom), old=True))
    assert (said["message"]["function_call"]["name"], said["finish_reason"]) == ("f", "function_call")


def test_a_citation_without_its_place_has_what_readers_require() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "http://x"}}
    (said,) = back(completion({"content": "x", "annotations": [cited]}))["output"]
    assert said["content"][0]["annotations"] == [
        {"type": "url_citation", "start_index": 0, "end_index": 0, "url": "http://x", "title": ""}
    ]
