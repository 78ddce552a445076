"""What lists show of models, as the host says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openai_gateway_asgi import ConfigError, Gateway, Model, ModelInfo, Preset, User, everyone
from tests.cases.gateways import World, error_of, upstream_a, world

BIG = ModelInfo(name="Big", description="For all", order=1, context_length=400_000, capabilities={"vision": True})


async def listed(world: World, user: str = "a1") -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = json.loads((await world.ask("GET", "/models", headers={"x-test-user": user})).body)[
        "data"
    ]
    return models


async def test_a_mapping_describes_models_and_presets() -> None:
    described = {"m2": BIG, "m1": ModelInfo(hidden=True), "fast": ModelInfo(order=0, name="Quick"), "unknown": BIG}
    presets = [Preset("fast", base="m3", description="A preset", order=5)]
    async with world(upstream_a("m1", "m2", "m3"), presets=presets, describe_model=described) as it:
        for _ in range(2):
            models = await listed(it)
            assert [model["id"] for model in models] == ["fast", "m2", "m3"]
            fast, big, plain = models
            assert (fast["name"], fast["description"]) == ("Quick", "A preset")
            assert big["name"] == "Big"
            assert (big["context_length"], big["capabilities"]) == (400_000, {"vision": True})
            assert "description" not in plain
        assert json.loads((await it.ask("GET", "/models/m2")).body) == big
        assert (await it.ask("GET", "/models/m1")).status == 200
        assert (await it.chat("m1")).status == 200


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_callable_describes_them_for_each_user(is_async: bool) -> None:
    def plain(user: User, model: Model) -> ModelInfo | None:
        return ModelInfo(name=f"{model.id} for {user.id}", hidden=model.id == "m1") if not user.is_admin else None

    async def later(user: User, model: Model) -> ModelInfo | None:
        return plain(user, model)

    describe: Any = later if is_async else plain
    async with world(upstream_a("m1", "m2"), describe_model=describe) as it:
        assert [model["name"] for model in await listed(it, "u1")] == ["m2 for u1"]
        assert [model["name"] for model in await listed(it)] == ["m1", "m2"]


async def test_what_is_denied_is_not_described() -> None:
    asked: list[str] = []

    def describe(user: User, model: Model) -> None:
        asked.append(model.id)

    async with world(
        upstream_a("m1", "m2"), describe_model=describe, authorize_model=lambda user, model: model.id == "m2"
    ) as it:
        await listed(it)
        await it.ask("GET", "/models/m1")
        assert asked == ["m2"]


async def test_a_callable_that_fails_hides_no_failure() -> None:
    describe: Any = lambda user, model: "a name"  # noqa: E731
    async with world(upstream_a("m1"), describe_model=describe) as it:
        refused = await it.ask("GET", "/models")
        assert (refused.status, error_of(refused)["code"]) == (500, "host_failure")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (5, "describe_model"),
        ([BIG], "describe_model"),
        ({"m": "Big"}, "describe_model.m"),
        (lambda: None, "describe_model"),
    ],
)
def test_what_describes_nothing_is_refused(given: Any, field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Gateway([upstream_a()], authorize_model=everyone, describe_model=given)
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": "a\nb"}, "ModelInfo.name"),
        ({"description": 5}, "ModelInfo.description"),
        ({"description": "x" * 5000}, "ModelInfo.description"),
        ({"order": "1"}, "ModelInfo.order"),
        ({"hidden": 1}, "ModelInfo.hidden"),
        ({"context_length": 0}, "ModelInfo.context_length"),
        ({"capabilities": {"a": {1}}}, "ModelInfo.capabilities"),
        ({"capabilities": 5}, "ModelInfo.capabilities"),
    ],
)
def test_a_fault_is_told_by_its_field(values: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ModelInfo(**values)
    assert raised.value.field == field
