"""Providers and configuration: cases 257 to 262 of the second book."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from openai_gateway_asgi import (
    ConfigError,
    FileStore,
    Gateway,
    GatewayConfig,
    Settings,
    Upstream,
    User,
    VersionConflict,
    config_from_data,
    config_to_data,
    everyone,
    upstreams_from_env,
)
from openai_gateway_asgi.config.live import CHECK_EVERY
from openai_gateway_asgi.testing import FakeUpstream, error_answer
from openai_gateway_asgi.testing.wire import answer
from tests.cases.conftest import MakeWorld
from tests.cases.world import M, refusal
from tests.reliability.gateways import trust
from tests.support.asgi import ask
from tests.support.certificates import server_tls


class DatabaseStore:
    """A host's own store, which keeps text in a table."""

    shared = True

    def __init__(self, config: GatewayConfig) -> None:
        self.row = json.dumps(config_to_data(config))
        self.number = 1

    async def load(self) -> GatewayConfig:
        return config_from_data({**json.loads(self.row), "version": str(self.number)})

    async def version(self) -> str:
        return str(self.number)

    async def save(self, config: GatewayConfig, *, replaces: str | None) -> GatewayConfig:
        if replaces not in (None, str(self.number)):
            raise VersionConflict
        self.row, self.number = json.dumps(config_to_data(config)), self.number + 1
        return await self.load()


# Case 257: what the connections page of Open WebUI 0.12.4 saves for each connection, key by key.
PAGE = {
    "enable": True,
    "tags": [{"name": "team"}],
    "prefix_id": "",
    "model_ids": ["m"],
    "connection_type": "external",
    "auth_type": "bearer",
    "forward_cookies": False,
    "passthrough_params": [],
}
PAGE_OF_AZURE = {**PAGE, "provider": "azure", "azure": True, "api_version": "2025-01-01-preview", "model_ids": ["d"]}
PAGE_OF_RESPONSES = {**PAGE, "api_type": "responses"}


def page(*entries: Any) -> dict[str, Any]:
    """What the page posts. It leaves entries that an older version keyed by URL beside the ones by index."""
    urls = ["http://a/v1", "https://r.openai.azure.com", "http://c/v1"][: len(entries)]
    return {
        "ENABLE_OPENAI_API": True,
        "OPENAI_API_BASE_URLS": urls,
        "OPENAI_API_KEYS": ["ka", "kb", "kc"][: len(entries)],
        "OPENAI_API_CONFIGS": {**{str(index): entry for index, entry in enumerate(entries)}, "http://a/v1": {}},
    }


async def test_case_257_what_open_webui_saves_is_accepted_by_the_admin_routes(make_world: MakeWorld) -> None:
    world = make_world()
    answer = await world.post("/config/update", page(PAGE, PAGE_OF_AZURE, {**PAGE_OF_RESPONSES, "provider": ""}))
    assert answer.status_code == 200, answer.text
    assert answer.json()["OPENAI_API_CONFIGS"] == {
        "0": {"model_ids": ["m"], "tags": [{"name": "team"}]},
        "1": {"model_ids": ["d"], "tags": [{"name": "team"}], "provider": "azure", "api_version": "2025-01-01-preview"},
        "2": {"model_ids": ["m"], "tags": [{"name": "team"}], "api": "responses"},
    }
    assert [(each["code"], each["field"]) for each in answer.json()["warnings"]] == [
        ("no_effect", f"OPENAI_API_CONFIGS.{index}.passthrough_params") for index in range(3)
    ]
    assert (await world.get("/config")).json()["warnings"] == []
    verified = await world.post(
        "/verify", {"url": "http://a/v1", "key": "ka", "config": {**PAGE, "api_version": "", "api_type": ""}}
    )
    assert verified.status_code == 200


