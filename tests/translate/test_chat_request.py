"""Cases 301 to 330: a chat body as that of a Responses call."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from openai_gateway_asgi.bodies.outline import Fields
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.translate.chat_request import responses_call

USER = {"role": "user", "content": "hi"}


def fields(body: dict[str, Any] | str) -> Fields:
    return msgspec.json.decode(body if isinstance(body, str) else json.dumps(body), type=Fields)


def translated(body: dict[str, Any], **options: Any) -> dict[str, Any]:
    given = body if "messages" in body else {"messages": [USER], **body}
    result: dict[str, Any] = json.loads(msgspec.json.encode(responses_call(fields(given), **options).body))
    return result


def items(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = translated({"messages": list(messages)})["input"]
    return result


def said(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts)}


def text(words: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": kind, "text": words}


CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
CALLED = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
IMAGE = "data:image/png;base64,AAAA"

MESSAGES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "case_301 a user's text": ([USER], [said("user", text("hi"))]),
    "case_302 system first": (
        [{"role": "system", "content": "s"}, USER],
        [said("system", text("s")), said("user", text("hi"))],
    ),
    "case_303 two system messages": (
        [{"role": "system", "content": "a"}, {"role": "system", "content": "b"}, USER],
        [said("system", text("a")), said("system", text("b")), said("user", text("hi"))],
    ),
    "case_304 developer": ([{"role": "developer", "content": "d"}], [said("developer", text("d"))]),
    "case_305 system in the middle": (
        [USER, {"role": "system", "content": "s"}, USER],
        [said("user", text("hi")), said("system", text("s")), said("user", text("hi"))],
    ),
    "case_306 an image with its detail": (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what?"},
                    {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
                ],
            }
        ],
        [said("user", text("what?"), {"type": "input_image", "image_url": IMAGE, "detail": "low"})],
    ),
    "case_307 an image without": (
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}],
        [said("user", {"type": "input_image", "image_url": IMAGE, "detail": "auto"})],
    ),
    "case_308 a file by its id": (
        [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
        [said("user", {"type": "input_file", "file_id": "file-1"})],
    ),
    "case_308 a file by its data": (
        [{"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA", "filename": "a.pdf"}}]}],
        [said("user", {"type": "input_file", "file_data": "AAAA", "filename": "a.pdf"})],
    ),
    "case_310 what the assistant said": (
        [{"role": "assistant", "content": "yes"}],
        [said("assistant", text("yes", "output_text"))],
    ),
    "case_310 what it refused": (
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
        [said("assistant", {"type": "refusal", "refusal": "no"})],
    ),
    "case_310 a refusal beside the content": (
        [{"role": "assistant", "content": None, "refusal": "no"}],
        [said("assistant", {"type": "refusal", "refusal": "no"})],
    ),
    "case_311 two calls and no text": (
        [{"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]}],
        [CALLED, {**CALLED, "call_id": "c2"}],
    ),
    "case_311 a call and an empty text": ([{"role": "assistant", "content": "", "tool_calls": [CALL]}], [CALLED]),
    "case_312 text and a call": (
        [{"role": "assistant", "content": "let me see", "tool_calls": [CALL]}],
        [said("assistant", text("let me see", "output_text")), CALLED],
    ),
    "case_313 what a tool gave": (
        [{"role": "tool", "tool_call_id": "c1", "content": "42"}],
        [{"type": "function_call_output", "call_id": "c1", "output": "42"}],
    ),
    "case_313 in parts": (
        [{"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}]}],
        [{"type": "function_call_output", "call_id": "c1", "output": [text("42")]}],
    ),
    "case_314 nothing": (
        [{"role": "tool", "tool_call_id": "c1", "content": ""}],
        [{"type": "function_call_output", "call_id": "c1", "output": ""}],
    ),
    "case_315 for a call that nobody knows": (
        [{"role": "tool", "tool_call_id": "unknown", "content": "42"}],
        [{"type": "function_call_output", "call_id": "unknown", "output": "42"}],
    ),
    "a custom tool's call and what it gave": (
        [
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
        ],
        [
            {"type": "custom_tool_call", "call_id": "c1", "name": "sql", "input": "SELECT 1"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "1"},
        ],
    ),
    "case_330 the old way to call": (
        [
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "42"},
        ],
        [
            {"type": "function_call", "call_id": "call_0", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_0", "output": "42"},
        ],
    ),
    "a name and thoughts have no place": (
        [{**USER, "name": "ann"}, {"role": "assistant", "content": "x", "reasoning_content": "hm"}],
        [said("user", text("hi")), said("assistant", text("x", "output_text"))],
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_cases_301_to_315_messages_become_items_in_their_places(case: str) -> None:
    messages, expected = MESSAGES[case]
    assert items(*messages) == expected


FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}}
FORMAT = {"name": "out", "schema": {"type": "object"}, "strict": True}

FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "case_316 a function without strict": (
        {"tools": [{"type": "function", "function": FUNCTION}]},
        {"tools": [{"type": "function", **FUNCTION, "strict": False}]},
    ),
    "case_317 strict stays": (
        {"tools": [{"type": "function", "function": {**FUNCTION, "strict": True}}]},
        {"tools": [{"type": "function", **FUNCTION, "strict": True}]},
    ),
    "a custom tool with a grammar": (
        {
            "tools": [
                {
                    "type": "custom",
                    "custom": {
                        "name": "sql",
                        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}},
                    },
                }
            ]
        },
        {
            "tools": [
                {
                    "type": "custom",
                    "name": "sql",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
                }
            ]
        },
    ),
    "case_318 a choice of one function": (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tool_choice": {"type": "function", "name": "f"}},
    ),
    "case_318 in a word": ({"tool_choice": "required"}, {"tool_choice": "required"}),
    "case_319 allowed tools": (
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            }
        },
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}},
    ),
    "case_320 a schema, and how much is said": (
        {"response_format": {"type": "json_schema", "json_schema": FORMAT}, "verbosity": "low"},
        {"text": {"format": {"type": "json_schema", **FORMAT}, "verbosity": "low"}},
    ),
    "case_320 any JSON": ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
    "case_321 the larger of two limits": ({"max_tokens": 5, "max_completion_tokens": 9}, {"max_output_tokens": 9}),
    "case_322 the effort": ({"reasoning_effort": "high"}, {"reasoning": {"effort": "high"}}),
    "case_324 a stop that is none": ({"stop": None}, {}),
    "case_325 logprobs": (
        {"logprobs": True, "top_logprobs": 3},
        {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
    ),
    "case_325 no logprobs": ({"logprobs": False, "top_logprobs": None}, {}),
    "case_326 usage is always told": ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    "case_326 another option of streams": (
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
    ),
    "values that say nothing": (
        {"n": 1, "seed": None, "logit_bias": {}, "frequency_penalty": 0, "presence_penalty": 0.0, "audio": None},
        {},
    ),
    "case_328 a field that nobody knows": ({"my_field": [1]}, {"my_field": [1]}),
    "case_330 the old way to offer": (
        {"functions": [FUNCTION], "function_call": {"name": "f"}},
        {"tools": [{"type": "function", **FUNCTION, "strict": False}], "tool_choice": {"type": "function", "name": "f"}},
    ),
    "web search": (
        {"web_search_options": {"search_context_size": "low", "user_location": {"type": "approximate", "approximate": {"city": "Oslo"}}}},
        {"tools": [{"type": "web_search", "search_context_size": "low", "user_location": {"type": "approximate", "city": "Oslo"}}]},
    ),
    "the same in both": (
        {"temperature": 0.5, "metadata": {"a": "b"}, "user": "u", "service_tier": "flex"},
        {"temperature": 0.5, "metadata": {"a": "b"}, "user": "u", "service_tier": "flex"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FIELDS)
def test_cases_316_to_330_fields_have_their_words(case: str) -> None:
    given, expected = FIELDS[case]
    body = translated({"model": "m", **given})
    assert body == {"model": "m", "input": [said("user", text("hi"))], "store": False, **expected}


@pytest.mark.parametrize(("given", "sent"), [({}, False), ({"store": None}, False), ({"store": True}, True)])
def test_case_330_nothing_is_stored_unless_the_client_says_so(given: dict[str, Any], sent: bool) -> None:
    assert translated(given)["store"] is sent


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "case_309 speech": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "input_audio", "input_audio": {}}]}]},
        "messages[0].content[1].type",
        "unsupported_parameter",
    ),
    "case_323 two answers": ({"n": 2}, "n", "unsupported_parameter"),
    "case_324 a stop": ({"stop": "x"}, "stop", "unsupported_parameter"),
    "case_327 a seed": ({"seed": 1}, "seed", "unsupported_parameter"),
    "a bias": ({"logit_bias": {"1": 2}}, "logit_bias", "unsupported_parameter"),
    "a penalty": ({"presence_penalty": 0.5}, "presence_penalty", "unsupported_parameter"),
    "a prediction": ({"prediction": {"type": "content", "content": "x"}}, "prediction", "unsupported_parameter"),
    "a spoken answer": ({"audio": {"voice": "alloy"}}, "audio", "unsupported_parameter"),
    "modalities": ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
    "a tool that there is not": ({"tools": [{"type": "retrieval"}]}, "tools[0].type", "unsupported_parameter"),
    "a role that there is not": ({"messages": [{"role": "critic", "content": "x"}]}, "messages[0].role", "unsupported_parameter"),
    "a tool message without a call": ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "missing_required_parameter"),
    "an image without an address": ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages[0].content[0].image_url.url", "missing_required_parameter"),
    "no content": ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
    "a choice that is none": ({"tool_choice": {"type": "function"}}, "tool_choice", "invalid_value"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_said_is_refused_by_the_clients_own_field(case: str) -> None:
    given, param, code = REFUSED[case]
    with pytest.raises(InvalidRequest) as caught:
        translated(given)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_no_messages_at_all() -> None:
    with pytest.raises(InvalidRequest) as caught:
        responses_call(fields({"model": "m"}))
    assert caught.value.param == "messages"


def test_case_327_what_the_upstream_drops_is_dropped() -> None:
    assert "seed" not in translated({"seed": 1}, dropped=frozenset({"seed"}))


def test_case_329_values_that_nobody_translates_keep_their_bytes() -> None:
    schema = '{"type":"object","maximum":123456789012345678901234567890,"x":1.0e2,"a":{"b":1,"b":2}}'
    body = (
        '{"messages":[{"role":"user","content":"\\u00e9 \\ud83d\\ude00"}],'
        f'"tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}],'
        f'"response_format":{{"type":"json_schema","json_schema":{{"name":"o","schema":{schema}}}}},'
        '"metadata":{"n":"1e400"},"temperature":0.70}'
    )
    sent = msgspec.json.encode(responses_call(fields(body)).body).decode()
    assert sent.count(schema) == 2
    assert '"\\u00e9 \\ud83d\\ude00"' in sent
    assert '"temperature":0.70' in sent
