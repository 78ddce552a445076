"""Cases 98 to 107: Azure OpenAI, classic and v1. The default api-version is 2024-10-21."""

from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi import Upstream
from tests.support.token_endpoint import TOKEN_STEM, token_endpoint

from .gateways import MESSAGES, World, chat, error_of, world


def azure(*models: str, base_url: str = "https://r.test", **options: Any) -> Upstream:
    own = {"name": "A", "api_key": "k", "model_ids": models or ["dep1"], "provider": "azure", **options}
    return Upstream(base_url, **own)


def target(w: World) -> str:
    request = w.upstream.last
    return f"{request.method} {request.path}?{request.query.decode()}"


async def test_case_098_a_classic_deployment_stands_in_the_path() -> None:
    async with world(azure()) as w:
        assert (await w.chat("dep1")).status == 200
        assert target(w) == "POST /openai/deployments/dep1/chat/completions?api-version=2024-10-21"
        assert w.upstream.last.header("api-key") == "k"
        assert w.upstream.last.header("api-version") == "2024-10-21"
        assert w.upstream.last.header("authorization") is None
        assert w.sent == {"messages": MESSAGES}


async def test_case_098_a_base_url_may_end_in_openai_already() -> None:
    async with world(azure(base_url="https://r.test/openai")) as w:
        await w.chat("dep1")
        assert w.upstream.last.path == "/openai/deployments/dep1/chat/completions"


@pytest.mark.parametrize(("version", "kept"), [("2024-10-21", True), ("2024-02-01", False)])
async def test_case_099_stream_options_are_kept_from_versions_before_them(version: str, kept: bool) -> None:
    async with world(azure(api_version=version)) as w:
        await w.chat("dep1", stream=True, stream_options={"include_usage": True})
        assert ("stream_options" in w.sent) is kept


async def test_case_100_entra_and_the_key_never_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    with token_endpoint(monkeypatch):
        async with world(azure(auth_type="azure_ad")) as w:
            await w.chat("dep1")
            assert w.upstream.last.header("api-key") is None
            assert w.upstream.last.header("authorization") == f"Bearer {TOKEN_STEM}1"


@pytest.mark.parametrize(("auth_type", "key"), [("none", None), ("bearer", "k")])
async def test_case_101_of_the_two_key_headers_azure_gets_its_own_or_none(auth_type: str, key: str | None) -> None:
    async with world(azure(auth_type=auth_type)) as w:
        await w.chat("dep1")
        assert w.upstream.last.header("api-key") == key
        assert w.upstream.last.header("authorization") is None


@pytest.mark.parametrize(("temperature", "kept"), [(0.2, False), (1, True)])
async def test_case_102_reasoning_deployments_take_one_temperature(temperature: float, kept: bool) -> None:
    async with world(azure("o3")) as w:
        await w.chat("o3", temperature=temperature, max_tokens=5)
        assert ("temperature" in w.sent) is kept
        assert w.sent["max_completion_tokens"] == 5
        assert "max_tokens" not in w.sent


async def test_case_103_v1_is_called_as_openai_is() -> None:
    async with world(azure(base_url="https://r.test/openai/v1")) as w:
        await w.chat("dep1", stream=True, stream_options={"include_usage": True}, temperature=0.2)
        assert target(w) == "POST /openai/v1/chat/completions?"
        assert w.upstream.last.header("api-version") is None
        assert w.sent == chat("dep1", stream=True, stream_options={"include_usage": True}, temperature=0.2)


@pytest.mark.parametrize("model", ["../../x", "a/b", "a\\b", "..", "a..b"])
async def test_case_104_a_model_that_is_no_path_segment_is_refused(model: str) -> None:
    async with world(azure("*")) as w:
        response = await w.chat(model)
        assert response.status == 400
        assert error_of(response)["param"] == "model"
        assert w.upstream.calls("/chat/completions") == []


@pytest.mark.parametrize(("model", "segment"), [("a b", "a%20b"), ("a?b#c", "a%3Fb%23c"), ("ü%2f", "%C3%BC%252f")])
async def test_case_104_all_else_is_quoted_once(model: str, segment: str) -> None:
    async with world(azure(model)) as w:
        assert (await w.chat(model)).status == 200
        assert w.upstream.last.path == f"/openai/deployments/{segment}/chat/completions"


async def test_case_105_the_provider_is_what_makes_it_azure() -> None:
    async with world(azure(provider="Azure")) as w:
        await w.chat("dep1")
        assert w.upstream.last.path == "/openai/deployments/dep1/chat/completions"


async def test_case_106_an_empty_version_is_the_default() -> None:
    async with world(azure(api_version="")) as w:
        await w.chat("dep1")
        assert w.upstream.last.query == b"api-version=2024-10-21"


async def test_case_107_newer_fields_reach_azure() -> None:
    fields: dict[str, Any] = {
        "parallel_tool_calls": False,
        "logprobs": True,
        "reasoning_effort": "low",
        "unheard_of": [1],
    }
    async with world(azure()) as w:
        await w.chat("dep1", **fields)
        assert w.sent == {"messages": MESSAGES, **fields}


async def test_an_azure_client_names_its_model_in_the_path() -> None:
    async with world(azure("dep1", prefix_id="p")) as w:
        response = await w.post(
            "/deployments/p.dep1/chat/completions?api-version=2023-05-15&x=1", {"messages": MESSAGES}
        )
        assert response.status == 200
        assert target(w) == "POST /openai/deployments/dep1/chat/completions?x=1&api-version=2024-10-21"


async def test_path_and_body_cannot_name_two_models() -> None:
    async with world(azure("dep1", "dep2")) as w:
        response = await w.post("/deployments/dep1/chat/completions", chat("dep2"))
        assert response.status == 400
        assert error_of(response)["param"] == "model"
        assert w.upstream.requests == []
