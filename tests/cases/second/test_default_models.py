"""Requests that name no model: case 244."""

from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi import Grant, Grants, MemoryStore, Settings, Upstream
from openai_gateway_asgi.api.default_models import DEFAULT_MODELS, IMAGE_TOOL
from openai_gateway_asgi.testing import error_answer, json_answer
from tests.cases.gateways import EAGER, upstream_a, upstream_b, world
from tests.surface.world import FILE, FORM, field, form, parts_of

ANSWER = json_answer({"ok": True})
ALL = tuple(sorted({default.model for default in DEFAULT_MODELS.values()}))
ORDINARY = {"x-test-user": "u1"}
OPEN = Settings(retries=0, open_groups={"videos", "realtime", "prompts"}, stored_upstream="A")

JSON_CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("createModeration", "/moderations", {"input": "x"}),
    ("createImage", "/images/generations", {"prompt": "a cat"}),
    ("createImageEdit", "/images/edits", {"prompt": "x", "images": [{"image_url": "https://x.test/a.png"}]}),
    ("createVideo", "/videos", {"prompt": "a cat"}),
    ("createResponse", "/responses", {"input": "x"}),
    ("Getinputtokencounts", "/responses/input_tokens", {"input": "x"}),
    ("create-realtime-client-secret", "/realtime/client_secrets", {}),
    ("create-realtime-client-secret", "/realtime/client_secrets", {"session": {"type": "realtime"}}),
    ("create-realtime-session", "/realtime/sessions", {"voice": "alloy"}),
    ("create-realtime-transcription-session", "/realtime/transcription_sessions", {}),
    ("accept-realtime-call", "/realtime/calls/rtc_1/accept", {"type": "realtime"}),
]
FORMS = [
    ("createImageEdit", "/images/edits"),
    ("createImageVariation", "/images/variations"),
    ("createVideo", "/videos"),
    ("create-realtime-call", "/realtime/calls"),
]


def error_of(answer: Any) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    return error


def upstream_of_all(**options: Any) -> Upstream:
    return upstream_a(*ALL, **options)


@pytest.mark.parametrize(("operation", "path", "body"), JSON_CALLS)
@pytest.mark.parametrize("named", ["absent", "null"])
async def test_case_244_without_a_model_the_default_is_routed_and_the_body_goes_on_as_it_came(
    operation: str, path: str, body: dict[str, Any], named: str
) -> None:
    if named == "null" and "secrets" not in path and "transcription" not in path:
        body = {**body, "model": None}
    async with world(upstream_b("other"), upstream_of_all(), settings=OPEN) as w:
        w.upstream.answer("", ANSWER)
        answer = await w.post(path, body, headers=ORDINARY)

        assert answer.status == 200, answer.text
        assert w.upstream.last.host == "a"
        assert w.sent == body
        default = DEFAULT_MODELS[operation].model
        assert [(record.model, record.upstream_model, record.status) for record in w.records] == [
            (default, default, 200)
        ]


@pytest.mark.parametrize(("operation", "path"), FORMS)
async def test_case_244_the_same_for_forms(operation: str, path: str) -> None:
    parts = [field("prompt", "a cat"), FILE]
    async with world(upstream_b("other"), upstream_of_all(), settings=OPEN) as w:
        w.upstream.answer("", ANSWER)
        answer = await w.post_bytes(path, form(*parts), headers={"content-type": FORM, **ORDINARY})

        assert answer.status == 200, answer.text
        assert w.upstream.last.host == "a"
        sent = parts_of(w.upstream.last.body, w.upstream.last.header("content-type") or "")
        assert [content for _, content in sent] == [content for _, content in parts]
        assert [record.model for record in w.records] == [DEFAULT_MODELS[operation].model]


async def test_case_244_an_offer_without_a_model_means_the_default_too() -> None:
    async with world(upstream_of_all()) as w:
        w.upstream.answer("", ANSWER)
        answer = await w.post_bytes("/realtime/calls", b"v=0\r\n", headers={"content-type": "application/sdp"})

        assert answer.status == 200, answer.text
        assert (w.upstream.last.body, w.upstream.last.query) == (b"v=0\r\n", b"")
        assert [record.model for record in w.records] == ["gpt-realtime"]


@pytest.mark.parametrize(("operation", "path", "body"), JSON_CALLS)
async def test_case_244_a_default_that_the_user_may_not_call_is_refused_like_one_that_does_not_exist(
    operation: str, path: str, body: dict[str, Any]
) -> None:
    nobody = Grants({"m1": Grant(public=True)}, admins=False)
    refusals = []
    for upstream in (upstream_of_all(), upstream_a("m1")):
        async with world(upstream, settings=OPEN, authorize_model=nobody) as w:
            answer = await w.post(path, body, headers=ORDINARY)
            assert w.upstream.requests == []
            refusals.append((answer.status, error_of(answer)))

    stated = DEFAULT_MODELS[operation].stated
    assert refusals[0] == refusals[1]
    status, error = refusals[0]
    assert (status, error["code"]) == ((404, "model_not_found") if stated else (400, "missing_field"))
    assert error["param"].endswith("model")
    assert "names no model" in error["message"] if stated else "is missing" in error["message"]


