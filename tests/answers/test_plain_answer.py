"""A plain answer is told by one look: it must never be one that the reader of errors, or of syntax, would stop."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from openai_gateway_asgi.answers.error_names import GAVE_UP
from openai_gateway_asgi.answers.plain_answer import LONGEST, plain_answer
from openai_gateway_asgi.answers.upstream_errors import error_in_json
from openai_gateway_asgi.answers.whole_json import judge_syntax
from openai_gateway_asgi.host.read_usage import read_usage

from .test_upstream_errors import SPELLINGS

USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
CHAT = {"id": "c", "object": "chat.completion", "model": "m", "choices": [CHOICE], "usage": USAGE}


def encoded(answer: Any) -> bytes:
    return json.dumps(answer).encode()


@pytest.mark.parametrize(
    "answer",
    [
        CHAT,
        {**CHAT, "choices": []},
        {**CHAT, "error": None},
        {"object": "list", "data": [{"object": "embedding", "embedding": [0.1]}], "usage": {"prompt_tokens": 1}},
        {"object": "response", "status": "completed", "error": None, "output": [], "usage": USAGE},
        {**CHAT, "choices": [{**CHOICE, "message": {"content": '{"error": {"code": 500}, "usage": {"x": 1}}'}}]},
    ],
)
def test_what_answers_look_like_is_plain_and_its_usage_is_known(answer: dict[str, Any]) -> None:
    found = plain_answer(encoded(answer))
    assert found is not None
    assert found.usage == answer["usage"]


@pytest.mark.parametrize("spelling", [spelling for _, spelling, *_ in SPELLINGS if not isinstance(spelling, bytes)])
def test_no_spelling_of_an_error_is_plain(spelling: Any) -> None:
    assert plain_answer(encoded(spelling)) is None
    among = encoded({"object": "chat.completion", **spelling} if isinstance(spelling, dict) else spelling)
    assert plain_answer(among) is None or error_in_json(among) is None


@pytest.mark.parametrize("reason", sorted(GAVE_UP))
@pytest.mark.parametrize("before", [0, 1])
def test_a_choice_that_failed_is_not_plain(reason: str, before: int) -> None:
    answer = {**CHAT, "choices": [CHOICE] * before + [{**CHOICE, "finish_reason": reason}]}
    assert plain_answer(encoded(answer)) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"error"',
        encoded({"choices": [CHOICE]}),
        encoded({**CHAT, "object": ""}),
        encoded({**CHAT, "object": "error"}),
        encoded({**CHAT, "type": "error"}),
        encoded({**CHAT, "errors": ["x"]}),
        encoded({**CHAT, "base_resp": {"status_code": 1002}}),
        encoded({**CHAT, "choices": [{**CHOICE, "error": {"code": 502}}]}),
        encoded({**CHAT, "choices": {"0": CHOICE}}),
        encoded({**CHAT, "usage": 3}),
        encoded(CHAT)[:-1],
        encoded(CHAT) + b"}",
        b'{"object":"chat.completion","usage":{"cost":NaN}}',
        b"data: " + encoded(CHAT),
        b'{"object":"x","a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        encoded({**CHAT, "padding": "x" * LONGEST}),
    ],
)
def test_anything_else_is_looked_into(body: bytes) -> None:
    assert plain_answer(body) is None


def test_what_is_plain_is_no_error_and_whole_whatever_it_is_made_of() -> None:
    """Ten thousand answers put together at random from what answers and errors are made of."""
    random = Random(13)
    values: list[Any] = [
        None,
        "",
        "error",
        "x",
        0,
        429,
        {},
        [],
        {"message": "no", "code": "x"},
        [{"error": "x"}],
        "failed",
    ]
    keys = ["error", "errors", "type", "object", "status", "code", "message", "detail", "base_resp", "response", "data"]
    reasons: list[Any] = [None, "", "stop", "length", 1, *GAVE_UP]
    plain = 0
    for _ in range(10_000):
        answer: dict[str, Any] = dict(CHAT)
        for key in random.sample(keys, random.randrange(4)):
            answer[key] = random.choice(values)
        if random.random() < 0.5:
            choice = {**CHOICE, "finish_reason": random.choice(reasons)}
            answer["choices"] = [choice, {**choice, "error": random.choice(values)}][: random.randrange(3)]
        body = encoded(dict(random.sample(list(answer.items()), len(answer))))
        if random.random() < 0.1:
            body = body[: random.randrange(len(body))]
        if (found := plain_answer(body)) is not None:
            plain += 1
            assert error_in_json(body) is None
            judge_syntax(body)
            assert found.usage == read_usage(body)
    assert plain > 1_000