async def test_case_257_what_open_webui_saves_is_accepted_from_the_environment(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = page({**PAGE, "passthrough_params": "top_k, min_p", "headers": {"X-User": "{{USER_ID}}"}}, PAGE_OF_AZURE)
    monkeypatch.setenv("OPENAI_API_BASE_URLS", ";".join(saved["OPENAI_API_BASE_URLS"]))
    monkeypatch.setenv("OPENAI_API_KEYS", "ka;kb;kc")
    monkeypatch.setenv("OPENAI_API_CONFIGS", json.dumps({**saved["OPENAI_API_CONFIGS"], "7": {}}))
    world = make_world(None)
    assert [(each.code, each.field) for each in world.gateway.warnings] == [
        ("no_effect", "OPENAI_API_CONFIGS.0.passthrough_params"),
        ("no_effect", "OPENAI_API_CONFIGS.1.passthrough_params"),
        ("surplus_keys", "OPENAI_API_KEYS"),
        ("surplus_entries", "OPENAI_API_CONFIGS"),
    ]
    assert (await world.get("/config")).json()["warnings"][0] == {
        "code": "no_effect",
        "field": "OPENAI_API_CONFIGS.0.passthrough_params",
        "seen": "has no effect: it belongs to a translation from Anthropic's API",
        "instead": "leave it out",
    }
    await world.chat("d")
    assert world.up.last.path == "/openai/deployments/d/chat/completions"


@pytest.mark.parametrize(
    ("entry", "field", "hint"),
    [
        ({"forward_cookies": True}, "forward_cookies", 'the list of the cookies that may cross, such as ["theme"]'),
        ({"forward_cookies": "theme"}, "forward_cookies", "expected `array`"),
        ({"api_type": "messages"}, "api_type", "must be chat, responses or empty"),
        ({"api_type": "responses", "api": "both"}, "api_type", "contradicts api"),
        ({"api": "messages"}, "api", "must be one of auto, chat, responses, both"),
        ({"api": {"gpt-*": "all"}}, "api.gpt-*", "must be one of auto, chat, responses, both"),
        ({"api": {}}, "api", "must name a model"),
        ({"azure": True, "provider": "litellm"}, "azure", "contradicts provider"),
    ],
)
async def test_case_257_what_cannot_be_meant_is_refused_with_a_hint(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any], field: str, hint: str
) -> None:
    where = f"OPENAI_API_CONFIGS.0.{field}"
    world = make_world()
    answer = await world.post("/config/update", page({**PAGE, **entry}))
    assert answer.status_code == 400
    assert refusal(answer)["param"] == where
    assert hint in refusal(answer)["message"]
    monkeypatch.setenv("OPENAI_API_CONFIGS", json.dumps({"0": {**PAGE, **entry}}))
    with pytest.raises(ConfigError, match=re.escape(where)):
        make_world(None)


# Case 259, while running. Its table is in tests/config/test_rules.py.

KEEPER: dict[str, Any] = {"0": {"name": "keeper"}}


@pytest.mark.parametrize(
    ("changes", "param", "hint"),
    [
        ({"OPENAI_API_BASE_URLS": ["http://a/v1/chat/completions", "http://b/v1"], "OPENAI_API_KEYS": []}, "OPENAI_API_BASE_URLS.0", "http://a/v1"),
        ({"OPENAI_API_BASE_URLS": ["http://a/v1", "https://api.openai.com"], "OPENAI_API_KEYS": []}, "OPENAI_API_BASE_URLS.1", "/v1"),
        ({"OPENAI_API_KEYS": ["Bearer sk-secret", ""]}, "OPENAI_API_KEYS.0", "write the key alone"),
        ({"OPENAI_API_CONFIGS": {**KEEPER, "1": {"provider": "azure"}}}, "OPENAI_API_CONFIGS.1.model_ids", "deployments"),
        ({"OPENAI_API_CONFIGS": {**KEEPER, "1": {"auth_type": "system_oauth"}}}, "OPENAI_API_CONFIGS.1.auth_type", "oauth_token"),
        ({"OPENAI_API_CONFIGS": {**KEEPER, "1": {"forward_cookies": ["session"]}}}, "OPENAI_API_CONFIGS.1.forward_cookies", "session"),
        ({"OPENAI_API_CONFIGS": {"0": {"name": "other"}}}, "settings.stored_upstream", "'keeper'"),
    ],
)  # fmt: skip
async def test_case_259_an_update_passes_the_same_rules_or_is_refused_whole(
    make_world: MakeWorld, changes: dict[str, Any], param: str, hint: str
) -> None:
    upstreams = [Upstream("http://a/v1", api_key="ka", name="keeper"), Upstream("http://b/v1", api_key="kb")]
    world = make_world(upstreams, settings=Settings(stored_upstream="keeper"))
    before = (await world.get("/config")).json()
    answer = await world.update(**changes)
    assert answer.status_code == 400
    assert (refusal(answer)["param"], refusal(answer)["code"]) == (param, "invalid_config")
    assert hint in refusal(answer)["message"]
    assert "secret" not in answer.text
    assert (await world.get("/config")).json() == before


