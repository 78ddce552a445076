"""Cases 331 to 353: a Responses body as that of a chat call."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from openai_gateway_asgi.bodies.outline import Fields
from openai_gateway_asgi.config import Upstream
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.translate.dialect import Dialect
from openai_gateway_asgi.translate.responses_request import chat_call

HI = {"role": "user", "content": "hi"}


def translated(body: dict[str, Any], **dialect: bool) -> dict[str, Any]:
    given = msgspec.json.decode(json.dumps(body if "input" in body else {"input": "hi", **body}), type=Fields)
    result: dict[str, Any] = json.loads(msgspec.json.encode(chat_call(given, Dialect(**dialect)).body))
    return result


def messages(*items: dict[str, Any], **dialect: bool) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = translated({"input": list(items)}, **dialect)["messages"]
    return result


def said(role: str, *words: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": word} for word in words]}


def call(id: str = "c1") -> dict[str, Any]:
    return {"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"}


def output(id: str = "c1", words: Any = "42") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": words}


def called(*ids: str, content: str | None = None, **more: Any) -> dict[str, Any]:
    calls = [{"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id in ids]
    return {"role": "assistant", "content": content, "tool_calls": calls, **more}


def gave(id: str = "c1", words: str = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": words}


REASONING = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}

ASIDE = {"role": "developer", "content": "be brief"}

ITEMS: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "a user's item": ([said("user", "hi")], [HI]),
    "an easy item": ([{"role": "user", "content": "hi"}], [HI]),
    "case_333 developer": ([said("developer", "d"), said("user", "hi")], [{"role": "system", "content": "d"}, HI]),
    "a thought that led to nothing": ([said("user", "hi"), REASONING, said("user", "hi")], [HI, HI]),
    "a user who speaks before the output is there": (
        [call(), said("user", "hi"), ASIDE, output(), said("assistant", "ok")],
        [called("c1"), gave(), HI, {"role": "system", "content": "be brief"}, {"role": "assistant", "content": "ok"}],
    ),
    "a user between two outputs": (
        [call("a"), call("b"), output("a"), said("user", "hi"), output("b")],
        [called("a", "b"), gave("a"), gave("b"), HI],
    ),
    "a call that was broken off": (
        [call(), said("user", "hi"), said("assistant", "ok")],
        [called("c1"), HI, {"role": "assistant", "content": "ok"}],
    ),
    "one broken off beside one with an output": (
        [call("a"), call("b"), output("b"), said("assistant", "ok")],
        [called("a", "b"), gave("b"), {"role": "assistant", "content": "ok"}],
    ),
    "case_334 one turn": (
        [REASONING, said("assistant", "let me see"), call(), output(), said("user", "hi")],
        [called("c1", content="let me see", reasoning_content="hm"), gave(), HI],
    ),
    "case_335 two calls and their outputs in reverse": (
        [call("c1"), call("c2"), output("c2"), output("c1")],
        [called("c1", "c2"), gave("c2"), gave("c1")],
    ),
    "case_336 a message between a call and its output": (
        [call(), said("assistant", "wait"), output()],
        [called("c1", content="wait"), gave()],
    ),
    "a second turn after the outputs": (
        [call("c1"), output("c1"), said("assistant", "and"), call("c2"), output("c2")],
        [called("c1"), gave("c1"), called("c2", content="and"), gave("c2")],
    ),
    "a second call after the outputs": (
        [call("c1"), output("c1"), call("c2"), output("c2"), said("assistant", "done")],
        [called("c1"), gave("c1"), called("c2"), gave("c2"), {"role": "assistant", "content": "done"}],
    ),
    "case_338 an output in parts": (
        [call(), output(words=[{"type": "input_text", "text": "4"}, {"type": "input_text", "text": "2"}])],
        [called("c1"), gave()],
    ),
    "a refusal": (
        [{"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
        [{"role": "assistant", "content": None, "refusal": "no"}],
    ),
    "an image": (
        [{"role": "user", "content": [{"type": "input_text", "text": "what?"}, {"type": "input_image", "image_url": "data:x", "detail": "low"}]}],
        [{"role": "user", "content": [{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}]}],
    ),
    "a file": (
        [{"role": "user", "content": [{"type": "input_file", "file_data": "AA", "filename": "a.pdf"}]}],
        [{"role": "user", "content": [{"type": "file", "file": {"file_data": "AA", "filename": "a.pdf"}}]}],
    ),
    "a search whose answer follows": (
        [{"type": "web_search_call", "id": "ws_1", "status": "completed"}, said("assistant", "found"), said("user", "hi")],
        [{"role": "assistant", "content": "found"}, HI],
    ),
    "an answer's own item, sent back": (
        [{**said("assistant", "yes"), "id": "msg_1", "status": "completed"}, said("user", "hi")],
        [{"role": "assistant", "content": "yes"}, HI],
    ),
    "thoughts that are nobody's to read": (
        [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "blob"}, said("assistant", "x")],
        [{"role": "assistant", "content": "x"}],
    ),
    "a custom tool's call as a function": (
        [{"type": "custom_tool_call", "call_id": "c1", "name": "sql", "input": "SELECT 1"}, {"type": "custom_tool_call_output", "call_id": "c1", "output": "1"}],
        [
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "sql", "arguments": '{"input":"SELECT 1"}'}}]},
            gave(words="1"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ITEMS)
def test_cases_333_to_338_items_become_messages(case: str) -> None:
    given, expected = ITEMS[case]
    assert messages(*given) == expected


def test_case_331_a_text_is_one_users_message() -> None:
    assert translated({"input": "hi"})["messages"] == [HI]


def test_case_332_instructions_come_first() -> None:
    assert translated({"instructions": "be kind"})["messages"] == [{"role": "system", "content": "be kind"}, HI]


def test_case_333_an_upstream_that_knows_developer_keeps_it() -> None:
    assert messages(said("developer", "d"), developer=True) == [{"role": "developer", "content": "d"}]


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "case_337 an output without its call": (
        {"input": [said("user", "hi"), call(), {"type": "function_call_output", "output": "x"}]},
        "input[2].call_id",
        "missing_required_parameter",
    ),
    "an output that answers nothing": ({"input": [output("c9")]}, "input[0].call_id", "invalid_value"),
    "two outputs for one call": ({"input": [call(), output(), output()]}, "input[2].call_id", "invalid_value"),
    "case_339 an image that a tool gave": (
        {"input": [call(), output(words=[{"type": "input_image", "image_url": "data:x"}])]},
        "input[1].output[0].type",
        "unsupported_parameter",
    ),
    "case_340 an item by its id": ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type", "unsupported_parameter"),
    "a hosted tool's item": ({"input": [{"type": "file_search_call", "id": "x"}]}, "input[0].type", "unsupported_parameter"),
    "case_341 an earlier response": ({"previous_response_id": "resp_x"}, "previous_response_id", "unsupported_parameter"),
    "a conversation": ({"conversation": {"id": "conv_x"}}, "conversation", "unsupported_parameter"),
    "a stored prompt": ({"prompt": {"id": "pmpt_x"}}, "prompt", "unsupported_parameter"),
    "case_346 a hosted tool": ({"tools": [{"type": "web_search"}]}, "tools[0].type", "unsupported_parameter"),
    "a long namespace, which each tool has in its name": (
        {"tools": [{"type": "namespace", "name": "n" * 257, "tools": [{"type": "function", "name": "f"}]}]},
        "tools[0].name",
        "invalid_value",
    ),
    "a choice of one": (
        {"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "web_search"}},
        "tool_choice",
        "unsupported_parameter",
    ),
    "case_349 truncation": ({"truncation": "auto"}, "truncation", "unsupported_parameter"),
    "case_350 in the background": ({"background": True}, "background", "unsupported_parameter"),
    "how it thinks": ({"reasoning": {"mode": "pro"}}, "reasoning.mode", "unsupported_parameter"),
    "case_353 nothing": ({"input": []}, "input", "missing_required_parameter"),
    "an image by its id": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
        "input[0].content[0].file_id",
        "unsupported_parameter",
    ),
    "a file by its address": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "http://x"}]}]},
        "input[0].content[0].file_url",
        "unsupported_parameter",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_said_is_refused_by_the_clients_own_field(case: str) -> None:
    given, param, code = REFUSED[case]
    with pytest.raises(InvalidRequest) as caught:
        translated(given)
    assert (caught.value.param, caught.value.code) == (param, code)


SCHEMA = {"name": "out", "schema": {"type": "object"}, "strict": True}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}
NESTED = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "case_341 no earlier response": ({"previous_response_id": None}, {}),
    "case_342 stored": ({"store": True}, {}),
    "case_343 a schema": (
        {"text": {"format": {"type": "json_schema", **SCHEMA}, "verbosity": "low"}},
        {"response_format": {"type": "json_schema", "json_schema": SCHEMA}, "verbosity": "low"},
    ),
    "case_343 any JSON": ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
    "case_344 no format": ({"text": {}}, {}),
    "case_344 text": ({"text": {"format": {"type": "text"}}}, {}),
    "case_345 a function": ({"tools": [TOOL], "tool_choice": "auto"}, {"tools": [NESTED], "tool_choice": "auto"}),
    "case_345 strict as it was": (
        {"tools": [{**TOOL, "strict": True}]},
        {"tools": [{"type": "function", "function": {**NESTED["function"], "strict": True}}]},  # type: ignore[dict-item]
    ),
    "a choice of one": (
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}},
        {"tools": [NESTED], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    ),
    "allowed tools": (
        {
            "tools": [TOOL],
            "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        },
        {
            "tools": [NESTED],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
        },
    ),
    "case_347 a custom tool as a function": (
        {"tools": [{"type": "custom", "name": "sql", "description": "d"}]},
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "sql",
                        "description": "d",
                        "parameters": {
                            "type": "object",
                            "properties": {"input": {"type": "string"}},
                            "required": ["input"],
                        },
                    },
                }
            ]
        },
    ),
    "tools of a namespace": (
        {"tools": [{"type": "namespace", "name": "ns", "tools": [TOOL]}]},
        {"tools": [{"type": "function", "function": {**NESTED["function"], "name": "ns__f"}}]},  # type: ignore[dict-item]
    ),
    "case_348 encrypted thoughts": ({"include": ["reasoning.encrypted_content"]}, {}),
    "case_349 no truncation": ({"truncation": "disabled"}, {}),
    "case_351 the limit": ({"max_output_tokens": 20}, {"max_completion_tokens": 20}),
    "case_352 the effort": ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
    "logprobs": (
        {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        {"logprobs": True, "top_logprobs": 2},
    ),
    "a stream asks for its usage": ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
    "calls at once without tools": ({"parallel_tool_calls": True}, {}),
    "a field that nobody knows": ({"my_field": 1}, {"my_field": 1}),
}


@pytest.mark.parametrize("case", FIELDS)
def test_cases_341_to_352_fields_have_their_words(case: str) -> None:
    given, expected = FIELDS[case]
    assert translated(given) == {"messages": [HI], **expected}


def test_case_346_hosted_tools_are_dropped_where_the_upstream_is_set_so() -> None:
    body = translated({"tools": [{"type": "web_search"}, TOOL]}, drop_hosted_tools=True)
    assert body["tools"] == [NESTED]


def test_case_347_an_upstream_that_knows_custom_tools_gets_them() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "x"}
    body = translated({"tools": [{"type": "custom", "name": "sql", "format": grammar}]}, custom_tools=True)
    inner = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}
    assert body["tools"] == [{"type": "custom", "custom": {"name": "sql", "format": inner}}]


def test_case_339_images_of_tools_pass_where_the_upstream_takes_them() -> None:
    image = {"type": "input_image", "image_url": "data:x"}
    (_, tool) = messages(call(), output(words=[image]), images_in_tools=True)
    assert tool["content"] == [{"type": "image_url", "image_url": {"url": "data:x"}}]


def test_openai_is_not_told_what_was_thought() -> None:
    upstream = Upstream("https://api.openai.com/v1", api_key="k")
    body = {"input": [said("user", "hi"), REASONING, said("assistant", "ok"), said("user", "hi")]}
    call = chat_call(msgspec.json.decode(json.dumps(body), type=Fields), Dialect.of(upstream))
    assert b"reasoning_content" not in bytes(call.body["messages"])


def test_what_both_know_of_a_part_is_kept() -> None:
    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    parts = [
        {"type": "input_text", "text": "t", **mark},
        {"type": "input_image", "image_url": "u", "detail": "low", **mark},
        {"type": "input_file", "file_id": "f", **mark},
    ]
    assert messages({"role": "user", "content": parts})[0]["content"] == [
        {"type": "text", "text": "t", **mark},
        {"type": "image_url", "image_url": {"url": "u", "detail": "low"}, **mark},
        {"type": "file", "file": {"file_id": "f"}, **mark},
    ]
