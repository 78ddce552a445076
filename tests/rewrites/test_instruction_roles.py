"""Case 261: instructions go under the one role that model and upstream know."""

from __future__ import annotations

import json

import pytest

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.rewrites.instruction_roles import MOST_CHANGES, instruction_roles
from tests.support.cost import assert_costs

from .upstreams import AZURE, AZURE_OLD, AZURE_V1, OPENAI, PLAIN

OPENAI_EU = Upstream("https://eu.api.openai.com/v1")
LOOKS_ALIKE = Upstream("https://api.openai.com.example/v1")
KNOWS = Upstream("http://a/v1", developer_role=True)
KNOWS_NOT = Upstream("https://api.openai.com/v1", developer_role=False)
MINE = Upstream("http://a/v1", reasoning_models=("mine",))


def spoken(*roles: str) -> bytes:
    return json.dumps({"messages": [{"role": role, "content": f"{n}"} for n, role in enumerate(roles)]}).encode()


def sent(body: bytes, upstream: Upstream, model: str) -> list[str]:
    messages = json.loads(instruction_roles(Payload.parse(body), upstream, model).encode())["messages"]
    assert [message["content"] for message in messages] == [f"{n}" for n in range(len(messages))]
    return [message["role"] for message in messages]


@pytest.mark.parametrize("upstream", [PLAIN, OPENAI, AZURE, AZURE_V1], ids=lambda upstream: upstream.base_url)
@pytest.mark.parametrize("model", ["o3", "gpt-5", "openai/o3", "us.openai.gpt-6-sol", "ft:o4-mini:org::id"])
def test_cases_60_62_64_261_all_system_messages_of_a_reasoning_model_are_the_developers(
    upstream: Upstream, model: str
) -> None:
    # Of old only a leading one was, and the model then had two kinds of instructions.
    asked = spoken("system", "system", "user", "system", "developer", "assistant", "tool")

    assert sent(asked, upstream, model) == ["developer"] * 2 + ["user"] + ["developer"] * 2 + ["assistant", "tool"]


@pytest.mark.parametrize("model", ["o1-mini", "o1-preview-2024-09-12", "openai/o1-mini"])
@pytest.mark.parametrize("upstream", [PLAIN, OPENAI, KNOWS, KNOWS_NOT])
def test_case_61_those_that_take_no_instructions_take_them_as_the_users(upstream: Upstream, model: str) -> None:
    assert sent(spoken("system", "developer", "user", "system"), upstream, model) == ["user"] * 4


@pytest.mark.parametrize("upstream", [PLAIN, LOOKS_ALIKE, Upstream("https://openrouter.ai/api/v1"), MINE])
@pytest.mark.parametrize("model", ["gpt-4o", "llama3.2", "o11y", "gpt-5-chat"])
def test_case_261_developers_are_the_system_where_they_are_not_known(upstream: Upstream, model: str) -> None:
    asked = spoken("system", "developer", "user", "developer")

    assert sent(asked, upstream, model) == ["system", "system", "user", "system"]


@pytest.mark.parametrize("upstream", [OPENAI, OPENAI_EU, AZURE, AZURE_OLD, AZURE_V1, KNOWS])
def test_case_261_where_they_are_known_nothing_changes(upstream: Upstream) -> None:
    payload = Payload.parse(spoken("system", "developer", "user"))

    assert instruction_roles(payload, upstream, "gpt-4o") is payload


@pytest.mark.parametrize("model", ["gpt-4o", "o3"])
def test_case_261_an_upstream_may_say_that_it_does_not_know_them(model: str) -> None:
    assert sent(spoken("system", "developer", "user"), KNOWS_NOT, model) == ["system", "system", "user"]


def test_an_override_of_reasoning_models_gives_the_role_too() -> None:
    assert sent(spoken("system", "user"), MINE, "mine") == ["developer", "user"]