async def test_case_259_an_update_s_warnings_come_back_and_stay_to_be_read(make_world: MakeWorld) -> None:
    world = make_world()
    assert world.gateway.warnings == ()
    answer = await world.update(OPENAI_API_CONFIGS={"1": {"enable": False}, "0": {"enable": False}})
    [warning] = answer.json()["warnings"]
    assert (warning["code"], warning["field"]) == ("no_enabled_upstream", "OPENAI_API_BASE_URLS")
    assert (await world.get("/config")).json()["warnings"] == [warning]
    assert [each.code for each in world.gateway.warnings] == ["no_enabled_upstream"]
    assert (await world.update(OPENAI_API_CONFIGS={})).json()["warnings"] == []
    assert world.gateway.warnings == ()


async def test_case_259_an_upstream_that_is_tried_out_passes_the_rules_about_reaching_it(make_world: MakeWorld) -> None:
    world = make_world()
    for body, param in (
        ({"url": "http://a/v1/chat/completions", "key": ""}, "url"),
        ({"url": "http://a/v1", "key": "Bearer secret"}, "key"),
        ({"url": "http://a/v1", "key": "", "config": {"auth_type": "system_oauth"}}, "config.auth_type"),
    ):
        answer = await world.post("/verify", body)
        assert answer.status_code == 400
        assert refusal(answer)["param"] == param
        assert "secret" not in answer.text
    assert world.up.requests == []


