"""Where an id leads: through presets to models, at the HTTP boundary."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import (
    ConfigError,
    Defaults,
    Gateway,
    GatewayConfig,
    Limit,
    MemoryStore,
    Model,
    Preset,
    Upstream,
    User,
    everyone,
)
from openai_gateway_asgi.testing import FakeRequest
from tests.cases.gateways import MESSAGES, World, error_of, upstream_a, upstream_b, world


def denies(*ids: str) -> Any:
    """Denies these models; a preset that has the id of one is another thing."""
    return lambda user, model: model.id not in ids or model.is_preset


def broken(request: FakeRequest) -> Any:
    raise httpx.ConnectError("refused")


def asked_for(world: World) -> list[str]:
    return [request.fields()["model"] for request in world.upstream.requests]


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions"])
async def test_an_alias_is_called_as_its_base(path: str) -> None:
    async with world(upstream_a("m1"), presets=[Preset("fast", base="m1")]) as it:
        answer = await it.post(path, {"model": "fast", "messages": []})
        assert answer.status == 200
        assert it.sent["model"] == "m1"
        record = it.records[-1]
        assert (record.model, record.preset, record.served_model, record.upstream_model) == ("fast", "fast", "m1", "m1")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/completions", {"prompt": "x"}),
        ("/embeddings", {"input": "x"}),
        ("/responses", {"input": "x"}),
        ("/images/generations", {"prompt": "x"}),
        ("/audio/speech", {"input": "x", "voice": "alloy"}),
        ("/moderations", {"input": "x"}),
        ("/realtime/client_secrets", {"session": {"type": "realtime", "model": "fast"}}),
    ],
)
async def test_every_kind_of_call_is_resolved(path: str, body: dict[str, Any]) -> None:
    async with world(upstream_a("m1", prefix_id="p"), presets=[Preset("fast", base="p.m1")]) as it:
        await it.post(path, body if "session" in body else {"model": "fast", **body})
        sent = it.sent["session"] if "session" in body else it.sent
        assert sent["model"] == "m1"


async def test_presets_lead_through_presets_to_the_model_with_its_prefix() -> None:
    presets = [Preset("a", base="b"), Preset("b", base="c"), Preset("c", base="p.m1")]
    async with world(upstream_a("m1", prefix_id="p"), presets=presets) as it:
        assert (await it.chat("a")).status == 200
        assert it.sent["model"] == "m1"


async def test_a_preset_with_the_id_of_a_model_stands_before_it_and_its_base_is_the_model_beneath() -> None:
    presets = [Preset("m1", name="Ours"), Preset("fast", base="m1")]
    async with world(upstream_a("m1", "m2"), presets=presets) as it:
        for id in ("m1", "fast"):
            assert (await it.chat(id)).status == 200
            assert it.sent["model"] == "m1"
        listed = json.loads((await it.ask("GET", "/models")).body)["data"]
        assert [(model["id"], model["name"]) for model in listed] == [("m1", "Ours"), ("m2", "m2"), ("fast", "fast")]


async def test_several_bases_are_asked_in_order_when_one_fails() -> None:
    presets = [Preset("best", base=["m1", "m2"])]
    async with world(upstream_a("m1"), upstream_b("m2"), presets=presets) as it:
        assert (await it.chat("best")).status == 200
        assert asked_for(it) == ["m1"]
        it.upstream.script("m1", status=503)
        assert (await it.chat("best")).status == 200
        assert asked_for(it) == ["m1", "m1", "m2"]
        record = it.records[-1]
        assert (record.model, record.preset, record.served_model) == ("best", "best", "m2")


async def test_bases_with_weights_are_drawn() -> None:
    presets = [Preset("arena", base={"m1": 3, "m2": 1}), Preset("outer", base=["arena", "m3"])]
    async with world(upstream_a("m1", "m2", "m3"), presets=presets) as it:
        for id in ("arena", "outer"):
            it.upstream.requests.clear()
            for _ in range(200):
                assert (await it.chat(id)).status == 200
            drawn = Counter(asked_for(it))
            assert set(drawn) == {"m1", "m2"}
            assert 100 < drawn["m1"] < 190


async def test_access_is_asked_of_the_preset_and_its_base_is_implied() -> None:
    asked: list[str] = []

    def authorize(user: User, model: Model) -> bool:
        asked.append(model.id)
        return model.id == "fast"

    async with world(upstream_a("m1"), presets=[Preset("fast", base="m1")], authorize_model=authorize) as it:
        assert (await it.chat("fast")).status == 200
        assert asked == ["fast"]
        assert error_of(await it.chat("m1"))["code"] == "model_not_found"  # a user who names the hidden base


@pytest.mark.parametrize("is_async", [False, True])
async def test_base_access_checked_asks_for_the_base_as_well(is_async: bool) -> None:
    def plain(user: User, model: Model) -> bool:
        return model.id != "m1" or user.is_admin

    async def later(user: User, model: Model) -> bool:
        return plain(user, model)

    presets = [
        Preset("fast", base="m1", base_access="checked"),
        Preset("outer", base="fast"),
        Preset("two", base=["m1", "m2"], base_access="checked"),
        Preset("m1", base_access="checked"),
    ]
    authorize = later if is_async else plain
    async with world(upstream_a("m1", "m2"), presets=presets[:3], authorize_model=authorize) as it:
        user = {"x-test-user": "u1"}
        for id in ("fast", "outer"):
            refused = await it.chat(id, headers=user)
            assert refused.status == 404
            assert f"`{id}`" in error_of(refused)["message"]
            assert "m1" not in refused.text.replace(id, "")
            assert (await it.chat(id)).status == 200
        assert (await it.chat("two", headers=user)).status == 200
        assert it.sent["model"] == "m2"
        listed = json.loads((await it.ask("GET", "/models", headers=user)).body)["data"]
        assert [model["id"] for model in listed] == ["m2", "two"]
        assert (await it.ask("GET", "/models/fast", headers=user)).status == 404
        assert (await it.ask("GET", "/models/two", headers=user)).status == 200


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_preset_and_the_model_of_one_id_are_asked_apart(is_async: bool) -> None:
    def plain(user: User, model: Model) -> bool:
        return not model.is_preset or user.is_admin

    async def later(user: User, model: Model) -> bool:
        return plain(user, model)

    authorize = later if is_async else plain
    async with world(upstream_a("m1"), presets=[Preset("m1", base_access="checked")], authorize_model=authorize) as it:
        assert (await it.chat("m1", headers={"x-test-user": "u1"})).status == 404
        assert (await it.chat("m1")).status == 200


async def test_a_preset_is_called_in_model_only() -> None:
    """An upstream does not know it by that name; a preset before a model would be gone around."""
    async with world(upstream_a("m1", "m2"), presets=[Preset("m2"), Preset("fast", base="m1")]) as it:
        for other in ("m2", "fast"):
            refused = await it.chat("m1", models=["m1", other])
            assert (refused.status, error_of(refused)["code"]) == (400, "invalid_field")
        assert not it.upstream.requests


async def test_a_hidden_base_cannot_be_named_beside_the_preset() -> None:
    async with world(upstream_a("m1", "m2"), presets=[Preset("fast", base="m1")], authorize_model=denies("m2")) as it:
        refused = await it.chat("fast", models=["m2"])
        assert error_of(refused)["code"] == "model_not_found"


async def test_a_fallback_may_be_a_preset() -> None:
    presets = [Preset("spare", base="m2"), Preset("closed", base="m2", base_access="checked")]
    store = MemoryStore([upstream_a("m1"), upstream_b("m2")], fallbacks={"m1": ["closed", "spare"]}, presets=presets)
    async with world(store=store, authorize_model=denies("m2")) as it:
        it.upstream.script("m1", status=503)
        assert (await it.chat("m1")).status == 200
        assert asked_for(it) == ["m1", "m2"]
        record = it.records[-1]
        assert (record.model, record.preset, record.served_model) == ("m1", "spare", "m2")


async def test_a_fallback_of_a_preset_is_a_model_of_its_own_and_not_on_record_as_the_preset() -> None:
    store = MemoryStore(
        [upstream_a("m1"), upstream_b("m2")],
        fallbacks={"lawyer": ["m2"], "m1": ["m2"]},
        presets=[Preset("lawyer", base="m1", system="You know the law."), Preset("alias", base="m1")],
    )
    async with world(store=store) as it:
        it.upstream.script("m1", status=503)
        answer = (await it.chat("lawyer")).json()
        assert (answer["model"], it.upstream.last.messages) == ("m2", MESSAGES), "it has nothing of the prompt"
        record = it.records[-1]
        assert (record.model, record.preset, record.served_model) == ("lawyer", None, "m2")
        refused = await it.chat("alias")
        assert refused.status == 503, "the fallbacks of its base are asked for that id only"
        assert it.records[-1].preset == "alias"


# What leads nowhere


@pytest.mark.parametrize(
    ("presets", "field"),
    [
        ([Preset("a", base="b"), Preset("b", base="a")], "presets.0.base"),
        ([Preset("a", base="b"), Preset("b", base="c"), Preset("c", base=["x", "a"])], "presets.0.base"),
        ([Preset("a", base=["a", "b"]), Preset("b", base="a")], "presets.0.base"),
        ([Preset("a"), Preset("a")], "presets.1.id"),
        ([Preset(f"p{n}", base=f"p{n + 1}") for n in range(9)], "presets.8.base"),
        ([Preset(f"p{n}", base=[f"p{n + 1}", f"q{n + 1}"]) for n in range(8)]
         + [Preset(f"q{n}", base=[f"p{n + 1}", f"q{n + 1}"]) for n in range(8)], None),
        ("fast", "presets"),
        ([Preset("a"), "b"], "presets.1"),
        (Preset("a"), "presets"),
    ],
)  # fmt: skip
def test_what_leads_back_or_too_far_is_refused_at_configuration(presets: Any, field: str | None) -> None:
    with pytest.raises(ConfigError) as raised:
        GatewayConfig(presets=presets)
    assert field is None or raised.value.field == field


def test_what_is_switched_off_closes_no_circle() -> None:
    GatewayConfig(presets=[Preset("a", base="b"), Preset("b", base="a", enabled=False)])


def test_a_base_that_can_never_exist_is_refused() -> None:
    with pytest.raises(ConfigError) as raised:
        Gateway([upstream_a("m1"), Upstream("http://b", enabled=False)], authorize_model=everyone,
                presets=[Preset("fast", base=["m1", "m2"])])  # fmt: skip
    assert (raised.value.field, raised.value.code) == ("presets.0.base", "preset_base_unserved")


async def test_a_base_that_is_missing_is_told_in_health_and_is_an_ordinary_404() -> None:
    presets = [Preset("fast", base="nothing"), Preset("half", base=["nothing", "m1"])]
    async with world(upstream_a("m1", "x-*"), presets=presets) as it:
        assert (await it.chat("half")).status == 200
        for _ in range(2):
            missing = await it.chat("fast")
        unknown = await it.chat("unknown")
        assert missing.status == 404
        assert missing.text.replace("fast", "unknown") == unknown.text
        assert it.gateway.health().presets == {
            "fast": "no upstream serves its base 'nothing'",
            "half": "no upstream serves its base 'nothing'",
        }
        listed = json.loads((await it.ask("GET", "/models")).body)["data"]
        assert [model["id"] for model in listed] == ["m1", "half"]


async def test_a_base_whose_list_never_came_is_an_ordinary_503() -> None:
    async with world(Upstream("http://a/v1", name="A"), presets=[Preset("fast", base="m1")]) as it:
        it.upstream.script("*", status=500)
        it.upstream.answer("/models", broken)
        refused = await it.chat("fast")
        assert (refused.status, error_of(refused)["code"]) == (503, "upstream_unavailable")
        assert "m1" not in refused.text


async def test_a_preset_that_is_denied_looks_like_none_whatever_became_of_its_base() -> None:
    presets = [Preset("fast", base="p.m1"), Preset("there", base="m1")]
    upstreams = upstream_a("m1"), Upstream("http://b/v1", name="B", prefix_id="p")
    async with world(*upstreams, presets=presets, authorize_model=lambda user, model: False) as it:
        it.upstream.answer("/models", broken)
        answers = {id: await it.chat(id) for id in ("fast", "there", "unknown")}
        assert {answer.status for answer in answers.values()} == {404}
        assert len({answer.text.replace(id, "X") for id, answer in answers.items()}) == 1


async def test_administrators_change_presets_while_the_gateway_runs() -> None:
    async with world(upstream_a("m1", "m2"), presets=[Preset("fast", base="m1")]) as it:
        config = json.loads((await it.ask("GET", "/config")).body)
        assert config["MODEL_PRESETS"] == [{"id": "fast", "base": ["m1"]}]
        assert (await it.chat("fast")).status == 200
        assert it.sent["model"] == "m1"

        posted = config | {"MODEL_PRESETS": [{"id": "fast", "base": "m2", "system": "SYS"}]}
        assert (await it.post("/config/update", posted)).status == 200
        assert (await it.chat("fast")).status == 200
        assert (it.sent["model"], it.sent["messages"][0]["content"]) == ("m2", "SYS\nS")

        version = json.loads((await it.ask("GET", "/config")).body)["version"]
        for presets, param in (
            ([{"id": "a", "base": "b"}, {"id": "b", "base": "a"}], "MODEL_PRESETS.0.base"),
            ([{"id": "fast", "base": "gone"}], "MODEL_PRESETS.0.base"),
            ([{"id": "fast", "base": "m1", "system": "{user.password}"}], "MODEL_PRESETS.0.system"),
            ([{"id": "fast", "base": "m1", "system": "{user.id:hmac}"}], "MODEL_PRESETS.0.system"),
        ):
            refused = await it.post("/config/update", posted | {"version": version, "MODEL_PRESETS": presets})
            assert (refused.status, error_of(refused)["param"]) == (400, param)
        kept = {name: value for name, value in posted.items() if name != "MODEL_PRESETS"} | {"version": version}
        assert (await it.post("/config/update", kept)).status == 200
        assert (await it.chat("fast")).status == 200
        assert it.sent["model"] == "m2"
        assert json.loads((await it.ask("GET", "/config/health")).body)["presets"] == {}


# Who else looks at ids


async def test_a_limit_that_names_the_base_or_a_preset_on_the_way_sees_the_call() -> None:
    presets = [Preset("outer", base="inner"), Preset("inner", base="m1")]
    for pattern in ("outer", "inner", "m1"):
        limits = [Limit(requests=1, per="hour", models=pattern)]
        async with world(upstream_a("m1"), presets=presets, limits=limits) as it:
            assert (await it.chat("outer")).status == 200
            assert (await it.chat("outer")).status == 429


# Lists


async def test_presets_are_listed_like_any_model() -> None:
    presets = [
        Preset("lawyer", base="m1", name="Lawyer", description="Knows the law", tags=["law"], order=2),
        Preset("fast", base="m1", order=1),
        Preset("secret", base="m1", hidden=True),
        Preset("off", base="m1", enabled=False),
        Preset("m2", hidden=True),
    ]
    async with world(upstream_a("m1", "m2"), presets=presets, authorize_model=denies("m1")) as it:
        listed = json.loads((await it.ask("GET", "/models")).body)["data"]
        assert [model["id"] for model in listed] == ["fast", "lawyer"]
        lawyer = listed[1]
        assert (lawyer["name"], lawyer["description"], lawyer["tags"]) == ("Lawyer", "Knows the law", ["law"])
        assert "m1" not in json.dumps(listed)  # the base may be invisible
        assert json.loads((await it.ask("GET", "/models/lawyer")).body) == lawyer
        assert (await it.chat("secret")).status == 200
        assert (await it.chat("m2")).status == 200
        assert (await it.chat("off")).status == 404


async def test_defaults_alone_change_no_list() -> None:
    async with world(upstream_a("m1"), presets=[Defaults("*", params={"temperature": 0})]) as it:
        assert [model["id"] for model in json.loads((await it.ask("GET", "/models")).body)["data"]] == ["m1"]
        assert (await it.chat("m1")).status == 200


def test_presets_of_a_store_are_the_stores() -> None:
    with pytest.raises(ConfigError, match="MemoryStore"):
        Gateway(MemoryStore([upstream_a()]), authorize_model=everyone, presets=[Preset("a", base="m1")])
