from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.upstream import Upstream
from openai_gateway_asgi.errors import InvalidRequest
from openai_gateway_asgi.rewrites.apply import RULES, adapt

from .upstreams import AZURE, AZURE_OLD, AZURE_V1, OPENAI, PLAIN

CHAT, RESPONSES, EMBEDDINGS = "createChatCompletion", "createResponse", "createEmbedding"
OFF = Upstream("http://a/v1", rewrites="off", drop_fields=("metadata",), drop_nulls=True, flatten_tool_content=True)
AZURE_OFF = Upstream("https://r.openai.azure.com", provider="azure", rewrites="off")
M = b'"messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"}]'
OWN_RULES: dict[str, Any] = {"drop_fields": ("user",), "drop_nulls": True, "flatten_tool_content": True}
D = M.replace(b"system", b"developer")


@pytest.mark.parametrize(
    ("upstream", "operation", "model", "body", "expected"),
    [
        pytest.param(
            PLAIN,
            CHAT,
            "m1",
            b'{"model":"m1",%b,"metadata":{"chat_id":"c9"},"max_tokens":5,"custom":1}' % M,
            b'{"model":"m1",%b,"metadata":{"chat_id":"c9"},"max_tokens":5,"custom":1}' % M,
            id="case-58",
        ),
        pytest.param(PLAIN, CHAT, "m1", b'{"a":1,"model":"pa.m1","b":2}', b'{"a":1,"model":"m1","b":2}', id="case-71"),
        pytest.param(PLAIN, CHAT, "m1", b'{"a":1}', b'{"a":1,"model":"m1"}', id="a-model-by-default-is-written-down"),
        pytest.param(PLAIN, "createFile", "", b'{"a":1}', b'{"a":1}', id="no-model"),
        pytest.param(
            PLAIN,
            CHAT,
            "o3",
            b'{"model":"a.o3",%b,"max_tokens":5}' % M,
            b'{"model":"o3",%b,"max_completion_tokens":5}' % D,
            id="case-60-71",
        ),
        pytest.param(
            AZURE,
            CHAT,
            "dep1",
            b'{"model":"dep1",%b,"parallel_tool_calls":true,"logprobs":true,"store":false}' % M,
            b'{%b,"parallel_tool_calls":true,"logprobs":true,"store":false}' % M,
            id="case-98-107",
        ),
        pytest.param(
            AZURE,
            CHAT,
            "o3",
            b'{"model":"o3",%b,"temperature":0.2,"max_tokens":5}' % M,
            b'{%b,"max_completion_tokens":5}' % D,
            id="case-102",
        ),
        pytest.param(
            AZURE_OLD,
            CHAT,
            "dep1",
            b'{"model":"dep1",%b,"stream":true,"stream_options":{}}' % M,
            b'{%b,"stream":true}' % M,
            id="case-99",
        ),
        pytest.param(
            AZURE_V1,
            CHAT,
            "o3",
            b'{"model":"o3",%b,"temperature":0.2,"top_k":5}' % D,
            b'{"model":"o3",%b,"top_k":5}' % D,  # case 261: no temperature at this address either
            id="case-103",
        ),
        pytest.param(
            AZURE, RESPONSES, "dep1", b'{"model":"p.dep1"}', b'{"model":"dep1"}', id="azure-responses-keep-it"
        ),
        pytest.param(AZURE, EMBEDDINGS, "ada", b'{"model":"ada","input":"x"}', b'{"input":"x"}', id="case-131"),
        pytest.param(
            PLAIN,
            RESPONSES,
            "mb",
            b'{"model":"pb.mb","metadata":{"a":null},"user":null,"other":1e2}',
            b'{"model":"mb","metadata":{"a":null},"user":null,"other":1e2}',
            id="case-126",
        ),
        pytest.param(
            PLAIN,
            RESPONSES,
            "o3",
            b'{"model":"o3","max_tokens":1}',
            b'{"model":"o3","max_tokens":1}',
            id="chat-rules-are-for-chat",
        ),
        pytest.param(
            Upstream("http://a/v1", drop_fields=("max_tokens",), drop_nulls=True),
            CHAT,
            "m",
            b'{"model":"m","max_completion_tokens":7,"user":null}',
            b'{"model":"m"}',
            id="drops-name-what-the-upstream-would-get",
        ),
        pytest.param(
            OFF,
            CHAT,
            "o3",
            b'{"model":"a.o3",%b,"max_tokens":5,"metadata":{},"user":null,"logit_bias":"x","stream_options":{}}' % M,
            b'{"model":"o3",%b,"max_tokens":5,"metadata":{},"user":null,"logit_bias":"x","stream_options":{}}' % M,
            id="off-only-routes",
        ),
        *(
            pytest.param(
                PLAIN, operation, "m", b'{"model":"m","stream_options":{}}', b'{"model":"m"}', id=f"case-70-{operation}"
            )
            for operation in (CHAT, "createCompletion", RESPONSES)
        ),
        pytest.param(
            Upstream("http://a/v1", flatten_tool_content=True),
            CHAT,
            "m",
            b'{"model":"m","messages":[{"role":"tool","content":[{"type":"text","text":"t"}]}]}',
            b'{"model":"m","messages":[{"role":"tool","content":"t"}]}',
            id="case-80",
        ),
        pytest.param(AZURE_OFF, CHAT, "dep1", b'{"model":"p.dep1"}', b'{"model":"dep1"}', id="off-on-azure"),
        pytest.param(
            PLAIN, "createModeration", "m", b'{"model":"m","input":"x"}', b'{"model":"m","input":"x"}', id="others"
        ),
    ],
)
def test_the_upstream_gets(upstream: Upstream, operation: str, model: str, body: bytes, expected: bytes) -> None:
    assert adapt(Payload.parse(body), upstream, operation, model).encode() == expected


