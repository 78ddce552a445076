"""In which API an upstream is asked, and who is asked first; seen at the HTTP boundary."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi import ConfigError, MemoryStore, Preset, Settings, Upstream
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.testing import Answer, error_answer, json_answer
from openai_gateway_asgi.upstream import apis
from openai_gateway_asgi.upstream.apis import Apis
from tests.cases.gateways import USERS, World, chat, error_of, upstream_a, upstream_b, world

CHAT, RESPONSES = "/chat/completions", "/responses"
ASK = {CHAT: chat(), RESPONSES: {"model": "m1", "input": "hi"}}
OTHER = {CHAT: RESPONSES, RESPONSES: CHAT}
NO_ROUTE = json_answer({"detail": "Not Found"}, 404)


def asked(w: World) -> list[str]:
    """Who was asked for what, in order."""
    return [f"{request.host[0]}{request.path.removeprefix('/v1')}" for request in w.upstream.requests]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ASK)
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_an_upstream_is_asked_in_the_api_that_it_has(api: str, path: str, stream: bool) -> None:
    async with world(upstream_a(api=api)) as w:
        answer = await w.post(path, {**ASK[path], "stream": stream})
        assert answer.status == 200
        assert asked(w) == ["a/chat/completions" if api == "chat" else "a/responses"]
        assert (b'"chat.completion' if path == CHAT else b'"response"') in answer.body


@pytest.mark.parametrize("path", ASK)
@pytest.mark.parametrize("api", ["auto", "both", {"m1": "both", "*": "chat"}])
async def test_where_the_upstream_has_the_clients_api_the_body_passes_as_it_came(path: str, api: Any) -> None:
    body = json.dumps({**ASK[path], "stop": ["x"], "previous_response_id": None}).encode()
    async with world(upstream_a(api=api)) as w:
        assert (await w.post_bytes(path, body)).status == 200
        assert asked(w) == [f"a{path}"]
        assert json.loads(w.upstream.last.body) == json.loads(body)
        assert w.records[0].upstream_operation is None


async def test_apis_by_model_an_id_before_patterns_and_these_in_their_order() -> None:
    api = {"gpt-*": "chat", "*": "both", "gpt-5": "responses"}
    upstream = upstream_a("gpt-5", "gpt-4", "other", api=api)
    async with world(upstream) as w:
        for model in ("gpt-5", "gpt-4", "other"):
            await w.post(RESPONSES, {"model": model, "input": "hi"})
        await w.chat("gpt-5")
        assert asked(w) == ["a/responses", "a/chat/completions", "a/responses", "a/responses"]


@pytest.mark.parametrize("api", ["messages", "", None, 3, {}, {"m": "all"}, {"": "chat"}, {3: "chat"}, ["chat"]])
def test_what_is_no_api_is_refused_at_the_start(api: Any) -> None:
    with pytest.raises(ConfigError, match="api"):
        Upstream("http://a/v1", api=api)


@pytest.mark.parametrize("root", ["api.mistral.ai/v1", "generativelanguage.googleapis.com/v1beta/openai"])
async def test_providers_without_responses_are_known_by_their_hosts(root: str) -> None:
    async with world(Upstream(f"https://{root}", api_key="k", model_ids=["m1"])) as w:
        assert (await w.post(RESPONSES, ASK[RESPONSES])).status == 200
        assert f"{w.upstream.last.host}{w.upstream.last.path}" == f"{root}/chat/completions"


TOOLS = [{"type": "function", "function": {"name": "f"}}]
OPENAI = {
    "a codex": ("gpt-5.1-codex-max", {}, True),
    "a pro": ("o3-pro-2025-06-10", {}, True),
    "deep research": ("o4-mini-deep-research", {}, True),
    "tuned": ("ft:gpt-5.6:acme:x", {"tools": TOOLS}, True),
    "a usual one": ("gpt-4o", {"tools": TOOLS}, False),
    "gpt-5.1 with all": ("gpt-5.1", {"tools": TOOLS, "reasoning_effort": "high"}, False),
    "gpt-5.4 with tools": ("gpt-5.4", {"tools": TOOLS}, False),
    "gpt-5.4 with tools and effort": ("gpt-5.4-mini", {"tools": TOOLS, "reasoning_effort": "low"}, True),
    "gpt-5.4 with tools and no effort": ("gpt-5.4", {"tools": TOOLS, "reasoning_effort": "none"}, False),
    "gpt-5.4 with effort": ("gpt-5.4", {"tools": [], "reasoning_effort": "high"}, False),
    "gpt-5.6 with tools": ("gpt-5.6", {"tools": TOOLS}, True),
    "gpt-5.6 with old functions": ("gpt-5.6", {"functions": [{"name": "f"}]}, True),
    "gpt-5.6 with tools and no effort": ("gpt-5.6", {"tools": TOOLS, "reasoning_effort": "none"}, False),
    "gpt-5.6 without tools": ("gpt-5.6", {"tools": None}, False),
}


@pytest.mark.parametrize(("model", "fields", "responses"), OPENAI.values(), ids=OPENAI)
async def test_models_of_openai_that_need_responses(model: str, fields: dict[str, Any], responses: bool) -> None:
    async with world(Upstream("https://api.openai.com/v1", api_key="k", model_ids=[model])) as w:
        assert (await w.chat(model, **fields)).status == 200
        assert w.upstream.last.path == f"/v1{RESPONSES if responses else CHAT}"
    async with world(upstream_a(model)) as w:  # elsewhere they are somebody else's
        await w.chat(model, **fields)
        assert w.upstream.last.path == f"/v1{CHAT}"


OF_PRESETS = {
    "effort filled in": ({"params": {"reasoning_effort": "low"}}, {"tools": TOOLS}, True),
    "effort that the client sets to none": (
        {"params": {"reasoning_effort": "low"}}, {"tools": TOOLS, "reasoning_effort": "none"}, False,
    ),
    "effort locked": (
        {"params": {"reasoning_effort": "low"}, "locked": ["reasoning_effort"]},
        {"tools": TOOLS, "reasoning_effort": "none"},
        True,
    ),
    "effort taken out": ({"locked": ["reasoning_effort"]}, {"tools": TOOLS, "reasoning_effort": "high"}, False),
    "something else": ({"params": {"temperature": 0}}, {"tools": TOOLS}, False),
}  # fmt: skip


@pytest.mark.parametrize(("preset", "fields", "responses"), OF_PRESETS.values(), ids=OF_PRESETS)
async def test_what_a_preset_adds_counts_as_what_the_client_says(
    preset: dict[str, Any], fields: dict[str, Any], responses: bool
) -> None:
    upstream = Upstream("https://api.openai.com/v1", api_key="k", model_ids=["gpt-5.4"])
    async with world(upstream, presets=[Preset("mine", base="gpt-5.4", **preset)]) as w:
        assert (await w.chat("mine", **fields)).status == 200
        assert w.upstream.last.path == f"/v1{RESPONSES if responses else CHAT}"


ROUTES = {
    "FastAPI": NO_ROUTE,
    "Go": Answer([b"404 page not found"], 404, [("content-type", "text/plain")]),
    "nginx": Answer([b"<html><title>404 Not Found</title></html>"], 404, [("content-type", "text/html")]),
    "nothing": Answer([], 404),
    "llama.cpp": error_answer(404, "File Not Found"),
    "OpenAI": error_answer(404, "Invalid URL (POST /v1/responses)"),
    "Groq": error_answer(404, "Unknown request URL: POST /openai/v1/x.", code="unknown_url"),
    "Express": Answer([b"<pre>Cannot POST /v1/responses</pre>"], 404, [("content-type", "text/html")]),
    "a model of the other API": error_answer(
        404, "This model is only supported in v1/responses and not in v1/chat/completions."
    ),
}


@pytest.mark.parametrize("path", ASK)
@pytest.mark.parametrize("answer", ROUTES.values(), ids=ROUTES)
async def test_a_404_of_the_path_itself_is_learned_from_and_is_no_attempt(path: str, answer: Answer) -> None:
    async with world(upstream_a()) as w:
        w.upstream.answer(path, answer)
        assert (await w.post(path, ASK[path])).status == 200
        assert (await w.post(path, ASK[path])).status == 200
        assert asked(w) == [f"a{path}", f"a{OTHER[path]}", f"a{OTHER[path]}"]
        assert [record.attempts for record in w.records] == [1, 1]
        assert [len(record.tries) for record in w.records] == [1, 1]
        assert (await w.post(OTHER[path], ASK[OTHER[path]])).status == 200
        assert w.upstream.last.path == f"/v1{OTHER[path]}"


NO_LESSON = {
    "no such model": error_answer(404, "The model `m1` does not exist.", code="model_not_found"),
    "Ollama": json_answer({"error": {"message": "model 'm1' not found, try pulling it first"}}, 404),
    "something else": error_answer(404, "No access for you."),
    "another status": error_answer(400, "Not Found"),
}


@pytest.mark.parametrize("path", ASK)
@pytest.mark.parametrize("answer", NO_LESSON.values(), ids=NO_LESSON)
async def test_other_refusals_teach_nothing(path: str, answer: Answer) -> None:
    async with world(upstream_a()) as w:
        w.upstream.answer(path, answer)
        got = await w.post(path, ASK[path])
        assert got.status == answer.status
        assert asked(w) == [f"a{path}"]


async def test_a_stated_api_is_never_asked_otherwise() -> None:
    async with world(upstream_a(api="both")) as w:
        w.upstream.answer(CHAT, NO_ROUTE)
        assert (await w.chat()).status == 404
        assert asked(w) == [f"a{CHAT}"]


async def test_where_neither_path_is_there_the_first_404_is_told_and_nothing_is_believed() -> None:
    async with world(upstream_a()) as w:
        w.upstream.answer("", NO_ROUTE, NO_ROUTE, json_answer({"object": "chat.completion"}))
        answer = await w.chat()
        assert (answer.status, answer.json()) == (404, {"detail": "Not Found"})
        assert (await w.chat()).json() == {"object": "chat.completion"}
        assert asked(w) == ["a/chat/completions", "a/responses", "a/chat/completions"]


async def test_what_was_learned_is_forgotten_in_time_and_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known, upstream, body = Apis(), Upstream("http://a/v1"), Payload({})
    now = [100.0]
    monkeypatch.setattr(apis, "monotonic", lambda: now[0])
    assert known.learn(upstream, "m", "responses", of_model=False)
    assert known.other(upstream, "m", "responses", body) == "chat"
    assert known.other(upstream, "m", "chat", body) is None
    now[0] += apis.LEARNED_FOR
    assert known.other(upstream, "m", "responses", body) is None
    for number in range(apis.MOST + 1):
        known.learn(upstream, f"m{number}", "chat", of_model=True)
    assert known.other(upstream, "m0", "chat", body) is None
    assert known.other(upstream, f"m{apis.MOST}", "chat", body) == "responses"
    assert not known.learn(upstream, f"m{apis.MOST}", "responses", of_model=True), "then it has neither"
    known.keep_only([upstream])
    known.keep_only([Upstream("http://a/v1", api_key="k")])
    assert known.other(upstream, "m5", "chat", body) is None


# Who is asked first


async def test_native_upstreams_come_before_translated_ones_of_equal_priority() -> None:
    async with world(upstream_a(api="chat"), upstream_b(api="responses")) as w:
        await w.chat()
        await w.post(RESPONSES, ASK[RESPONSES])
        assert asked(w) == ["a/chat/completions", "b/responses"]


async def test_a_priority_that_is_set_is_never_overridden() -> None:
    async with world(upstream_a(api="chat", priority=0), upstream_b(api="responses", priority=1)) as w:
        await w.post(RESPONSES, ASK[RESPONSES])
        assert asked(w) == ["a/chat/completions"]


async def test_weights_are_drawn_among_those_that_need_no_translation() -> None:
    upstreams = upstream_a(api="chat", weight=1000), upstream_b(api="responses", weight=1)
    async with world(*upstreams) as w:
        for _ in range(20):
            await w.post(RESPONSES, ASK[RESPONSES])
        assert set(asked(w)) == {"b/responses"}


async def test_a_native_upstream_is_asked_before_one_that_has_just_been_seen_to_lack_the_api() -> None:
    async with world(upstream_a(), upstream_b(api="responses")) as w:
        w.upstream.answer(RESPONSES, NO_ROUTE, json_answer({"object": "response", "output": []}))
        assert (await w.post(RESPONSES, ASK[RESPONSES])).status == 200
        assert asked(w) == ["a/responses", "b/responses"]


async def test_one_that_cannot_carry_the_call_is_passed_over_and_is_no_attempt() -> None:
    async with world(upstream_a(api="responses", priority=0), upstream_b(api="chat", priority=1)) as w:
        assert (await w.chat(stop="x")).status == 200
        assert asked(w) == ["b/chat/completions"]
        assert w.records[0].attempts == 1


async def test_only_when_none_is_left_the_client_gets_the_400_that_names_its_field() -> None:
    async with world(upstream_a(api="responses"), upstream_b(api="responses")) as w:
        answer = await w.chat(stop="x")
        assert (answer.status, error_of(answer)["code"], error_of(answer)["param"]) == (
            400,
            "unsupported_parameter",
            "stop",
        )
        assert (w.upstream.requests, w.records[0].attempts) == ([], 0)


async def test_a_failure_is_told_rather_than_what_another_could_not_carry() -> None:
    async with world(upstream_a(api="chat"), upstream_b(api="responses")) as w:
        w.upstream.answer("", error_answer(500, "Down."))
        answer = await w.chat(stop="x")
        assert (answer.status, asked(w)) == (500, ["a/chat/completions"])


async def test_a_fallback_may_carry_what_the_model_cannot() -> None:
    store = MemoryStore([upstream_a(api="responses"), upstream_b("big", api="chat")], fallbacks={"m1": ["big"]})
    async with world(store=store) as w:
        assert (await w.chat(stop="x")).status == 200
        assert (asked(w), w.records[0].served_model) == (["b/chat/completions"], "big")


async def test_what_was_learned_makes_a_call_that_cannot_be_carried_a_400() -> None:
    async with world(upstream_a()) as w:
        w.upstream.answer(CHAT, NO_ROUTE)
        answer = await w.chat(n=2)
        assert (answer.status, error_of(answer)["param"]) == (400, "n")
        assert asked(w) == ["a/chat/completions"]


# What belongs to one API alone


async def test_case_409_a_response_at_an_upstream_with_chat_alone_is_a_404() -> None:
    async with world(upstream_a(api="chat"), settings=Settings(open_groups=["responses"], retries=0)) as w:
        answer = await w.ask("GET", "/responses/resp_1")
        assert (answer.status, error_of(answer)["code"], w.upstream.requests) == (404, "not_found", [])


@pytest.mark.parametrize("path", ["/responses/compact", "/responses/input_tokens"])
async def test_what_only_responses_count_is_a_501_at_an_upstream_with_chat_alone(path: str) -> None:
    async with world(upstream_a(api="chat")) as w:
        answer = await w.post(path, {"model": "m1", "input": "hi"})
        assert (answer.status, w.upstream.requests) == (501, [])


# What is told of it


async def test_the_record_and_the_explanation_say_what_was_translated_and_left_out() -> None:
    body = {"model": "m1", "input": "hi", "tools": [{"type": "web_search"}]}
    async with world(upstream_a(api="chat", drop_hosted_tools=True)) as w:
        assert (await w.post(RESPONSES, body)).status == 200
        assert "tools" not in w.sent
        record = w.records[0]
        assert (record.operation, record.upstream_operation) == ("createResponse", "createChatCompletion")
        assert record.dropped == ("tools[0] (web_search)",)

        explained = await w.gateway.explain(USERS["u1"], "POST", RESPONSES, body=json.dumps(body).encode())
        (candidate,) = explained.candidates
        assert (candidate.translated_to, candidate.dropped) == ("chat", ("tools[0] (web_search)",))
        assert "translated to the API chat (Upstream.api)" in str(explained)
        assert {change.by for change in candidate.body} == {"Upstream.api"}
        assert "left out: tools[0] (web_search) (Upstream.drop_hosted_tools)" in str(explained)


IMAGES = {"model": "m1", "input": "hi", "tools": [{"type": "image_generation"}]}


async def test_a_tool_that_implies_a_model_asks_for_none_where_it_is_never_sent() -> None:
    async with world(upstream_a(api="chat", drop_hosted_tools=True)) as w:
        assert (await w.post(RESPONSES, IMAGES)).status == 200
        assert w.records[0].dropped == ("tools[0] (image_generation)",)
    async with world(upstream_a(api={"m1": "chat"})) as w:
        answer = await w.post(RESPONSES, IMAGES)
        assert (answer.status, error_of(answer)["param"]) == (400, "tools[0].type")


@pytest.mark.parametrize("other", [{"api": "responses"}, {"api": "auto"}, {"api": {"m2": "chat"}}])
async def test_a_tool_that_implies_a_model_needs_it_where_anybody_may_be_sent_it(other: dict[str, Any]) -> None:
    async with world(upstream_a(api="chat", drop_hosted_tools=True), upstream_b(**other)) as w:
        answer = await w.post(RESPONSES, IMAGES)
        assert (answer.status, error_of(answer)["code"], w.upstream.requests) == (404, "model_not_found", [])


async def test_the_explanation_says_who_cannot_be_asked() -> None:
    body = json.dumps(chat(stop="x")).encode()
    async with world(upstream_a(api="responses"), upstream_b(api="chat")) as w:
        explained = await w.gateway.explain(USERS["u1"], "POST", CHAT, body=body)
        assert [(each.upstream, each.asked) for each in explained.candidates] == [("B", True), ("A", False)]
        assert explained.candidates[1].by == "Upstream.api"
    async with world(upstream_a(api="responses")) as w:
        explained = await w.gateway.explain(USERS["u1"], "POST", CHAT, body=body)
        assert (explained.outcome, explained.status, explained.code) == ("refused", 400, "unsupported_parameter")
