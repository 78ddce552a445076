from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from openai_gateway_asgi import (
    ConfigError,
    GatewayConfig,
    Preset,
    Timeouts,
    Upstream,
    config_from_data,
    config_to_data,
    upstreams_from_env,
)
from openai_gateway_asgi.config.entries import KEYS, read_entry, write_entry
from tests.config.test_wire import FULL

A, KEY = "http://a.example/v1", "sk-aaaaaaaaaaaa1111"


@pytest.mark.parametrize(
    "config",
    [
        GatewayConfig(),
        GatewayConfig(False, [Upstream(A, api_key=KEY)], {"a": ["b", "c"]}, version="v7"),
        GatewayConfig(True, [FULL]),
        GatewayConfig(True, [Upstream(A, api_key="a"), Upstream(A, api_key="b"), FULL]),
    ],
)
def test_a_configuration_is_the_same_after_a_way_through_json(config: GatewayConfig) -> None:
    assert config_from_data(json.loads(json.dumps(config_to_data(config)))) == config


def test_the_secrets_are_in_clear() -> None:
    text = json.dumps(config_to_data(GatewayConfig(True, [FULL])))
    for secret in (FULL.api_key.reveal(), FULL.headers["X-Key"], "user:proxy-password"):
        assert secret in text


def test_what_the_environment_says_can_be_kept() -> None:
    upstreams = upstreams_from_env({"OPENAI_API_BASE_URLS": A, "OPENAI_API_KEYS": KEY})
    data = config_to_data(GatewayConfig(True, upstreams))
    assert (data["OPENAI_API_BASE_URLS"], data["OPENAI_API_KEYS"]) == ([A], [KEY])


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (None, "data"),
        ([], "data"),
        ({}, "OPENAI_API_BASE_URLS"),
        ({"version": 1}, "version"),
        ({"prefix": "p"}, "prefix"),
        ({"OPENAI_API_CONFIGS": {"0": {"prefix": "p"}}}, "OPENAI_API_CONFIGS.0.prefix"),
        ({"OPENAI_API_BASE_URLS": ["a.example"]}, "OPENAI_API_BASE_URLS.0"),
        ({"MODEL_FALLBACKS": {"a": ["a"]}}, "MODEL_FALLBACKS.a"),
    ],
)
def test_faulty_data_is_refused_by_the_name_of_the_field(data: Any, field: str) -> None:
    if isinstance(data, dict) and data.keys() - {"version", "prefix"}:
        data = {**config_to_data(GatewayConfig(True, [Upstream(A)])), **data}
    with pytest.raises(ConfigError) as raised:
        config_from_data(data)
    assert raised.value.field == field


# Every field can be written down

ELSEWHERE = {"base_url", "api_key"}
"""What the two other parallel lists hold."""
FROM_ELSEWHERE = {"enable": "enabled", "azure": "provider"}
"""Keys that existing configurations spell otherwise."""


def test_every_field_of_an_upstream_has_a_key_of_its_name() -> None:
    fields = {field.name for field in dataclasses.fields(Upstream)} - ELSEWHERE
    assert {FROM_ELSEWHERE.get(key, key) for key in KEYS} == fields
    assert [key for key, spec in KEYS.items() if spec.field != key] == ["enable"]


def test_every_field_of_an_upstream_is_written_and_read() -> None:
    """``FULL`` has no field at its default, so nothing can be lost unseen."""
    for field in dataclasses.fields(Upstream):
        assert getattr(FULL, field.name) != getattr(Upstream("http://localhost"), field.name), field.name
    entry = write_entry(FULL)
    assert set(entry) | {"name", "azure"} == set(KEYS)
    assert Upstream(FULL.base_url, api_key=FULL.api_key, **{**read_entry("0", entry)[0], "name": FULL.name}) == FULL


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Timeouts)])
def test_every_timeout_has_a_key_of_its_name(name: str) -> None:
    limits = Timeouts(**{name: 7.5})
    assert write_entry(Upstream(A, timeouts=limits))["timeouts"][name] == 7.5
    assert read_entry("0", {"timeouts": {name: 7.5}})[0]["timeouts"] == limits


def test_every_field_of_a_configuration_is_in_its_data() -> None:
    keys = {
        "enabled": {"ENABLE_OPENAI_API"},
        "upstreams": {"OPENAI_API_BASE_URLS", "OPENAI_API_KEYS", "OPENAI_API_CONFIGS"},
        "fallbacks": {"MODEL_FALLBACKS"},
        "presets": {"MODEL_PRESETS"},
        "version": {"version"},
    }
    assert set(keys) == {field.name for field in dataclasses.fields(GatewayConfig) if field.compare}
    assert set().union(*keys.values()) == set(
        config_to_data(GatewayConfig(True, [Upstream(A)], {"a": ["b"]}, presets=[Preset("c", base="a")]))
    )