def test_the_original_is_left_for_the_next_attempt() -> None:
    body = b'{"model":"a.o3",%b,"max_tokens":5,"logit_bias":"1:2","stream_options":{}}' % M
    payload = Payload.parse(body)
    adapt(payload, AZURE_OLD, CHAT, "o3")
    assert payload.encode() == body


def test_a_body_that_no_rule_touches_is_the_same_object() -> None:
    payload = Payload.parse(rb'{"model":"g\u0070t-4o","big":12345678901234567890123,"f":1.0e2}')
    assert adapt(payload, OPENAI, CHAT, "gpt-4o") is payload


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param(b'{"model":"o3"}', "messages", id="case-66"),
        pytest.param(b'{"model":"o3",%b,"logit_bias":"x"}' % M, "logit_bias", id="case-69"),
    ],
)
def test_what_a_rule_cannot_read_is_refused_by_name(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        adapt(Payload.parse(body), PLAIN, CHAT, "o3")
    assert (refusal.value.status, refusal.value.param) == (400, param)


# Whatever a rule may name is left to the tables above; here come all other names, with values however spelled.
RULED = {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "logit_bias", "stream_options"}
SPACE = st.sampled_from(["", " ", "\n\t"])
NUMBERS = st.sampled_from(["0", "-0", "1.0", "1e2", "1E+2", "0.10", "12345678901234567890123", "-1e-7", "1e999"])
STRINGS = st.sampled_from(['""', r'"\u0041"', '"A"', '"é"', r'"\/"', '"null"', r'"\ud83d\ude00"'])
SCALARS = NUMBERS | STRINGS | st.sampled_from(["null", "true", "false"])


def _list(items: list[str], space: str) -> str:
    return f"[{space}{f'{space},'.join(items)}{space}]"


def _object(items: list[tuple[str, str]], space: str) -> str:
    return f"{{{space}{f',{space}'.join(f'{key}{space}:{value}' for key, value in items)}}}"


VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(_list, st.lists(inner, max_size=3), SPACE)
        | st.builds(_object, st.lists(st.tuples(STRINGS, inner), max_size=3), SPACE)
    ),
    max_leaves=8,
)
KNOWN = st.sampled_from(["stream", "metadata", "tools", "user", "n", "stop", "input", "Messages", "max_output_tokens"])
NAMES = KNOWN | st.text(string.ascii_letters + "_", min_size=1, max_size=8).filter(lambda name: name not in RULED)
TOUCHED = st.fixed_dictionaries(
    {"messages": st.just('[ {"role":"system"} , {"content": 1e2}]')},
    optional={
        "max_tokens": st.sampled_from(["5", "null", "1e2"]),
        "max_completion_tokens": st.sampled_from(["9", "null"]),
        "temperature": st.sampled_from(["0.2", "1"]),
        "logit_bias": st.sampled_from(['"1:2"', "{}"]),
        "stream_options": st.sampled_from(["{}", "null"]),
    },
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    upstream=st.sampled_from([PLAIN, OPENAI, AZURE, AZURE_OLD, AZURE_V1, OFF]),
    operation=st.sampled_from([CHAT, RESPONSES, EMBEDDINGS, "createCompletion", "createImage"]),
    model=st.sampled_from(["m1", "o3", "openai/o1-mini"]),
    touched=TOUCHED,
    others=st.dictionaries(NAMES, VALUES, max_size=6),
)
def test_fields_that_no_rule_names_keep_every_byte_and_their_order(
    upstream: Upstream, operation: str, model: str, touched: dict[str, str], others: dict[str, str]
) -> None:
    sent = {"model": '"pa.m"', **touched, **others}
    body = "{" + " , ".join(f'"{name}" : {value}' for name, value in sent.items()) + "}"
    arrived = msgspec.json.decode(
        adapt(Payload.parse(body.encode()), upstream, operation, model).encode(), type=dict[str, msgspec.Raw]
    )
    kept = [(name, bytes(value).decode()) for name, value in arrived.items() if name in others]
    assert kept == list(others.items())


@pytest.mark.parametrize("operation", [CHAT, "createCompletion", RESPONSES, EMBEDDINGS])
def test_what_only_some_upstreams_ask_for_changes_nothing_for_a_plain_one(operation: str) -> None:
    fields = b'"temperature":0.2,"stream":true,"stream_options":{},"user":null,"logit_bias":{"1":2}'
    payload = Payload.parse(b'{"model":"gpt-4o",%b,%b}' % (M, fields))
    configured = [rule.rewrite for rule in RULES if rule.configured]
    assert PLAIN.is_plain
    assert [rewrite(payload, PLAIN, "gpt-4o") is payload for rewrite in configured] == [True] * len(configured)
    assert not any(each.is_plain for each in (AZURE, AZURE_OLD, AZURE_V1))
    assert not any(replace(PLAIN, **{name: value}).is_plain for name, value in OWN_RULES.items())