async def test_case_259_what_a_store_has_passes_the_rules_or_the_last_good_one_stays(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    store = DatabaseStore(GatewayConfig(True, [Upstream("http://a/v1", api_key="ka", model_ids=["m"])]))
    world = make_world(store)
    assert (await world.chat("m")).status_code == 200
    faulty = GatewayConfig(True, [Upstream("http://a/v1", api_key="Bearer ka", model_ids=["m"])])
    await store.save(faulty, replaces=None)
    await asyncio.sleep(CHECK_EVERY * 1.5)
    assert (await world.chat("m")).status_code == 200
    assert world.up.last.header("authorization") == "Bearer ka"
    assert "OPENAI_API_KEYS.0: begins with 'Bearer'" in caplog.text
    assert "fault" in (await world.get("/config")).json()
    with pytest.raises(ConfigError, match="OPENAI_API_KEYS"):
        await world.gateway.check()


async def test_case_259_a_role_that_is_unknown_earns_one_warning(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture
) -> None:
    roles = iter(["admin", "user", "Admin", "Admin", "x\ny", *map(str, range(100))])
    world = make_world(resolve_user=lambda request: User("u", role=next(roles)))
    for _ in range(50):
        await world.get("/models")
    told = [warning for warning in world.gateway.warnings if warning.code == "unknown_role"]
    assert [warning.seen.split(",")[0] for warning in told[:2]] == ["is 'Admin'", r"is 'x\\ny'"]
    assert len(told) == 16
    assert caplog.text.count("'Admin'") == 1
    assert 'write "admin" for administrators' in caplog.text


async def test_case_258_v1_of_azure_gets_the_api_version_it_is_configured_with(make_world: MakeWorld) -> None:
    address = "https://r.openai.azure.com/openai/v1"
    world = make_world([Upstream(address, api_key="k", provider="azure", api_version="preview", model_ids=["m"])])
    await world.chat("m")
    assert (world.up.last.path, world.up.last.query) == ("/openai/v1/chat/completions", b"api-version=preview")
    await world.post("/chat/completions?x=1&api-version=2024-10-21", {"model": "m", "messages": M})
    assert world.up.last.query == b"x=1&api-version=preview"


async def test_case_258_the_clients_own_api_version_crosses_to_v1(make_world: MakeWorld) -> None:
    world = make_world(
        [Upstream("https://r.openai.azure.com/openai/v1", api_key="k", provider="azure", model_ids=["m"])]
    )
    await world.post("/chat/completions?api-version=preview", {"model": "m", "messages": M})
    assert world.up.last.query == b"api-version=preview"
    # What Azure's SDK adds for the classic API, v1 answers with an error.
    await world.post("/chat/completions?api-version=2024-10-21", {"model": "m", "messages": M})
    assert world.up.last.query == b""


@pytest.mark.parametrize(
    "upstream",
    [
        Upstream("http://a/v1", query={"api-version": "1", "key": "q-secret"}),
        Upstream("http://a/v1?api-version=1&key=q-secret"),
        Upstream("http://a/v1?api-version=1", query={"key": "q-secret"}),
    ],
)
async def test_case_260_a_fixed_query_goes_with_every_request(make_world: MakeWorld, upstream: Upstream) -> None:
    world = make_world([upstream], settings=Settings(open_groups={"files"}))
    ours = b"api-version=1&key=q-secret"
    assert await world.ids() == ["gpt-small", "gpt-large"]
    assert (world.up.last.path, world.up.last.query) == ("/v1/models", ours)
    await world.chat("gpt-small")
    assert (world.up.last.path, world.up.last.query) == ("/v1/chat/completions", ours)
    await world.get("/files?limit=2&key=mine", "u1")
    assert (world.up.last.path, world.up.last.query) == ("/v1/files", b"limit=2&" + ours)
    await world.post("/verify", {"url": "http://a/v1?api-version=1", "key": "", "config": {"query": {"key": "x"}}})
    assert (world.up.last.path, world.up.last.query) == ("/v1/models", b"api-version=1&key=x")
    assert "q-secret" not in (await world.get("/config")).text
    assert (await world.update()).status_code == 200
    await world.chat("gpt-small")
    assert world.up.last.query == ours


def tls_gateway(upstream: FakeUpstream, own: bool | str | None, for_all: bool | str) -> Gateway:
    return Gateway(
        [Upstream(f"{upstream.url}/v1", model_ids=["m"], verify_tls=own)],
        resolve_user=lambda request: User("u"),
        authorize_model=everyone,
        settings=Settings(verify_tls=for_all, retries=0),
    )


@pytest.mark.parametrize(
    ("own", "for_all", "status"),
    [
        (None, True, 502),
        (False, True, 200),
        (trust(), True, 200),
        (True, False, 502),
        (None, False, 200),
    ],
)
async def test_case_260_an_upstream_has_its_own_trust(own: bool | str | None, for_all: bool | str, status: int) -> None:
    async with FakeUpstream(wire=[answer(200, body=b"{}")], tls=server_tls()) as upstream:
        gateway = tls_gateway(upstream, own, for_all)
        answered = await ask(gateway, "POST", "/chat/completions", json={"model": "m", "messages": M})
        assert answered.status == status
        await gateway.aclose()


async def test_case_262_a_file_store_has_fallbacks_from_the_start(make_world: MakeWorld, tmp_path: Path) -> None:
    upstreams = [Upstream("http://a/v1", model_ids=["m"]), Upstream("http://b/v1", model_ids=["n"])]
    store = FileStore(tmp_path / "gateway.json", upstreams, fallbacks={"m": ["n"]})
    world = make_world(store, settings=Settings(retries=0))
    world.up.host("a").answer("/chat/completions", error_answer(500))
    answer = await world.chat("m")
    assert answer.status_code == 200
    assert world.up.last.host == "b"
    assert (await world.get("/config")).json()["MODEL_FALLBACKS"] == {"m": ["n"]}


async def test_case_262_a_host_keeps_the_configuration_in_its_database(make_world: MakeWorld) -> None:
    upstreams = upstreams_from_env({"OPENAI_API_BASE_URLS": "http://a/v1", "OPENAI_API_KEYS": "ka"})
    store = DatabaseStore(GatewayConfig(True, upstreams))
    world = make_world(store)
    saved = await world.update(OPENAI_API_CONFIGS={"0": {"prefix_id": "p", "headers": {"X-A": "secret-value"}}})
    assert saved.status_code == 200
    assert json.loads(store.row)["OPENAI_API_KEYS"] == ["ka"]
    assert json.loads(store.row)["OPENAI_API_CONFIGS"] == {"0": {"prefix_id": "p", "headers": {"X-A": "secret-value"}}}
    await world.models()
    assert world.up.last.header("authorization") == "Bearer ka"
    assert world.up.last.header("x-a") == "secret-value"
