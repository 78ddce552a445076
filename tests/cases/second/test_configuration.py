"""Providers and configuration: cases 257 to 262 of the second book."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openai_gateway_asgi import (
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
from tests.cases.conftest import MakeWorld
from tests.cases.world import M
from tests.reliability.gateways import trust
from tests.support.asgi import ask
from tests.support.recorder import error_answer
from tests.support.scripted import ScriptedUpstream, answer


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


def tls_gateway(upstream: ScriptedUpstream, own: bool | str | None, for_all: bool | str) -> Gateway:
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
    async with ScriptedUpstream(answer(200, body=b"{}"), tls=True) as upstream:
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
