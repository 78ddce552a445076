"""What is worked out once for bodies of a form does just what is done to bodies of any form."""

from __future__ import annotations

import gc
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_gateway_asgi import Preset, User
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.templates import Template
from openai_gateway_asgi.exchange import Exchange
from openai_gateway_asgi.host.variables import Facts
from openai_gateway_asgi.models import Via
from openai_gateway_asgi.presets.apply import applied, with_parameters
from openai_gateway_asgi.presets.naming import NamePreset, renamed
from openai_gateway_asgi.presets.plan import plan_of
from openai_gateway_asgi.presets.prompts import messages_behind, taken_apart
from tests.cases.gateways import upstream_a, world

OPERATIONS = ["createChatCompletion", "createCompletion", "createResponse", "createEmbedding", "createSpeech"]
PARAMS: list[dict[str, Any]] = [
    {"temperature": 0, "max_tokens": 500, "seed": 7},
    {"max_output_tokens": 5, "reasoning_effort": "low", "verbosity": "low", "response_format": {"type": "json_object"}},
    {"stop": ["a"], "voice": "alloy", "dimensions": 3, "top_k": 3, "provider_own": {"a": 1}},
]
KEYS = [
    "model", "messages", "temperature", "max_tokens", "max_completion_tokens", "max_output_tokens", "seed", "stop",
    "reasoning", "reasoning_effort", "text", "extra_body", "options", "stream", "user", "metadata", "voice",
    "Temperature", "MAX_TOKENS", "top_k", "response_format", "instructions", "provider_own",
]  # fmt: skip
VALUES = [
    b"null", b"1", b"1.50", b'"x"', b"{}", b"[]", b"123456789012345678901234567890", b'{"effort":"high"}',
    b'{"temperature":2,"max_tokens":9}', b'{"verbosity":"high","num_predict":1}',
]  # fmt: skip
FACTS = Facts(User("u", name='A "B" \\ {user.id}\n'), "m", "createChatCompletion", {}, b"s")


@given(
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES)),
    st.sampled_from(PARAMS),
    st.sets(st.sampled_from(["temperature", "max_tokens", "reasoning_effort", "top_k", "verbosity"])),
    st.sampled_from(OPERATIONS),
)
def test_parameters(body: dict[str, bytes], params: dict[str, Any], locked: set[str], operation: str) -> None:
    preset = Preset("p", base="m", params=params, locked=sorted(locked))
    plan = plan_of(Via((preset,), (), ("p", "m")), operation)
    payload = Payload.parse(b"{%b}" % b",".join([b'"%b":%b' % (key.encode(), raw) for key, raw in body.items()]))
    for _ in range(2):
        assert applied(payload, plan, FACTS).fields == with_parameters(payload, plan).fields


BLANK = st.sampled_from(["", " ", "\n  "])
ROLE = st.sampled_from(['"system"', '"developer"', '"user"', '"System"', '"syst\\u0065m"', '"tool"', "null", "1"])
TEXT = st.sampled_from(
    ['""', '"hi"', '"a\\\\"', '"a \\" b"', '"ü \\u00fc"', "null", '[{"type":"text","text":"x"}]', "[]", "7"]
)
MORE = st.sampled_from(
    ["", ', "name": "n"', ',"role":"system"', ',"content":"late"', ',"r\\u006fle":"user"', ',"x":{"role":"user"}']
)


@given(
    BLANK, BLANK, ROLE, TEXT, MORE, st.booleans(), st.sampled_from(["", ',{"role":"user","content":"1e999999"}', ",9"])
)
def test_prompts(a: str, b: str, role: str, text: str, more: str, turned: bool, others: str) -> None:
    first = [f'"role"{a}:{b}{role}', f'"content"{b}:{a}{text}']
    raw = msgspec.Raw(
        f"[{a}{{{b}{f'{a},{b}'.join(first[::-1] if turned else first)}{more}{a}}}{b}{others}{a}]".encode()
    )
    fast, general = messages_behind(raw, b"SYS"), taken_apart(raw, b"SYS")
    read = msgspec.json.Decoder(list[msgspec.Raw])
    assert [json.loads(bytes(each)) for each in read.decode(fast)] == [
        json.loads(bytes(each)) for each in read.decode(general)
    ]
    assert others.encode() in bytes(fast)  # what follows keeps its bytes


@given(
    st.lists(
        st.sampled_from(
            [
                "{user.name}",
                "{user.id}",
                "{model}",
                "{operation}",
                "{date}",
                "{user.groups}",
                "%",
                "%b",
                "ü",
                '"',
                "{}",
                "\n",
            ]
        )
    )
)
def test_texts_in_json(pieces: list[str]) -> None:
    template = Template("".join(pieces), "system")
    assert json.loads(b'"%b"' % template.render_json(FACTS)) == template.render(FACTS)
    if template.asks_who:
        assert template.render_json(Who()) == template.render_json(FACTS)


class Who:
    user, model = FACTS.user, FACTS.model


