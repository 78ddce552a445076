"""What a preset may say, and how it is written down."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from openai_gateway_asgi import (
    ConfigError,
    Defaults,
    FileStore,
    Gateway,
    GatewayConfig,
    InvalidRequest,
    MemoryStore,
    Preset,
    Upstream,
    config_from_data,
    config_to_data,
    everyone,
)
from openai_gateway_asgi.config import from_wire, to_wire
from openai_gateway_asgi.config.preset_entries import DEFAULTS_KINDS, KINDS, read_entries, write_entry

FULL = Preset(
    "lawyer",
    {"gpt-5": 3, "claude-4": 1},
    name="Lawyer",
    description="Knows the law.\nIn two lines.",
    order=-1,
    tags=["law", {"name": "x"}],
    hidden=True,
    enabled=False,
    system='You help {user.name}. Answer as {"a": 1}.',
    params={"temperature": 0, "max_tokens": 10, "reasoning.effort": "low", "top_a": 0.5, "response_format": "mp3"},
    locked=["temperature", "tools"],
    base_access="checked",
)
FULL_DEFAULTS = Defaults(["gpt-*", "o3"], params={"service_tier": "flex"}, locked=["store"])


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (lambda: Preset(""), "id"),
        (lambda: Preset("a*"), "id"),
        (lambda: Preset("a,b"), "id"),
        (lambda: Preset("a\nb"), "id"),
        (lambda: Preset("x" * 257), "id"),
        (lambda: Preset("a", base=3), "base"),
        (lambda: Preset("a", base=["b", ""]), "base.1"),
        (lambda: Preset("a", base="gpt-*"), "base"),
        (lambda: Preset("a", base={"b": 0}), "base.b"),
        (lambda: Preset("a", base={"b": True}), "base.b"),
        (lambda: Preset("a", base={}), "base"),
        (lambda: Preset("a", base=[f"m{n}" for n in range(17)]), "base"),
        (lambda: Preset("a", name="two\nlines"), "name"),
        (lambda: Preset("a", description=7), "description"),
        (lambda: Preset("a", order=1.5), "order"),
        (lambda: Preset("a", tags="law"), "tags"),
        (lambda: Preset("a", hidden=1), "hidden"),
        (lambda: Preset("a", enabled="yes"), "enabled"),
        (lambda: Preset("a", system="{user.password}"), "system"),
        (lambda: Preset("a", system="half \ud800"), "system"),
        (lambda: Preset("a", system="x" * 65_537), "system"),
        (lambda: Preset("a", base_access="open"), "base_access"),
        (lambda: Preset("a", params=[]), "params"),
        (lambda: Preset("a", params={"temperature": "hot"}), "params.temperature"),
        (lambda: Preset("a", params={"temperature": None}), "params.temperature"),
        (lambda: Preset("a", params={"temperature": float("nan")}), "params.temperature"),
        (lambda: Preset("a", params={"temperature": True}), "params.temperature"),
        (lambda: Preset("a", params={"max_tokens": 1.5}), "params.max_tokens"),
        (lambda: Preset("a", params={"max_tokens": 1, "max_output_tokens": 2}), "params.max_output_tokens"),
        (lambda: Preset("a", params={"reasoning_effort": 3}), "params.reasoning_effort"),
        (lambda: Preset("a", params={"stop": [1]}), "params.stop"),
        (lambda: Preset("a", params={"reasoning": {"effort": "low"}}), "params.reasoning"),
        (lambda: Preset("a", params={"Temperature": 1}), "params"),
        (lambda: Preset("a", params={"a.b": 1}), "params.a.b"),
        (lambda: Preset("a", params={"system": "x"}), "params.system"),
        (lambda: Preset("a", params={"model": "x"}), "params.model"),
        (lambda: Preset("a", params={"models": ["x"]}), "params.models"),
        (lambda: Preset("a", params={"extra_body": {}}), "params.extra_body"),
        (lambda: Preset("a", params={"stream": True}), "params.stream"),
        (lambda: Preset("a", params={"tool": {1, 2}}), "params.tool"),
        (lambda: Preset("a", locked="temperature"), "locked"),
        (lambda: Preset("a", locked=["TEMPERATURE"]), "locked.0"),
        (lambda: Preset("a", locked=["messages"]), "locked.0.messages"),
        (lambda: Defaults([]), "models"),
        (lambda: Defaults("gpt-*", params={"temperature": "hot"}), "params.temperature"),
        (lambda: Defaults("gpt-*", locked=["model"]), "locked.0.model"),
    ],
)  # fmt: skip
def test_a_fault_is_told_by_its_field_and_what_to_write(made: Any, field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        made()
    assert raised.value.field == field
    assert raised.value.problem


def test_a_preset_is_kept_as_it_was_when_it_was_made() -> None:
    params = {"logit_bias": {"1": 2}}
    preset = Preset("a", params=params)
    params["logit_bias"]["1"] = 5
    assert preset.params == {"logit_bias": {"1": 2}}
    assert preset == Preset("a", base="a", params={"logit_bias": {"1": 2}})
    assert hash(preset) == hash(Preset("a"))
    assert preset.bases == ("a",)
    assert preset.weights is None
    assert FULL.weights == (3, 1)


# Written down


def test_every_field_has_a_key_of_its_name() -> None:
    assert list(KINDS) == [field.name for field in dataclasses.fields(Preset)]
    assert list(DEFAULTS_KINDS) == [field.name for field in dataclasses.fields(Defaults)]


def test_every_field_is_written_and_read() -> None:
    """Neither has a field at its default, so nothing can be lost unseen."""
    for full, unset in ((FULL, Preset("-")), (FULL_DEFAULTS, Defaults("-"))):
        assert not [
            field.name for field in dataclasses.fields(full) if getattr(full, field.name) == getattr(unset, field.name)
        ]
        written = json.loads(json.dumps(write_entry(full)))
        assert read_entries("x", [written]) == ([full], [])


def test_what_is_not_set_is_not_written() -> None:
    assert write_entry(Preset("fast", base="m")) == {"id": "fast", "base": ["m"]}


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({}, "MODEL_PRESETS.0.id"),
        ({"id": 5}, "MODEL_PRESETS.0.id"),
        ({"id": "a", "bass": "m"}, "MODEL_PRESETS.0.bass"),
        ({"id": "a", "params": {"temperature": "x"}}, "MODEL_PRESETS.0.params.temperature"),
        ({"models": "gpt-*", "system": "x"}, "MODEL_PRESETS.0.system"),
        ({"id": "a", "base": "b"}, "MODEL_PRESETS.0.base"),
        ({"id": "a", "base": "unserved"}, "MODEL_PRESETS.0.base"),
        ("a", "MODEL_PRESETS.0"),
        ({"id": "a", "base_model_id": "m", "params": {"temperature": "hot"}}, "MODEL_PRESETS.0.params.temperature"),
        ({"id": "a", "base_model_id": "m", "params": 5}, "MODEL_PRESETS.0.params"),
    ],
)  # fmt: skip
def test_a_faulty_entry_is_told_by_its_place(entry: Any, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [entry, {"id": "b", "base": "a"}] if isinstance(entry, dict) and entry.get("base") == "b" else [entry]
    monkeypatch.setenv("OPENAI_API_BASE_URLS", "http://a/v1")
    monkeypatch.setenv("OPENAI_API_CONFIGS", '{"0": {"model_ids": ["m"]}}')
    monkeypatch.setenv("MODEL_PRESETS", json.dumps(entries))
    with pytest.raises(ConfigError) as raised:
        Gateway(authorize_model=everyone)
    assert raised.value.field == field


@pytest.mark.parametrize("text", ["{", "{}", "5", '"fast"', "null"])
def test_what_is_no_list_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_PRESETS", text)
    with pytest.raises(ConfigError) as raised:
        Gateway(authorize_model=everyone)
    assert raised.value.field == "MODEL_PRESETS"


def test_presets_of_the_environment_stand_beside_those_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_BASE_URLS", "http://a/v1")
    monkeypatch.setenv("MODEL_PRESETS", '[{"id": "fast", "base": "m"}]')
    Gateway(authorize_model=everyone, presets=[Preset("slow", base="fast")])
    with pytest.raises(ConfigError, match=r"MODEL_PRESETS\.1\.id"):
        Gateway(authorize_model=everyone, presets=[Preset("fast", base="m")])


CURRENT = GatewayConfig(
    True, [Upstream("http://a/v1")], {"m": ["n"]}, version="1", presets=[Preset("fast", base="m"), FULL_DEFAULTS]
)


def test_an_update_without_the_key_leaves_presets_as_they_are() -> None:
    posted = to_wire(CURRENT)
    assert posted["MODEL_PRESETS"] == [{"id": "fast", "base": ["m"]}, write_entry(FULL_DEFAULTS)]
    del posted["MODEL_PRESETS"], posted["MODEL_FALLBACKS"]
    updated = from_wire(posted, CURRENT)
    assert (updated.presets, updated.fallbacks) == (CURRENT.presets, CURRENT.fallbacks)
    assert from_wire({**posted, "MODEL_PRESETS": []}, CURRENT).presets == ()
    with pytest.raises(InvalidRequest, match=r"MODEL_PRESETS\.0\.base"):
        from_wire({**posted, "MODEL_PRESETS": [{"id": "a", "base": "b"}, {"id": "b", "base": "a"}]}, CURRENT)


async def test_stores_keep_them(tmp_path: Path) -> None:
    assert config_from_data(config_to_data(CURRENT)) == CURRENT
    assert (await MemoryStore(CURRENT.upstreams, presets=CURRENT.presets).load()).presets == CURRENT.presets
    store = FileStore(tmp_path / "c.json", CURRENT.upstreams, presets=CURRENT.presets)
    assert (await store.load()).presets == CURRENT.presets
    await store.save(CURRENT, replaces=None)
    assert (await FileStore(tmp_path / "c.json").load()).presets == CURRENT.presets


# Open WebUI's


def test_a_model_of_open_webui_is_read() -> None:
    theirs = {
        "id": "helper",
        "user_id": "u",
        "base_model_id": "gpt-4o",
        "name": "Helper",
        "params": {
            "system": "SYS {{USER_NAME}} {{CURRENT_DATE}} {{UNKNOWN}} {{ CURRENT_TIME }}",
            "temperature": "0.5",
            "max_tokens": "7",
            "stop": ["ü\\n"],
            "seed": None,
            "function_calling": "native",
            "stream_response": True,
            "custom_params": {"foo": '{"a":1}', "bar": "plain", "nothing": "null", "temperature": "0.7"},
        },
        "meta": {"description": "Helps", "tags": [{"name": "x"}], "hidden": True, "profile_image_url": "/x.png"},
        "is_active": True,
        "created_at": 1,
    }
    entries, notes = read_entries("MODEL_PRESETS", [theirs])
    assert entries == [
        Preset(
            "helper",
            base="gpt-4o",
            name="Helper",
            description="Helps",
            tags=["x"],
            hidden=True,
            system="SYS {user.name} {date} {{UNKNOWN}} {{ CURRENT_TIME }}",
            params={"temperature": 0.7, "max_tokens": 7, "stop": ["ü\n"], "foo": {"a": 1}, "bar": "plain"},
        )
    ]
    assert [note.field for note in notes] == [
        "MODEL_PRESETS.0.user_id",
        "MODEL_PRESETS.0.created_at",
        "MODEL_PRESETS.0.meta.profile_image_url",
        "MODEL_PRESETS.0.params.function_calling",
        "MODEL_PRESETS.0.params.stream_response",
        "MODEL_PRESETS.0.params.system",
    ]
    assert "{{CURRENT_TIME}}" in notes[-1].seen


@pytest.mark.parametrize(
    ("theirs", "field"),
    [
        ({"meta": {"tags": 5}}, "meta.tags"),
        ({"meta": {"tags": "law"}}, "meta.tags"),
        ({"meta": {"hidden": "\ud800"}}, "hidden"),
        ({"params": {"stop": 5}}, "params.stop"),
        ({"params": {"temperature": "hot"}}, "params.temperature"),
        ({"params": 5}, "params"),
        ({"meta": []}, "meta"),
    ],
)
def test_what_cannot_be_meant_in_it_is_refused_by_its_field(theirs: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_entries("MODEL_PRESETS", [{"id": "m", "base_model_id": "b", **theirs}])
    assert caught.value.field == f"MODEL_PRESETS.0.{field}"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"id": "m", "base_model_id": None, "is_active": False}, Preset("m", enabled=False)),
        ({"id": "m", "base_model_id": "b", "params": {"stop": "abc"}}, Preset("m", base="b", params={"stop": ["abc"]})),
    ],
)
def test_other_forms_of_it(theirs: dict[str, Any], ours: Preset) -> None:
    assert read_entries("MODEL_PRESETS", [theirs]) == ([ours], [])
