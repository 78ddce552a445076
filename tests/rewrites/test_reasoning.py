from __future__ import annotations

import pytest

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.rewrites.reasoning import first_role, is_reasoning_model

from .upstreams import PLAIN

REASONING = [
    *(
        "o1",
        "o1-mini",
        "o1-preview-x",
        "o3",
        "O4-mini",
        "o5-x",
        "o10",
        "gpt-5",
        "GPT-5-mini",
        "gpt-5.2",
        "gpt-5.2-chat",
    ),
    *("gpt-6", "gpt-10-mini", "gpt-5_x", "openai/o3", "openrouter/openai/gpt-5:online", "openai.gpt-5-v1:0"),
    *("us.openai.gpt-6-sol", "us-gov.openai.o3", "bedrock/eu.openai.gpt-6", "ft:o4-mini-2025-04-16:org::id"),
]
OTHERS = [
    *(
        "gpt-4o",
        "gpt-oss",
        "gpt-oss-120b",
        "orca",
        "o11y",
        "o0",
        "o",
        "o3x",
        "o3é",
        "gpt-50",
        "gpt-5x",
        "gpt-5o",
        "gpt-4.5",
    ),
    *(
        "gpt-5-chat",
        "gpt-5-chat-latest",
        "azure-o3",
        "openai/orca",
        "o3/llama",
        "gpt-",
        "gpt",
        "openai/",
        "foo3",
        "my.o3",
    ),
    *("ft:gpt-4o-mini:org::o3", "gpt-٥", ""),
]


@pytest.mark.parametrize("model", REASONING)
def test_cases_60_62_64_71_reasoning_models_are_known_by_name(model: str) -> None:
    assert is_reasoning_model(model, None)


@pytest.mark.parametrize("model", OTHERS)
def test_cases_63_64_other_models_are_not_taken_for_reasoning_models(model: str) -> None:
    assert not is_reasoning_model(model, None)


@pytest.mark.parametrize(
    ("model", "overrides", "expected"),
    [
        pytest.param("my-deployment", ("my-deployment",), True, id="by-its-id"),
        pytest.param("Think-7", ("think-*",), True, id="by-a-wildcard-in-any-case"),
        pytest.param("think-7", ("THINK-*",), True, id="by-a-wildcard-in-capitals"),
        pytest.param("openai/o3", ("*/o3",), True, id="across-a-slash"),
        pytest.param("rethink-7", ("think-*",), False, id="the-whole-id-counts"),
        pytest.param("aXb", ("a.b",), False, id="a-dot-is-a-dot"),
        pytest.param("o3", (), False, id="an-empty-override-says-none"),
        pytest.param("o3", ("other",), False, id="the-name-no-longer-counts"),
    ],
)
def test_an_override_decides_alone(model: str, overrides: tuple[str, ...], expected: bool) -> None:
    assert is_reasoning_model(model, overrides) is expected


SYSTEM = b'{"messages":[{"role":"system","content":"S"},{"role":"system","content":"T"}]}'
DEVELOPER = SYSTEM.replace(b"system", b"developer", 1)
USER = SYSTEM.replace(b"system", b"user", 1)


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        pytest.param("o3", SYSTEM, DEVELOPER, id="case-60"),
        pytest.param("o1-mini", SYSTEM, USER, id="case-61-o1-mini"),
        pytest.param("o1-preview-2024-09-12", SYSTEM, USER, id="case-61-o1-preview"),
        pytest.param("openai/o1-mini", SYSTEM, USER, id="case-61-with-a-provider"),
        pytest.param("us.openai.gpt-6-sol", SYSTEM, DEVELOPER, id="case-62"),
        pytest.param("openai/o3", SYSTEM, DEVELOPER, id="case-64"),
        pytest.param("gpt-4o", SYSTEM, SYSTEM, id="case-63"),
        pytest.param("o11y", SYSTEM, SYSTEM, id="case-64-false-positive"),
        pytest.param("gpt-4o", b"{}", b"{}", id="others-need-no-messages"),
        pytest.param("o3", DEVELOPER, DEVELOPER, id="already-developer"),
        pytest.param("o3", b'{"messages":[]}', b'{"messages":[]}', id="empty"),
        pytest.param("o3", b'{"messages":[null]}', b'{"messages":[null]}', id="null-message"),
        pytest.param("o3", b'{"messages":[{}]}', b'{"messages":[{}]}', id="no-role"),
        pytest.param("o3", b'{"messages":[{"role":null}]}', b'{"messages":[{"role":null}]}', id="null-role"),
        pytest.param(
            "o3",
            b'{"messages":[{"role":"user"},{"role":"system"}]}',
            b'{"messages":[{"role":"user"},{"role":"system"}]}',
            id="only-the-first",
        ),
        pytest.param(
            "o3", rb'{"messages":[{"role":"s\u0079stem"}]}', b'{"messages":[{"role":"developer"}]}', id="escaped"
        ),
        pytest.param(
            "o3",
            rb'{"messages":[{"name": 1e2,"role":"system","content": [ "\u00e9", 1234567890123456789 ]},{ "b":1.0 }]}',
            rb'{"messages":[{"name":1e2,"role":"developer","content":[ "\u00e9", 1234567890123456789 ]},{ "b":1.0 }]}',
            id="nothing-else-is-spelled-anew",
        ),
    ],
)
def test_the_first_message_takes_the_role_that_the_model_knows(model: str, body: bytes, expected: bytes) -> None:
    assert first_role(Payload.parse(body), PLAIN, model).encode() == expected


def test_an_override_gives_the_role_too() -> None:
    upstream = Upstream("http://a/v1", reasoning_models=("mine",))
    assert first_role(Payload.parse(SYSTEM), upstream, "mine").encode() == DEVELOPER


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param(b"{}", "messages", id="case-66-missing"),
        pytest.param(b'{"messages":null}', "messages", id="case-66-null"),
        pytest.param(b'{"messages":"hi"}', "messages", id="no-list"),
        pytest.param(b'{"messages":["hi"]}', "messages[0]", id="no-object"),
        pytest.param(b'{"messages":[{"role":1}]}', "messages[0].role", id="no-text"),
    ],
)
def test_messages_that_cannot_be_read_are_refused_by_name(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        first_role(Payload.parse(body), PLAIN, "o3")
    assert refusal.value.param == param
    assert f"`$.{param}`" in refusal.value.message
