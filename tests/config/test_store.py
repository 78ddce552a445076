from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from openai_gateway_asgi.config import ConfigStore, FileStore, GatewayConfig, MemoryStore, Upstream, VersionConflict
from openai_gateway_asgi.errors import ConfigError

A = Upstream("http://a.example/v1", api_key="ka", headers={"X-A": "1"})
B = Upstream("http://b.example/v1", api_key="kb", proxy="http://u:p@proxy.example:1")

MakeStore = Callable[..., ConfigStore]


def memory_store(_path: Path, **arguments: Any) -> ConfigStore:
    return MemoryStore([A], **arguments)


def file_store(path: Path, **arguments: Any) -> ConfigStore:
    return FileStore(path / "config.json", [A], **arguments)


@pytest.fixture(params=[memory_store, file_store])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    return lambda **arguments: request.param(tmp_path, **arguments)


async def test_a_store_begins_with_what_it_was_given(make: MakeStore) -> None:
    store = make()
    config = await store.load()
    assert config.upstreams == (A,)
    assert config.enabled
    assert config.version
    assert await store.version() == config.version
    assert isinstance(store, ConfigStore)


async def test_a_store_may_begin_switched_off(make: MakeStore) -> None:
    assert not (await make(enabled=False).load()).enabled


async def test_what_was_saved_is_loaded(make: MakeStore) -> None:
    store = make()
    first = await store.load()
    saved = await store.save(GatewayConfig(False, [B, A], {"m": ["n"]}), replaces=first.version)
    assert saved.version not in ("", first.version)
    assert await store.load() == saved
    assert await store.version() == saved.version
    assert (saved.enabled, saved.upstreams, saved.fallbacks) == (False, (B, A), {"m": ("n",)})


async def test_saving_over_somebody_elses_save_changes_nothing(make: MakeStore) -> None:
    store = make()
    first = await store.load()
    saved = await store.save(GatewayConfig(upstreams=[B]), replaces=first.version)
    with pytest.raises(VersionConflict):
        await store.save(GatewayConfig(), replaces=first.version)
    with pytest.raises(VersionConflict):
        await store.save(GatewayConfig(), replaces="")
    assert await store.load() == saved


async def test_saving_without_a_version_replaces_whatever_there_is(make: MakeStore) -> None:
    store = make()
    await store.save(GatewayConfig(upstreams=[B]), replaces=None)
    await store.save(GatewayConfig(), replaces=None)
    assert (await store.load()).upstreams == ()


async def test_a_version_does_not_return_with_its_content(make: MakeStore) -> None:
    store = make()
    one = await store.save(GatewayConfig(), replaces=None)
    two = await store.save(GatewayConfig(), replaces=None)
    assert one.version != two.version


async def test_of_concurrent_saves_over_one_version_one_wins(make: MakeStore) -> None:
    store = make()
    version = await store.version()
    saves = [store.save(GatewayConfig(upstreams=[replace(A, weight=n)]), replaces=version) for n in range(1, 9)]
    results = await asyncio.gather(*saves, return_exceptions=True)
    (winner,) = [result for result in results if not isinstance(result, BaseException)]
    assert [type(result) for result in results].count(VersionConflict) == 7
    assert await store.load() == winner


def test_only_the_file_is_shared_between_processes(tmp_path: Path) -> None:
    assert not memory_store(tmp_path).shared
    assert file_store(tmp_path).shared


def test_a_configuration_is_frozen_and_cut_off_from_what_it_was_made_of() -> None:
    upstreams, fallbacks = [A], {"m": ["n"]}
    config = GatewayConfig(True, upstreams, fallbacks)
    upstreams.append(B)
    fallbacks["m"].append("x")
    fallbacks["o"] = []
    assert config.upstreams == (A,)
    assert config.fallbacks == {"m": ("n",)}
    with pytest.raises(FrozenInstanceError):
        config.enabled = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.fallbacks["x"] = ()  # type: ignore[index]
    assert hash(config) == hash(GatewayConfig(True, [A], {"m": ["n"]}))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"enabled": None}, "enabled"),
        ({"upstreams": A}, "upstreams"),
        ({"upstreams": [A, "http://b.example"]}, "upstreams.1"),
        ({"fallbacks": ["m"]}, "fallbacks"),
        ({"fallbacks": {"": ["m"]}}, "fallbacks"),
        ({"fallbacks": {5: ["m"]}}, "fallbacks"),
        ({"fallbacks": {"m": "n"}}, "fallbacks.m"),
        ({"fallbacks": {"m": ["n", "m"]}}, "fallbacks.m"),
        ({"fallbacks": {"m": [None]}}, "fallbacks.m.0"),
    ],
)
def test_a_faulty_configuration_is_refused_by_the_name_of_its_field(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        GatewayConfig(**arguments)
    assert raised.value.field == field
