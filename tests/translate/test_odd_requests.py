"""Whatever a client sends, it is translated or refused with a 4xx: never a failure of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config import Upstream
from openai_gateway_asgi.errors import GatewayError, InvalidRequest
from openai_gateway_asgi.translate.dialect import Dialect
from openai_gateway_asgi.translate.translation import Translation, to_chat, to_responses
from tests.translate.test_odd_answers import spoilt

FUNCTION: dict[str, Any] = {"name": "f", "strict": True, "parameters": {"a": 1}}
CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s", "name": "n"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
                {"type": "file", "file": {"file_id": "f"}},
            ],
        },
        {
            "role": "assistant",
            "content": "a",
            "refusal": "r",
            "audio": None,
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "d", "type": "custom", "custom": {"name": "f", "input": "{}"}},
            ],
            "function_call": {"name": "f", "arguments": "x"},
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "t"}]},
        {"role": "function", "name": "f", "content": "x"},
    ],
    "tools": [
        {"type": "function", "function": FUNCTION},
        {"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"syntax": "s"}}}},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
    "functions": [FUNCTION],
    "function_call": {"name": "f"},
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    "web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "x"}}},
    "max_tokens": 1,
    "modalities": ["text"],
    "logprobs": True,
    "top_logprobs": 2,
    "stream_options": {"include_usage": True},
    "store": False,
}
RESPONSES: dict[str, Any] = {
    "model": "m",
    "instructions": "i",
    "input": [
        {"type": "message", "role": "developer", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "t"},
                {"type": "input_image", "image_url": "u", "detail": "low"},
                {"type": "input_file", "file_id": "f"},
            ],
        },
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "t"}], "content": None},
        {
            "role": "assistant",
            "content": [{"type": "output_text", "text": "a", "annotations": []}, {"type": "refusal", "refusal": "r"}],
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "namespace": "n"},
        {"type": "custom_tool_call", "call_id": "d", "name": "f", "input": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "t"}]},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "x"},
    ],
    "tools": [
        {"type": "function", **FUNCTION},
        {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "s", "definition": "d"}},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {}}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto", "mode": None},
    "include": ["message.output_text.logprobs"],
    "top_logprobs": 2,
    "stream": True,
    "stream_options": {"include_obfuscation": False},
}
UPSTREAM = Upstream("http://models.test/v1")
DIALECTS = [Dialect(), Dialect(True, True, True, drop_hosted_tools=True), Dialect(allowed_tools=False)]
PARAMS = ("input[0].content[1]", "messages[9]", "tools[1].function.name", "tools[9]", "text.format.name", "x[", "")


def told(api: str, body: Any, dialect: Dialect) -> Translation:
    payload = Payload.parse(json.dumps(body).encode())
    return to_chat(payload, UPSTREAM, "m", dialect) if api == "chat" else to_responses(payload, UPSTREAM, "m")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_all_of_it_can_be_said(dialect: Dialect) -> None:
    for api, body in (("responses", CHAT), ("chat", RESPONSES)):
        json.loads(told(api, body, dialect).payload.encode())


@given(st.one_of(spoilt([CHAT]), spoilt([RESPONSES])), st.sampled_from(DIALECTS))
@settings(max_examples=1500, deadline=None)
def test_odd_requests(body: dict[str, Any], dialect: Dialect) -> None:
    for api in ("responses", "chat"):
        try:
            translated = told(api, body, dialect)
        except GatewayError as error:
            assert error.status in (400, 413)  # noqa: PT017 - what is raised depends on what is odd
            continue
        json.loads(translated.payload.encode())
        for param in PARAMS:
            translated.back.param(param)


def choosing(value: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}], "tools": CHAT["tools"], "tool_choice": value}


ODD: dict[str, tuple[str, dict[str, Any], str]] = {
    "a choice that is a number": ("responses", choosing(3), "tool_choice"),
    "a choice of a list": ("responses", choosing({"type": ["function"]}), "tool_choice.type"),
    "a choice without what is chosen": ("responses", choosing({"type": "function"}), "tool_choice"),
    "allowed tools that are a number": (
        "responses", choosing({"type": "allowed_tools", "allowed_tools": {"tools": 3}}), "tool_choice.allowed_tools.tools",
    ),
    "an old choice that is a list": (
        "responses", {"messages": [{"role": "user", "content": "hi"}], "function_call": ["f"]}, "function_call",
    ),
    "an assistant's image": (
        "chat",
        {"input": [{"role": "assistant", "content": [{"type": "input_image", "image_url": "u"}]}]},
        "input[0].content[0].type",
    ),
    "a namespace in a namespace": (
        "chat",
        {"input": "x", "tools": [{"type": "namespace", "name": "", "tools": [{"type": "namespace", "tools": []}]}]},
        "tools[0].tools[0].type",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("api", "body", "param"), ODD.values(), ids=ODD)
def test_what_is_odd_is_named(api: str, body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        told(api, body, Dialect())
    assert refused.value.param == param


def test_a_choice_of_allowed_tools_with_names_that_are_none_allows_none() -> None:
    choice = {"type": "allowed_tools", "tools": [{"type": "function", "name": ["f"]}]}
    body = {"input": "x", "tools": [{"type": "function", "name": "f"}], "tool_choice": choice}
    assert "tools" not in told("chat", body, Dialect(allowed_tools=False)).payload


def test_texts_of_an_assistants_parts_are_joined_with_their_bytes() -> None:
    part = rb'{"type":"output_text","text":"%b"}'
    body = rb'{"input":[{"role":"assistant","content":[%b,%b]}]}' % (part % rb"caf\u00e9", part % rb" \/ \n")
    sent = to_chat(Payload.parse(body), UPSTREAM, "m", Dialect.of(UPSTREAM)).payload.encode()
    assert rb'"content":"caf\u00e9 \/ \n"' in sent