@pytest.mark.parametrize(
    ("model", "body", "expected"),
    [
        pytest.param("gpt-4o", b"{}", b"{}", id="others-need-no-messages"),
        pytest.param("o3", b'{"messages":[]}', b'{"messages":[]}', id="empty"),
        pytest.param("o3", b'{"messages":[null]}', b'{"messages":[null]}', id="null-message"),
        pytest.param("o3", b'{"messages":[{}]}', b'{"messages":[{}]}', id="no-role"),
        pytest.param("o3", b'{"messages":[{"role":null}]}', b'{"messages":[{"role":null}]}', id="null-role"),
        pytest.param(
            "o3", rb'{"messages":[{"role":"s\u0079stem"}]}', b'{"messages":[{"role":"developer"}]}', id="escaped"
        ),
        pytest.param(
            "o3", rb'{"messages":[{"r\u006fle":"system"}]}', b'{"messages":[{"role":"developer"}]}', id="escaped-key"
        ),
        pytest.param(
            "o3",
            rb'{"messages":[{"name": 1e2,"role" : "system","content": [ "\u00e9", 1234567890123456789 ]},{ "b":1.0 }]}',
            rb'{"messages":[{"name": 1e2,"role" : "developer","content": [ "\u00e9", 1234567890123456789 ]},{ "b":1.0 }]}',
            id="nothing-else-is-spelt-anew",
        ),
        pytest.param(
            "m",
            rb'{"messages":[{"role":"developer","content":"say \"role\":\"developer\""}]}',
            rb'{"messages":[{"role":"system","content":"say \"role\":\"developer\""}]}',
            id="inside-a-text",
        ),
        pytest.param(
            "o3",
            b'{"messages":[{"role":"user","content":[{"role":"system"}]},{"role":"system"}]}',
            b'{"messages":[{"role":"user","content":[{"role":"system"}]},{"role":"developer"}]}',
            id="another-objects-role",
        ),
        pytest.param(
            "o3",
            b'{"messages":[{"content":{"role":"system"}}]}',
            b'{"messages":[{"content":{"role":"system"}}]}',
            id="another-objects-role-alone",
        ),
    ],
)
def test_only_the_messages_own_roles_change(model: str, body: bytes, expected: bytes) -> None:
    assert instruction_roles(Payload.parse(body), PLAIN, model).encode() == expected


def test_a_long_text_beside_it_is_sent_as_it_came() -> None:
    image = "A" * 100_000
    body = json.dumps({"messages": [{"role": "system", "content": image}, {"role": "user", "content": image}]}).encode()

    assert instruction_roles(Payload.parse(body), PLAIN, "o3").encode() == body.replace(
        b'"system"', b'"developer"'
    ).replace(b'{"messages": ', b'{"messages":')


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param(b"{}", "messages", id="case-66-missing"),
        pytest.param(b'{"messages":null}', "messages", id="case-66-null"),
        pytest.param(b'{"messages":"hi"}', "messages", id="no-list"),
        pytest.param(b'{"messages":["hi"]}', "messages[0]", id="no-object"),
        pytest.param(b'{"messages":[{"role":1}]}', "messages[0].role", id="no-text"),
        pytest.param(b'{"messages":[{},{"role":1}]}', "messages[1].role", id="not-the-first"),
    ],
)
def test_messages_that_cannot_be_read_are_refused_by_name(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        instruction_roles(Payload.parse(body), PLAIN, "o3")
    assert refusal.value.param == param
    assert f"`$.{param}`" in refusal.value.message


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(b"[" + b",".join([b"{}"] * 900_000) + b',{"role":"system"}]', id="objects"),
        pytest.param(b"[" + b",".join([b'{"role":"system"}'] * 460_000) + b"]", id="instructions"),
        pytest.param(b"[" + b",".join([b'{"role":"system"}'] * 50_000) + b"]", id="a-megabyte-of-them"),
        pytest.param(b"[" + b",".join([rb'{"role":"s\u0079stem"}'] * MOST_CHANGES) + b"]", id="escaped"),
        pytest.param(b'[{"role":"system","content":"' + rb"{\n" * 2_000_000 + b'"}]', id="a-text-of-braces"),
    ],
)
def test_case_264_what_is_made_up_holds_nobody_up(messages: bytes) -> None:
    payload = Payload.parse(b'{"messages":' + messages + b"}")
    assert_costs(lambda: instruction_roles(payload, PLAIN, "o3"), at_most=80)  # it takes a tenth of that
