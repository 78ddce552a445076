"""Providers and configuration: cases 257 to 262 of the second book."""

from __future__ import annotations

import json
from pathlib import Path

from openai_gateway_asgi import (
    FileStore,
    GatewayConfig,
    Settings,
    Upstream,
    VersionConflict,
    config_from_data,
    config_to_data,
    upstreams_from_env,
)
from tests.cases.conftest import MakeWorld
from tests.support.recorder import error_answer


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
