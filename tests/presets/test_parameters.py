"""What presets and defaults set in bodies, and what clients cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi import Defaults, Preset, Settings, User
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.config.preset_book import PresetBook
from openai_gateway_asgi.host.variables import Facts
from openai_gateway_asgi.models import Via
from openai_gateway_asgi.presets.apply import applied
from openai_gateway_asgi.presets.plan import plan_of
from tests.bodies.multipart.forms import CONTENT_TYPE, FILE, field, form
from tests.cases.gateways import error_of, upstream_a, world

CHAT, RESPONSES, SPEECH, IMAGE = "createChatCompletion", "createResponse", "createSpeech", "createImage"
COMPLETION, EMBEDDING = "createCompletion", "createEmbedding"
FACTS = Facts(User("u1"), "m", CHAT, {})


def sent(body: str, *entries: Preset | Defaults, operation: str = CHAT) -> str:
    """What becomes of a body behind these presets, the one asked for first."""
    presets = tuple(each for each in entries if isinstance(each, Preset))
    via = Via(presets, tuple(each for each in entries if isinstance(each, Defaults)), ("m",))
    assert PresetBook(entries)
    return applied(Payload.parse(body.encode()), plan_of(via, operation), FACTS).encode().decode()


def preset(locked: list[str] | None = None, **params: Any) -> Preset:
    return Preset("p", params={name.replace("__", "."): value for name, value in params.items()}, locked=locked or [])


# Filled in


@pytest.mark.parametrize(
    ("params", "body", "operation", "becomes"),
    [
        ({"temperature": 0}, '{"model":"m"}', CHAT, '{"model":"m","temperature":0}'),
        ({"temperature": 0}, '{"temperature":0.9}', CHAT, '{"temperature":0.9}'),
        ({"temperature": 0}, '{"temperature": null}', CHAT, '{"temperature":0}'),
        ({"temperature": 0}, '{"Temperature":0.9}', CHAT, '{"Temperature":0.9}'),
        ({"temperature": 0}, '{"extra_body":{"temperature":0.9}}', CHAT, '{"extra_body":{"temperature":0.9}}'),
        # Each operation's own spelling, and the client's in any
        ({"max_tokens": 5}, "{}", CHAT, '{"max_tokens":5}'),
        ({"max_completion_tokens": 5}, "{}", CHAT, '{"max_completion_tokens":5}'),
        ({"max_output_tokens": 5}, "{}", CHAT, '{"max_tokens":5}'),
        ({"max_tokens": 5}, "{}", COMPLETION, '{"max_tokens":5}'),
        ({"max_completion_tokens": 5}, "{}", COMPLETION, '{"max_tokens":5}'),
        ({"max_tokens": 5}, "{}", RESPONSES, '{"max_output_tokens":5}'),
        ({"max_tokens": 5}, '{"max_completion_tokens":9}', CHAT, '{"max_completion_tokens":9}'),
        ({"reasoning_effort": "low"}, "{}", RESPONSES, '{"reasoning":{"effort":"low"}}'),
        ({"reasoning_effort": "low"}, '{"reasoning":{"summary":"auto"}}', RESPONSES,
         '{"reasoning":{"summary":"auto","effort":"low"}}'),
        ({"reasoning_effort": "low"}, '{"reasoning":{"effort":"high"}}', RESPONSES, '{"reasoning":{"effort":"high"}}'),
        ({"reasoning__effort": "low"}, "{}", CHAT, '{"reasoning_effort":"low"}'),
        ({"verbosity": "low"}, '{"text":{"format":{"type":"text"}}}', RESPONSES,
         '{"text":{"format":{"type":"text"},"verbosity":"low"}}'),
        ({"response_format": {"type": "json_object"}}, "{}", RESPONSES, '{"text":{"format":{"type":"json_object"}}}'),
        ({"response_format": {"type": "json_object"}}, "{}", CHAT, '{"response_format":{"type":"json_object"}}'),
        ({"response_format": {"type": "json_object"}}, "{}", SPEECH, "{}"),
        ({"response_format": "mp3"}, "{}", SPEECH, '{"response_format":"mp3"}'),
        ({"response_format": "mp3"}, "{}", CHAT, "{}"),
        # Several names of one parameter, each as it is written; a client that says one of them has said it
        ({"reasoning_effort": "low", "thinking": {"type": "disabled"}}, "{}", CHAT,
         '{"reasoning_effort":"low","thinking":{"type":"disabled"}}'),
        ({"thinking": {"type": "disabled"}}, '{"reasoning_effort":"high"}', CHAT, '{"reasoning_effort":"high"}'),
        # What an operation has not
        ({"voice": "alloy", "size": "1024x1024"}, "{}", SPEECH, '{"voice":"alloy"}'),
        ({"voice": "alloy", "size": "1024x1024"}, "{}", IMAGE, '{"size":"1024x1024"}'),
        ({"temperature": 0}, '{"input":"x"}', EMBEDDING, '{"input":"x"}'),
        ({"stop": ["a"], "top_a": 0.5}, "{}", RESPONSES, '{"top_a":0.5}'),
        ({"top_a": 0.5}, "{}", SPEECH, "{}"),
    ],
)  # fmt: skip
def test_missing_parameters_are_filled_in_as_the_operation_spells_them(
    params: dict[str, Any], body: str, operation: str, becomes: str
) -> None:
    assert sent(body, preset(**params), operation=operation) == becomes


def test_all_else_keeps_its_bytes() -> None:
    body = (
        '{"model":"m","seed":123456789012345678901234567890,"x":{"a": 1e0,"a":2},"messages":[ {"content":"\\u00fc"} ]}'
    )
    assert sent(body, preset(temperature=0)) == body[:-1] + ',"temperature":0}'


# Locked


@pytest.mark.parametrize(
    ("locked", "params", "body", "operation", "becomes"),
    [
        (["temperature"], {"temperature": 0}, '{"a":1,"temperature":0.9,"b":2}', CHAT, '{"a":1,"b":2,"temperature":0}'),
        (["temperature"], {"temperature": 0}, '{"TEMPERATURE":1,"tEmperature":1}', CHAT, '{"temperature":0}'),
        (["temperature"], {"temperature": 0}, '{"temperature\\u0000":1," temperature ":1}', CHAT, '{"temperature":0}'),
        (["top_k"], {"top_k": 1}, '{"top_\\u212a":9}', CHAT, '{"top_k":1}'),
        (["temperature"], {"temperature": 0}, '{"extra_body":{"temperature":1,"x":1}}', CHAT,
         '{"extra_body":{"x":1},"temperature":0}'),
        (["temperature"], {"temperature": 0}, '{"EXTRA_BODY":{"extra_body":{"Temperature":1}}}', CHAT,
         '{"EXTRA_BODY":{"extra_body":{}},"temperature":0}'),
        (["temperature"], {"temperature": 0}, '{"__proto__":{"temperature":1}}', CHAT,
         '{"__proto__":{},"temperature":0}'),
        (["temperature"], {"temperature": 0}, '{"options":{"temperature":1,"num_ctx":5}}', CHAT,
         '{"options":{"num_ctx":5},"temperature":0}'),
        (["max_tokens"], {"max_tokens": 5}, '{"max_completion_tokens":900,"max_output_tokens":9,"num_predict":7}', CHAT,
         '{"max_tokens":5}'),
        (["max_output_tokens"], {"max_tokens": 5}, '{"max_completion_tokens":900}', CHAT, '{"max_tokens":5}'),
        (["max_tokens"], {"max_tokens": 5}, '{"max_output_tokens":900}', RESPONSES, '{"max_output_tokens":5}'),
        (["reasoning_effort"], {"reasoning_effort": "low"},
         '{"reasoning_effort":"high","reasoning":{"effort":"high","summary":"auto"}}', RESPONSES,
         '{"reasoning":{"summary":"auto","effort":"low"}}'),
        (["reasoning_effort"], {"reasoning_effort": "low"}, '{"Reasoning":{"Effort":"high"},"think":true}', CHAT,
         '{"Reasoning":{},"reasoning_effort":"low"}'),
        (["thinking"], {"thinking": {"type": "disabled"}}, '{"Reasoning_Effort":"high","extra_body":{"reasoning":{"effort":"x"}}}',
         CHAT, '{"extra_body":{"reasoning":{}},"thinking":{"type":"disabled"}}'),
        (["reasoning_effort"], {"reasoning_effort": "low"},
         '{"thinking_budget":9,"extra_body":{"google":{"Thinking_Config":{"thinking_budget":9},"x":1}}}', CHAT,
         '{"extra_body":{"google":{"x":1}},"reasoning_effort":"low"}'),
        (["stop"], {"stop": "."}, '{"stop_sequences":["x"]}', CHAT, '{"stop":"."}'),
        (["num_predict"], {"max_tokens": 5}, '{"max_completion_tokens":900}', CHAT, '{"max_tokens":5}'),
        (["functions"], {}, '{"tools":[{}],"x":2}', CHAT, '{"x":2}'),
        (["reasoning_effort"], {"reasoning_effort": "low"}, '{"reasoning":null}', RESPONSES,
         '{"reasoning":{"effort":"low"}}'),
        (["text.format"], {"response_format": {"type": "text"}}, '{"text":{"format":{"type":"json_object"}}}', RESPONSES,
         '{"text":{"format":{"type":"text"}}}'),
        # Without a value the client's is taken out
        (["tools"], {}, '{"tools":[{}],"functions":[],"Tools":1,"x":2}', CHAT, '{"x":2}'),
        (["seed"], {"temperature": 1}, '{"seed":5}', CHAT, '{"temperature":1}'),
        # A format of files and one of words share a name
        (["response_format"], {"response_format": "mp3"}, '{"response_format":{"type":"text"}}', CHAT,
         '{"response_format":{"type":"text"}}'),
        (["response_format"], {"response_format": {"type": "text"}}, '{"response_format":"mp3"}', SPEECH,
         '{"response_format":"mp3"}'),
        (["voice"], {"voice": "alloy"}, '{"voice":"nova","VOICE":"x"}', SPEECH, '{"voice":"alloy"}'),
        (["top_a"], {"top_a": 1}, '{"Top_A":5,"extra_body":{"top_a":5}}', CHAT, '{"extra_body":{},"top_a":1}'),
    ],
)  # fmt: skip
def test_locked_parameters_win_under_every_spelling(
    locked: list[str], params: dict[str, Any], body: str, operation: str, becomes: str
) -> None:
    assert sent(body, preset(locked, **params), operation=operation) == becomes


def test_a_body_without_what_is_locked_keeps_its_bytes() -> None:
    body = '{"extra_body":{ "x":1.0 },"options":{"a":1,"a":2}}'
    assert sent(body, preset(["tools"])) == body


# One behind the other


@pytest.mark.parametrize(
    ("outer", "inner", "becomes"),
    [
        ({"params": {"temperature": 1}}, {"params": {"temperature": 0}}, '{"temperature":1}'),
        ({"params": {"temperature": 1}}, {"params": {"temperature": 0}, "locked": ["temperature"]}, '{"temperature":0}'),
        ({"params": {"temperature": 1}, "locked": ["temperature"]}, {"params": {"temperature": 0}}, '{"temperature":1}'),
        ({"params": {"temperature": 1}}, {"locked": ["temperature"]}, "{}"),
        ({"params": {"max_tokens": 1}}, {"params": {"max_output_tokens": 2, "top_p": 1}}, '{"max_tokens":1,"top_p":1}'),
    ],
)  # fmt: skip
def test_who_is_asked_first_fills_in_and_who_is_nearest_to_the_model_locks(
    outer: dict[str, Any], inner: dict[str, Any], becomes: str
) -> None:
    assert sent("{}", Preset("a", base="b", **outer), Preset("b", base="m", **inner)) == becomes
    assert sent("{}", Preset("a", **outer), Defaults("*", **inner)) == becomes


# At the HTTP boundary


async def test_defaults_hold_for_models_and_presets_of_their_pattern() -> None:
    entries = [
        Defaults("m*", params={"service_tier": "flex"}),
        Defaults(["fast", "x"], params={"seed": 1}),
        Preset("fast", base="m1", params={"service_tier": "auto"}),
        Preset("other", base="m1"),
    ]
    async with world(upstream_a("m1", "z1"), presets=entries) as it:
        for id, expected in {
            "m1": {"service_tier": "flex"},
            "fast": {"service_tier": "auto", "seed": 1},
            "other": {"service_tier": "flex"},
            "z1": {},
        }.items():
            assert (await it.chat(id)).status == 200
            assert {name: it.sent[name] for name in it.sent if name in ("service_tier", "seed")} == expected
            assert it.records[-1].preset == (id if id in ("fast", "other") else None)


@pytest.mark.parametrize("rewrites", ["auto", "off"])
async def test_rewrites_off_does_not_switch_presets_off(rewrites: Any) -> None:
    presets = [Preset("p", base="m1", params={"temperature": 0}, locked=["temperature"], system="SYS")]
    async with world(upstream_a("m1", rewrites=rewrites), presets=presets) as it:
        assert (await it.chat("p", temperature=1)).status == 200
        assert it.sent["temperature"] == 0
        assert it.sent["messages"][0]["content"] == "SYS\nS"


async def test_each_base_has_what_is_set_on_its_own_way() -> None:
    presets = [
        Preset("best", base=["a", "m2"], params={"seed": 1}),
        Preset("a", base="m1", params={"temperature": 0}),
    ]
    async with world(upstream_a("m1", "m2"), presets=presets) as it:
        it.upstream.script("m1", status=503)
        assert (await it.chat("best")).status == 200
        first, second = (request.fields() for request in it.upstream.requests)
        assert (first["model"], first["seed"], first["temperature"]) == ("m1", 1, 0)
        assert (second["model"], second["seed"], "temperature" in second) == ("m2", 1, False)


async def test_what_is_locked_can_be_refused_instead() -> None:
    presets = [Preset("p", base="m1", params={"max_tokens": 5}, locked=["max_tokens", "tools"])]
    async with world(upstream_a("m1"), presets=presets, settings=Settings(retries=0, locked_params="refuse")) as it:
        for fields, param in (
            ({"max_completion_tokens": 6}, "max_completion_tokens"),
            ({"extra_body": {"MAX_TOKENS": 6}}, "extra_body.MAX_TOKENS"),
            ({"tools": []}, "tools"),
        ):
            refused = await it.chat("p", **fields)
            assert (refused.status, error_of(refused)["code"]) == (400, "locked_parameter")
            assert error_of(refused)["param"] == param
        assert not it.upstream.requests
        assert (await it.chat("p", max_completion_tokens=5)).status == 200  # what it is locked to is no conflict
        assert it.sent["max_tokens"] == 5
        assert "max_completion_tokens" not in it.sent
        assert (
            await it.chat("p", max_tokens=None, tools=None)
        ).status == 200  # SDKs send these where nothing is chosen
        assert it.sent["max_tokens"] == 5
        assert "tools" not in it.sent


async def test_a_large_extra_body_is_no_way_around() -> None:
    presets = [Preset("p", base="m1", params={"temperature": 0}, locked=["temperature"])]
    async with world(upstream_a("m1"), presets=presets) as it:
        extra = {"extra_body": {"fill": ["x" * 100] * 4000, "temperature": 1}}
        assert (await it.chat("p", **extra)).status == 413
        long = {"extra_body": {"fill": "x" * 400_000, "temperature": 1}}
        assert (await it.chat("p", **long)).status == 200
        assert it.sent["extra_body"] == {"fill": "x" * 400_000}


async def test_a_form_has_what_is_set_and_not_what_is_locked() -> None:
    presets = [Preset("draw", base="m1", params={"size": "256x256", "quality": "low", "n": 2}, locked=["size"])]
    for settings, status in ((Settings(retries=0), 200), (Settings(retries=0, locked_params="refuse"), 400)):
        async with world(upstream_a("m1"), presets=presets, settings=settings) as it:
            body = form(field("model", b"draw"), field("Size", b"1024x1024"), field("quality", b"high"), FILE)
            answer = await it.post_bytes("/images/edits", body, headers={"content-type": CONTENT_TYPE.decode()})
            assert (answer.status == 400) == (status == 400)
            if status == 200:  # what the fake itself has no answer for
                told = it.upstream.last.body
                assert b'name="size"\r\n\r\n256x256' in told
                assert b"1024x1024" not in told
                assert b"low" not in told
                assert b'name="n"\r\n\r\n2\r\n' in told


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/completions", {"model": "p", "prompt": "x"}, 400),
        ("/realtime/client_secrets", {"session": {"type": "realtime", "model": "p"}}, 400),
        ("/embeddings", {"model": "p", "input": "x"}, 200),
        ("/responses", {"model": "p", "input": "x"}, 200),
    ],
)
async def test_a_prompt_cannot_be_gone_around_by_another_kind_of_call(
    path: str, body: dict[str, Any], status: int
) -> None:
    async with world(upstream_a("m1"), presets=[Preset("p", base="m1", system="Be good.")]) as it:
        answer = await it.post(path, body)
        assert answer.status == status
        if status == 400:
            assert error_of(answer)["code"] == "unsupported_operation"
            assert not it.upstream.requests


async def test_speech_of_two_presets_is_not_one() -> None:
    presets = [Preset("deep", base="m1", params={"voice": "onyx"}), Preset("high", base="m1", params={"voice": "nova"})]
    async with world(upstream_a("m1"), presets=presets) as it:
        for id in ("deep", "high", "deep"):
            assert (await it.post("/audio/speech", {"model": id, "input": "hello"})).status == 200
        assert [json.loads(request.body)["voice"] for request in it.upstream.requests] == ["onyx", "nova"]