async def test_case_244_a_host_names_other_defaults_adds_some_and_takes_some_away() -> None:
    defaults = {"createModeration": "pa.guard", "createEmbedding": "pa.vectors", "createImage": None}
    settings = Settings(retries=0, default_models=defaults)
    async with world(upstream_a("guard", "vectors", "dall-e-2", prefix_id="pa"), settings=settings) as w:
        assert (await w.post("/moderations", {"input": "x"})).status == 200
        assert (await w.post("/embeddings", {"input": "x"})).status == 200
        refused = await w.post("/images/generations", {"prompt": "x"})

        assert (refused.status, error_of(refused)["code"]) == (400, "missing_field")
        assert [request.json() for request in w.upstream.requests] == [{"input": "x"}, {"input": "x"}]
        assert [(record.model, record.upstream_model) for record in w.records] == [
            ("pa.guard", "guard"),
            ("pa.vectors", "vectors"),
            (None, None),
        ]


@pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings", "/audio/speech"])
async def test_case_244_where_there_is_no_default_the_model_must_be_named(path: str) -> None:
    async with world(upstream_of_all()) as w:
        answer = await w.post(path, {"input": "x", "model": None})

        assert (answer.status, error_of(answer)["code"], error_of(answer)["param"]) == (400, "missing_field", "model")
        assert w.upstream.requests == []


@pytest.mark.parametrize("path", ["/audio/transcriptions", "/audio/translations"])
async def test_case_244_nor_in_a_form(path: str) -> None:
    async with world(upstream_of_all()) as w:
        answer = await w.post_bytes(path, form(FILE), headers={"content-type": FORM})

        assert (answer.status, error_of(answer)["code"], error_of(answer)["param"]) == (400, "missing_field", "model")
        assert "form field `model`" in error_of(answer)["message"]
        assert w.upstream.requests == []


@pytest.mark.parametrize("name", ["Model", "MODEL", "model\\u0000"])
async def test_case_244_a_model_in_other_letters_is_no_absent_one(name: str) -> None:
    async with world(upstream_of_all()) as w:
        body = f'{{"input":"x","{name}":"secret"}}'.encode()
        answer = await w.post_bytes("/moderations", body, headers={"content-type": "application/json"})

        assert answer.status == 400
        assert w.upstream.requests == []


async def test_case_244_azure_serves_a_default_as_the_deployment_of_that_name() -> None:
    azure = Upstream("https://r.test", api_key="k", model_ids=["dall-e-2"], provider="azure")
    async with world(azure) as w:
        w.upstream.answer("", ANSWER)
        assert (await w.post("/images/generations", {"prompt": "x"})).status == 200
        assert w.upstream.last.path == "/openai/deployments/dall-e-2/images/generations"
        assert w.sent == {"prompt": "x"}


async def test_case_244_a_default_has_no_fallback_for_the_body_could_not_name_it() -> None:
    store = MemoryStore([upstream_a("dall-e-2", "other")], fallbacks={"dall-e-2": ["other"]})
    async with world(store=store) as w:
        w.upstream.answer("", error_answer(500, "busy"))
        assert (await w.post("/images/generations", {"prompt": "x"})).status == 500
        assert len(w.upstream.requests) == 1


PROMPTED = {"prompt": {"id": "pmpt_1", "variables": {"city": "Ghent"}}}


async def test_case_244_a_stored_prompt_brings_the_model_where_its_group_is_open() -> None:
    keeper = upstream_b("other")
    async with world(
        upstream_of_all(), keeper, settings=Settings(retries=0, open_groups={"prompts"}, stored_upstream="B")
    ) as w:
        w.upstream.answer("", ANSWER)
        assert (await w.post("/responses", PROMPTED, headers=ORDINARY)).status == 200
        assert (w.upstream.last.host, w.sent) == ("b", PROMPTED)
        assert [record.model for record in w.records] == [None]


@pytest.mark.parametrize("more", [{}, {"model": None}])
async def test_case_244_a_stored_prompt_under_a_closed_group_is_refused(more: dict[str, Any]) -> None:
    async with world(upstream_of_all(), settings=EAGER) as w:
        answer = await w.post("/responses", {**PROMPTED, **more}, headers=ORDINARY)

        assert (answer.status, error_of(answer)["param"]) == (400, "prompt")
        assert w.upstream.requests == []


@pytest.mark.parametrize("prompt", ["pmpt_1", {}, {"id": None}, {"id": ""}, None])
async def test_case_244_what_is_no_stored_prompt_brings_no_model(prompt: Any) -> None:
    nobody = Grants({"m1": Grant(public=True)}, admins=False)
    async with world(upstream_of_all(), settings=OPEN, authorize_model=nobody) as w:
        answer = await w.post("/responses", {"prompt": prompt}, headers=ORDINARY)

        assert (answer.status, error_of(answer)["code"]) == (400, "missing_field")
        assert w.upstream.requests == []


async def test_case_244_other_models_that_the_body_names_are_checked_beside_the_default() -> None:
    grants = Grants({"gpt-5.1": Grant(public=True)}, admins=False)
    async with world(upstream_a("gpt-5.1", "secret"), authorize_model=grants) as w:
        answer = await w.post("/responses", {"input": "x", "models": ["secret"]}, headers=ORDINARY)

        assert (answer.status, error_of(answer)["code"]) == (404, "model_not_found")
        assert w.upstream.requests == []


def test_case_268_the_tool_that_makes_images_has_a_default_in_the_same_table() -> None:
    assert DEFAULT_MODELS[IMAGE_TOOL].model == "gpt-image-1"