NAMED = ['"id":"a"', '"model":"m"', '"model": "m\\"x"', '"mod\\u0065l":"m"', '"choices":[{"model":"n"}]', '"n":1.50', '"t":"\\"model\\":\\"q\\""',
         '"response":{"model":"r","x":[1]}', '"model":null', '"x":"model"']  # fmt: skip


@given(st.lists(st.tuples(BLANK, st.lists(st.sampled_from(NAMED), max_size=5), st.sampled_from(["", "\n", " "]))))
def test_names(answers: list[tuple[str, list[str], str]]) -> None:
    naming = NamePreset(b'"N"', streams=False)  # which keeps how the one before was written
    for blank, members, end in answers:
        body = f"{blank}{{{blank}{f'{blank},{blank}'.join(members)}{blank}}}{end}".encode()
        told = naming.answer(body)
        assert json.loads(told) == json.loads(renamed(body, b'"N"') or body)


ODD = [
    b'{"id":"a","model":"m","choices":[]}',
    b'{"id":"b","model":"m","choices":[{"model":"m"}]}',
    b'{"id":"b","model":"other","choices":[{"text":"\\"model\\":\\"m\\""}]}',
    b'{"x\\"model":"m","choices":[],"model":"m"}',
    b'{"x\\"model":"m"}',
    b'{"id":"{","model":"m"}',
    b'{"a":{"b":1},"model":"m"}',
    b'{"a":{"model":"m"},"x":1}',
    b'{"a":[1],"model":"m","x":1}',
    b'{"model":"m","x":1,"model":"late"}',
    b'{"model":"m","x":1,"\\u006dodel":"late"}',
    b'{"model":"m"}',
    b' {"model":"m"}\n',
    b'[{"model":"m"}]',
    b'"model"',
    b"{}",
]


@given(st.lists(st.sampled_from(ODD)))
def test_names_in_answers_that_look_alike(bodies: list[bytes]) -> None:
    naming = NamePreset(b'"N"', streams=False)
    for body in bodies:
        told = naming.answer(body)
        assert json.loads(told) == json.loads(renamed(body, b'"N"') or body)
        assert b"late" not in told


def test_callers_who_see_models_of_their_own_share_what_is_worked_out() -> None:
    def way(**changed: Any) -> Via:
        return Via((Preset("p", base="m", **{"params": {"seed": 1}, **changed}),), (), ("p", "m"))

    plans = {plan_of(way(), operation) for operation in OPERATIONS for _ in range(100)}
    assert len(plans) == len(OPERATIONS)
    assert plan_of(way(params={"seed": 2}), OPERATIONS[0]) not in plans


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_of_a_preset_leaves_nothing_that_only_a_collection_frees(stream: bool) -> None:
    async with world(upstream_a("m1"), presets=[Preset("p", base="m1", system="For {user.name}.")]) as it:
        for _ in range(3):
            await it.chat("p", stream=stream)
        gc.collect()
        gc.disable()
        try:
            await it.chat("p", stream=stream)
            assert not [each for each in gc.get_objects() if isinstance(each, Exchange)]
        finally:
            gc.enable()


CHUNKS = [
    '{"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"delta":{"content":"a \\"model\\":\\"m\\" b"}}]}',
    '{"id":"c1","object":"chat.completion.chunk","model":"m","choices":[{"delta":{"x":{"model":"n"}}}]}',
    '{"id":"c1","object":"chat.completion.chunk","model":"other","choices":[]}',
    '{"id":"c1","object":"chat.completion.chunk","model":"m","choices":[],"model":"late"}',
    '{"id":"c1","object":"chat.completion.chunk","choices":[],"model":"m"}',
    '{"choices":[{"delta":{"content":"\\u006dodel"}}],"id":"c1","model":"m"}',
    '{"choices":[{"model":"m"}],"id":"c1","model":"m","usage":null}',
    '{ "model" : "m" , "choices" : [ ] }',
    '{"type":"response.created","response":{"id":"r","model":"m","tools":[{"model":"t"}]}}',
    '{"type":"response.output_text.delta","delta":"\\"model\\":\\"m\\""}',
    '{"mod\\u0065l":"m"}',
    '{"error":{"message":"model"}}',
    '"model"',
    "[DONE]",
]
EVENT = st.tuples(
    st.sampled_from(CHUNKS), st.sampled_from(["", "event: x\n", ": c\n", "id: 1\n"]), st.sampled_from(["\n", "\r\n"])
)


@given(st.lists(st.lists(EVENT, min_size=1, max_size=4), max_size=6))
def test_names_in_streams(reads: list[list[tuple[str, str, str]]]) -> None:
    naming = NamePreset(b'"N"', streams=True)
    for read in reads:
        sent = ["".join((before, f"data: {data}\n\n")).replace("\n", end).encode() for data, before, end in read]
        told = naming.events(b"".join(sent))
        lines = [line for line in told.splitlines() if line.startswith(b"data: ")]
        for line, (data, _, _) in zip(lines, read, strict=True):
            wanted = renamed(data.encode(), b'"N"') or data.encode()
            assert line[6:] == wanted or json.loads(line[6:]) == json.loads(wanted)
        assert told.count(b": c") == sum(before == ": c\n" for _, before, _ in read)
