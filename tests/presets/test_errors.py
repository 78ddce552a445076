"""What an upstream says of an error names the preset that was asked for, and nothing behind it; records keep its words."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from openai_gateway_asgi import Preset, Settings
from openai_gateway_asgi.answers.error_model_names import LONGEST, Names
from openai_gateway_asgi.testing import FakeUpstream
from openai_gateway_asgi.testing.answers import bytes_answer, json_answer
from tests.cases.gateways import MESSAGES, served, upstream_a, world
from tests.support.cost import assert_costs

PRESETS = [
    Preset("lawyer", base="inner", system="You know the law."),
    Preset("inner", base="A.gpt-5"),
]
A = upstream_a("gpt-5", prefix_id="A")
SAID = "The model `gpt-5` does not exist (GPT-5, 'A.gpt-5', inner)."


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": SAID, "type": "invalid_request_error", "param": "gpt-5", "code": "gpt-5"}},
        {"detail": [{"loc": ["body", "model"], "msg": SAID}]},
        {"object": "error", "message": SAID, "code": 404},
        {"errors": [SAID]},
        [{"error": {"message": SAID}}],
        SAID,
    ],
)
@pytest.mark.parametrize("status", [400, 404, 422, 500])
async def test_a_refusal_names_the_preset(body: Any, status: int) -> None:
    settings = Settings(retries=0, log_upstream_messages=True)
    async with world(A, presets=PRESETS, settings=settings) as it:
        it.upstream.answer("/chat/completions", json_answer(body, status))
        for stream in (False, True):
            told = await it.chat("lawyer", stream=stream)
            assert told.status >= 400
            assert "lawyer" in told.text
            assert "gpt-5" not in told.text.lower()
            assert "inner" not in told.text
        assert "gpt-5" in (it.records[-1].tries[-1].cause.message or "")
        plain = await it.chat("A.gpt-5")
        assert json.loads(plain.body) == body


async def test_all_else_of_a_refusal_keeps_its_bytes() -> None:
    said = b'{ "error": {"message": "no gpt-5 \\u00fc \\/gpt-5\\/ gpt-5-mini xgpt-5", "n": 1.50, "big": 123456789012345678901} }'
    async with world(A, presets=PRESETS) as it:
        it.upstream.answer("/chat/completions", bytes_answer(said, "application/json", 400))
        told = (await it.chat("lawyer")).body
        assert json.loads(told)["error"]["message"] == "no lawyer ü /lawyer/ lawyer-mini xgpt-5"
        assert told.startswith(b'{ "error": {"message": ')
        assert told.endswith(b', "n": 1.50, "big": 123456789012345678901} }')


async def test_a_page_of_text_names_the_preset() -> None:
    async with world(A, presets=PRESETS) as it:
        it.upstream.answer("/chat/completions", bytes_answer(b"no model gpt-5 here", "text/plain", 400))
        assert (await it.chat("lawyer")).body == b"no model lawyer here"


FAILS = {"error": {"message": SAID, "type": "server_error", "param": None, "code": "gpt-5"}}


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_an_error_in_a_stream_names_the_preset_and_what_the_model_wrote_stays(told: bool, api: str) -> None:
    word = {
        "id": "c",
        "object": "chat.completion.chunk",
        "model": "gpt-5",
        "choices": [{"index": 0, "delta": {"content": "gpt-5 says"}}],
    }
    failed: Any = FAILS
    if api == "responses":
        word = {"type": "response.output_text.delta", "delta": "gpt-5 says", "output_index": 0, "content_index": 0}
        output = [{"type": "message", "content": [{"type": "output_text", "text": "gpt-5 says"}]}]
        failed = {
            "type": "response.failed",
            "response": {"id": "r", "model": "gpt-5", "status": "failed", "output": output, **FAILS},
        }
    events = [word, failed] if told else [failed]
    stream = b"".join([b"data: " + json.dumps(each).encode() + b"\n\n" for each in events])

    async with world(A, presets=PRESETS) as it:
        it.upstream.answer(
            "/responses" if api == "responses" else "/chat/completions",
            bytes_answer(stream, "text/event-stream"),
        )
        if api == "chat":
            answer = await it.chat("lawyer", stream=True)
        else:
            answer = await it.post("/responses", {"model": "lawyer", "input": "x", "stream": True})
        assert b"The model `lawyer` does not exist (lawyer, 'lawyer', lawyer)." in answer.body
        assert answer.body.replace(b"gpt-5 says", b"").count(b"gpt-5") == 0
        assert answer.body.count(b"gpt-5 says") == (told if api == "chat" else 2 * told)


async def test_an_error_in_a_200_names_the_preset() -> None:
    async with world(A, presets=PRESETS) as it:
        it.upstream.answer("/chat/completions", json_answer({"error": {"message": SAID, "code": 404}}))
        answer = await it.chat("lawyer")
        assert answer.status == 404
        assert "gpt-5" not in answer.text.lower()


async def test_the_official_client_reads_the_presets_name() -> None:
    async with FakeUpstream() as fake:
        fake.answer(
            "/chat/completions", lambda request: json_answer({"error": {"message": f"no {request.model}"}}, 404)
        )
        async with served(fake, presets=[Preset("lawyer", base="m1")]) as it, it.sdk as sdk:
            with pytest.raises(openai.NotFoundError, match="no lawyer"):
                await sdk.chat.completions.create(model="lawyer", messages=MESSAGES)  # type: ignore[arg-type]


async def test_a_header_does_not_name_what_is_behind_a_preset() -> None:
    headers = [("openai-model", "gpt-5"), ("openai-version", "2020-10-01")]
    answer = json_answer({"model": "gpt-5", "choices": []}, headers=headers)
    async with world(A, presets=PRESETS) as it:
        it.upstream.answer("/chat/completions", answer)
        told = await it.chat("lawyer")
        assert (told.header("openai-model"), told.header("openai-version")) == (None, "2020-10-01")
        assert (await it.chat("A.gpt-5")).header("openai-model") == "gpt-5"


@pytest.mark.parametrize("filler", [b'"",', b'"\\n",', b"[],", b"7,"])
def test_of_a_long_error_that_names_what_is_behind_nothing_is_told(filler: bytes) -> None:
    names = Names("lawyer", ["gpt-5"])
    body = b'{"error":{"message":"no GPT-5","x":[%b1]}}' % (filler * 200_000)
    event = b"event: error\ndata: " + body + b"\n\n"
    assert json.loads(names.in_body(body))["error"]["message"] == "The upstream refused this call."
    assert b"lawyer" not in names.in_last_event(event)
    assert (
        json.loads(names.in_last_event(b"data: 1\n\n" + event).split(b"data: ")[2])["error"]["code"] == "upstream_error"
    )
    harmless = body.replace(b"GPT-5", b"GPT-4")
    assert names.in_body(harmless) is harmless
    assert_costs(lambda: names.in_body(body), at_most=10)
    short = body[: LONGEST // 2] + b"1]}}"
    assert_costs(lambda: names.in_body(short), at_most=40)


@pytest.mark.parametrize(
    ("shown", "hidden", "said", "told"),
    [
        ("gpt-5-lawyer", ["gpt-5"], "`gpt-5-lawyer` over gpt-5", "`gpt-5-lawyer` over gpt-5-lawyer"),
        ("a", ["meta/llama 3"], "meta%2Fllama%203 meta/llama%203 META/LLAMA 3", "a a a"),
        ("a\\1", ["x+y"], "x+y xxy", "a\\1 xxy"),
        ("ü", ["ö"], "ö", "ü"),
    ],
)
def test_names_stand_as_words(shown: str, hidden: list[str], said: str, told: str) -> None:
    names = Names(shown, hidden)
    assert names.in_body(said.encode()) == told.encode()
    for body in (json.dumps({"error": said}), json.dumps({"error": said}, ensure_ascii=False)):
        assert json.loads(names.in_body(body.encode())) == {"error": told}
    event = f"event: error\ndata: {json.dumps({'message': said})}\n\n".encode()
    assert json.loads(names.in_last_event(event).split(b"data: ")[1]) == {"message": told}


@pytest.mark.parametrize("shows", ["admins", "all", "nobody"])
async def test_where_a_call_went_is_shown_to_whom_the_host_says(shows: Any) -> None:
    async with world(A, presets=PRESETS, settings=Settings(retries=0, show_routing=shows)) as it:
        for user, sees in (("u1", shows == "all"), ("a1", shows != "nobody")):
            answer = await it.chat("lawyer", headers={"x-test-user": user})
            told = [value for name, value in answer.headers if b"gpt-5" in value]
            assert told == [b"A.gpt-5"] * sees
