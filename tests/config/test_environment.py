from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from openai_gateway_asgi.config import Secret, Timeouts, Upstream, upstreams_from_env
from openai_gateway_asgi.errors import ConfigError

A, B = "http://a.example/v1", "http://b.example/v1"


def pairs(environ: dict[str, str]) -> list[tuple[str, str]]:
    return [(upstream.base_url, upstream.api_key.reveal()) for upstream in upstreams_from_env(environ)]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, [("https://api.openai.com/v1", "")]),
        ({"OPENAI_API_BASE_URL": "", "OPENAI_API_KEY": ""}, [("https://api.openai.com/v1", "")]),
        ({"OPENAI_API_KEY": "k"}, [("https://api.openai.com/v1", "k")]),
        ({"OPENAI_API_BASE_URL": f"{A}/", "OPENAI_API_KEY": "k"}, [(A, "k")]),
        ({"OPENAI_API_BASE_URLS": f"{A}; {B}", "OPENAI_API_KEYS": "ka;kb"}, [(A, "ka"), (B, "kb")]),
        ({"OPENAI_API_BASE_URLS": f" {A}// ;{B}/ ", "OPENAI_API_KEYS": " ka ; kb "}, [(A, "ka"), (B, "kb")]),
        ({"OPENAI_API_BASE_URL": f"{A};{B}", "OPENAI_API_KEY": "ka;kb"}, [(A, "ka"), (B, "kb")]),
        ({"OPENAI_API_BASE_URLS": A, "OPENAI_API_BASE_URL": B}, [(A, "")]),
        ({"OPENAI_API_BASE_URLS": "", "OPENAI_API_BASE_URL": B}, [(B, "")]),
        ({"OPENAI_API_BASE_URLS": A, "OPENAI_API_KEY": "k"}, [(A, "k")]),
        ({"OPENAI_API_BASE_URLS": A, "OPENAI_API_KEYS": "k", "OPENAI_API_KEY": "other"}, [(A, "k")]),
        ({"OPENAI_API_BASE_URLS": f"{A};{B}", "OPENAI_API_KEYS": ";kb"}, [(A, ""), (B, "kb")]),
        ({"OPENAI_API_BASE_URLS": f"{A};{B}", "OPENAI_API_KEYS": "ka"}, [(A, "ka"), (B, "")]),
        ({"OPENAI_API_BASE_URLS": f"{A};{B}", "OPENAI_API_KEYS": "ka;kb;kc"}, [(A, "ka"), (B, "kb")]),
    ],
)
def test_urls_and_keys(environ: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert pairs(environ) == expected


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URLS", A)
    monkeypatch.setenv("OPENAI_API_KEYS", "k")
    assert upstreams_from_env() == (Upstream(A, api_key="k"),)


def with_configs(configs: Any) -> dict[str, str]:
    text = configs if isinstance(configs, str) else json.dumps(configs)
    return {"OPENAI_API_BASE_URLS": f"{A};{B}", "OPENAI_API_CONFIGS": text}


@pytest.mark.parametrize(
    ("configs", "prefixes"),
    [
        ("", ["", ""]),
        ({}, ["", ""]),
        ({"0": {"prefix_id": "p"}}, ["p", ""]),
        ({"1": {"prefix_id": "p"}}, ["", "p"]),
        ({A: {"prefix_id": "leg"}}, ["leg", ""]),
        ({f"{B}/": {"prefix_id": "leg"}}, ["", "leg"]),
        ({"0": {"prefix_id": "p"}, A: {"prefix_id": "leg"}}, ["p", ""]),
        ({"0": {"prefix_id": "p"}, B: {"prefix_id": "leg"}}, ["p", "leg"]),
        ({"0": {"prefix_id": None}}, ["", ""]),
    ],
)
def test_entries_belong_to_an_index_or_a_url(configs: Any, prefixes: list[str]) -> None:
    assert [upstream.prefix_id for upstream in upstreams_from_env(with_configs(configs))] == prefixes


def test_a_whole_entry() -> None:
    entry = {
        "enable": False,
        "name": "main",
        "model_ids": ["a", "b"],
        "prefix_id": "p",
        "tags": [{"name": "x"}],
        "connection_type": "local",
        "auth_type": "none",
        "headers": {"X-A": "1", "X-Number": 5},
        "azure": True,
        "api_version": "2025-01-01",
        "timeouts": {"connect": 1, "idle": 2.5, "total": None},
        "weight": 3,
        "priority": 1,
        "proxy": "http://u:p@proxy.example:3128",
        "keepalive": 9,
        "rewrites": "off",
        "max_concurrency": 4,
        "stream_usage": "always",
        "reports_cost": True,
        "on_leave": "finish",
        "reasoning_models": ["x*"],
        "route_fields": ["-azure"],
        "drop_fields": ["store"],
        "drop_nulls": True,
        "flatten_tool_content": True,
        "forward_cookies": ["sid"],
        "token_scope": "https://scope.example/.default",
    }
    first, _ = upstreams_from_env(with_configs({"0": entry}))
    assert first == Upstream(
        A,
        enabled=False,
        name="main",
        model_ids=("a", "b"),
        prefix_id="p",
        tags=({"name": "x"},),
        connection_type="local",
        auth_type="none",
        headers={"X-A": "1", "X-Number": "5"},
        provider="azure",
        api_version="2025-01-01",
        timeouts=Timeouts(connect=1, idle=2.5),
        weight=3,
        priority=1,
        proxy="http://u:p@proxy.example:3128",
        keepalive=9,
        rewrites="off",
        max_concurrency=4,
        stream_usage="always",
        reports_cost=True,
        on_leave="finish",
        reasoning_models=("x*",),
        route_fields=("-azure",),
        drop_fields=("store",),
        drop_nulls=True,
        flatten_tool_content=True,
        forward_cookies=("sid",),
        token_scope="https://scope.example/.default",
    )
    assert first.api_key == Secret()


@pytest.mark.parametrize("entry", [{"azure": True}, {"provider": "azure"}, {"azure": True, "provider": "azure"}])
def test_azure_has_two_spellings(entry: dict[str, Any]) -> None:
    assert upstreams_from_env(with_configs({"0": entry}))[0].is_azure


def test_entries_of_no_upstream_are_dropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    configs = {"0": {}, "2": {"foo": 1}, "http://u:password@c.example": {}, "nonsense": []}
    with caplog.at_level(logging.WARNING):
        assert len(upstreams_from_env(with_configs(configs))) == 2
    (record,) = caplog.records
    assert record.name.startswith("openai_gateway_asgi")
    assert "OPENAI_API_CONFIGS" in record.getMessage()
    assert ": 2, " in record.getMessage()
    assert "password" not in record.getMessage()


def test_nothing_is_logged_when_nothing_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    upstreams_from_env(with_configs({"0": {}, A: {}, B: {}}))
    assert not caplog.records


@pytest.mark.parametrize(
    ("environ", "field"),
    [
        ({"OPENAI_API_BASE_URLS": f";{B}"}, "OPENAI_API_BASE_URLS.0"),
        ({"OPENAI_API_BASE_URLS": f"{A};"}, "OPENAI_API_BASE_URLS.1"),
        ({"OPENAI_API_BASE_URLS": f"{A}; ;{B}"}, "OPENAI_API_BASE_URLS.1"),
        ({"OPENAI_API_BASE_URLS": f"{A};a.example"}, "OPENAI_API_BASE_URLS.1"),
        ({"OPENAI_API_BASE_URL": "a.example"}, "OPENAI_API_BASE_URL.0"),
        ({"OPENAI_API_KEYS": "a\nb"}, "OPENAI_API_KEYS.0"),
        ({"OPENAI_API_KEY": "ü"}, "OPENAI_API_KEY.0"),
        (with_configs("[1]"), "OPENAI_API_CONFIGS"),
        (with_configs("{broken"), "OPENAI_API_CONFIGS"),
        (with_configs('"x"'), "OPENAI_API_CONFIGS"),
        (with_configs("[" * 5000), "OPENAI_API_CONFIGS"),
        (with_configs({"0": []}), "OPENAI_API_CONFIGS.0"),
        (with_configs({"0": {"foo": 1}}), "OPENAI_API_CONFIGS.0.foo"),
        (with_configs({A: {"foo": 1}}), "OPENAI_API_CONFIGS.0.foo"),
        (with_configs({"1": {"enable": "true"}}), "OPENAI_API_CONFIGS.1.enable"),
        (with_configs({"1": {"model_ids": ["a", 5]}}), "OPENAI_API_CONFIGS.1.model_ids.1"),
        (with_configs({"1": {"model_ids": ["a", ""]}}), "OPENAI_API_CONFIGS.1.model_ids.1"),
        (with_configs({"1": {"model_ids": "a"}}), "OPENAI_API_CONFIGS.1.model_ids"),
        (with_configs({"0": {"auth_type": "basic"}}), "OPENAI_API_CONFIGS.0.auth_type"),
        (with_configs({"0": {"auth_type": "azure_ad"}}), "OPENAI_API_CONFIGS.0.auth_type"),
        (with_configs({"0": {"headers": {"Host": "x"}}}), "OPENAI_API_CONFIGS.0.headers.Host"),
        (with_configs({"0": {"headers": {"X-A": "a\r\nb"}}}), "OPENAI_API_CONFIGS.0.headers.X-A"),
        (with_configs({"0": {"headers": {"X-A": [1]}}}), "OPENAI_API_CONFIGS.0.headers"),
        (with_configs({"0": {"headers": {"X-A": True}}}), "OPENAI_API_CONFIGS.0.headers"),
        (with_configs({"0": {"weight": 0}}), "OPENAI_API_CONFIGS.0.weight"),
        (with_configs({"0": {"weight": True}}), "OPENAI_API_CONFIGS.0.weight"),
        (with_configs({"0": {"timeouts": {"idle": 0}}}), "OPENAI_API_CONFIGS.0.timeouts.idle"),
        (with_configs({"0": {"timeouts": {"idle": None, "read": 1}}}), "OPENAI_API_CONFIGS.0.timeouts.read"),
        (with_configs({"0": {"azure": True, "provider": "litellm"}}), "OPENAI_API_CONFIGS.0.azure"),
        (with_configs({"0": {"name": "x"}, "1": {"name": "x"}}), "OPENAI_API_CONFIGS.1.name"),
    ],
)
def test_a_fault_stops_the_start_and_names_the_variable(environ: dict[str, str], field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        upstreams_from_env(environ)
    assert raised.value.field == field


def test_errors_hold_no_secret() -> None:
    for environ in (
        {"OPENAI_API_BASE_URLS": "http://user:canary@a.example"},
        {"OPENAI_API_KEYS": "canary\x01"},
        with_configs('{"0": {"headers": {"X-A": "canary\\n"}}}'),
        with_configs('{"0": {"headers": {"X-A": "canary"}'),
        {
            "OPENAI_API_BASE_URLS": "http://u:canary@a.example",
            "OPENAI_API_CONFIGS": '{"http://u:canary@a.example": {"x": 1}}',
        },
    ):
        with pytest.raises(ConfigError) as raised:
            upstreams_from_env(environ)
        assert "canary" not in str(raised.value)
        assert "canary" not in str(raised.value.__cause__)
