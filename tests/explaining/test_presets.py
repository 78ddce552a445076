"""An explanation says where a preset leads, whose value of a parameter wins, and what tells who asks."""

from __future__ import annotations

import json
from typing import Any

from openai_gateway_asgi import Defaults, Explanation, Gateway, Preset, Settings, Upstream, User, everyone

ADA = User("ada", name="Ada")
GATEWAY = Gateway(
    [
        Upstream("http://a.test/v1", name="a", model_ids=["m1"], headers={"X-Who": "{user.name}"},
                 identity="jwt", identity_key="0123456789abcdef" * 2, stamp={"safety_identifier": "{user.id}"}),
        Upstream("http://b.test/v1", name="b", model_ids=["m2"]),
    ],
    authorize_model=everyone,
    settings=Settings(identity_secret="fedcba9876543210"),
    presets=[
        Preset("lawyer", base="inner", system="Be {user.name}'s lawyer.",
               params={"temperature": 0, "top_p": 0.5, "max_tokens": 9}, locked=["temperature", "tools"]),
        Preset("inner", base={"m2": 1, "m1": 3}, params={"seed": 7}),
        Defaults("m*", params={"service_tier": "flex"}),
    ],
)  # fmt: skip


async def explained(**fields: Any) -> Explanation:
    body = {"model": "lawyer", "messages": [{"role": "user", "content": "hi"}], **fields}
    return await GATEWAY.explain(ADA, "POST", "/chat/completions", body=json.dumps(body).encode())


async def test_it_says_where_a_preset_leads() -> None:
    told = await explained()
    assert ("preset", "lawyer leads to m1, m2", "GatewayConfig.presets") in [
        (each.about, each.verdict, each.by) for each in told.decisions
    ]
    first, second = told.candidates
    assert (first.model, first.way) == ("m1", ("lawyer", "inner", "m1"))
    assert (second.model, second.way) == ("m2", ("lawyer", "inner", "m2"))
    assert first.by.startswith("GatewayConfig.presets")
    assert "a as m1 by way of lawyer -> inner -> m1" in str(told)
    assert told.would_ask == ()


async def test_it_says_whose_value_of_a_parameter_wins() -> None:
    told = await explained(temperature=1, top_p=0.9, tools=[{"type": "function"}])
    found = {each.name: (each.value, each.by, each.locked, each.over) for each in told.candidates[0].parameters}
    assert found == {
        "temperature": ("0", "Preset 'lawyer'", True, True),
        "tools": (None, "Preset 'lawyer'", True, True),
        "top_p": ("0.9", "the client", False, True),
        "max_tokens": ("9", "Preset 'lawyer'", False, False),
        "seed": ("7", "Preset 'inner'", False, False),
        "service_tier": ('"flex"', "Defaults m*", False, False),
    }
    assert "parameter temperature: 0 (Preset 'lawyer', locked, over another)" in str(told)


async def test_parameters_are_called_as_the_upstream_gets_them() -> None:
    params = {"max_tokens": 9, "temperature": 0, "reasoning_effort": "low", "verbosity": "high"}
    gateway = Gateway(
        [Upstream("http://a.test/v1", name="a", model_ids=["m1"], api="responses")],
        authorize_model=everyone,
        presets=[Preset("mine", base="m1", params=params, locked=["verbosity"])],
    )
    messages = [{"role": "user", "content": "hi"}]
    body = {"model": "mine", "messages": messages, "max_completion_tokens": 5, "verbosity": "low"}
    told = await gateway.explain(ADA, "POST", "/chat/completions", body=json.dumps(body).encode())
    (candidate,) = told.candidates
    assert candidate.translated_to == "responses"
    found = {each.name: (each.value, each.by, each.over) for each in candidate.parameters}
    assert found == {
        "max_output_tokens": ("5", "the client", True),
        "temperature": ("0", "Preset 'mine'", False),
        "reasoning.effort": ('"low"', "Preset 'mine'", False),
        "text.verbosity": ('"high"', "Preset 'mine'", True),
    }


async def test_it_says_what_changes_the_body_and_what_tells_who_asks() -> None:
    (first, _) = (await explained(temperature=1)).candidates
    by = {change.at: change.by for change in first.body}
    assert by == {
        "$.model": "GatewayConfig.presets",
        "$.messages": "Preset.system",
        "$.temperature": "Preset 'lawyer', locked",
        "$.top_p": "Preset 'lawyer', params",
        "$.max_tokens": "Preset 'lawyer', params",
        "$.seed": "Preset 'inner', params",
        "$.service_tier": "Defaults m*, params",
        "$.safety_identifier": "Upstream.stamp",
    }
    headers = {each.name: (each.value, each.by) for each in first.headers}
    assert headers["x-who"] == ("Ada", "Upstream.headers")
    assert headers["x-openwebui-user-jwt"] == ("***", "Upstream.identity")
    assert "lawyer." not in str(first)  # prompts are told by their length


async def test_a_preset_does_not_change_what_the_client_said_itself() -> None:
    gateway = Gateway(
        [Upstream("https://up.test/v1", api_key="k", name="up", model_ids=["gpt-5"])],
        authorize_model=everyone,
        presets=[Preset("fast", base="gpt-5", params={"max_tokens": 9})],
    )
    body = {"model": "fast", "messages": [], "max_tokens": 3}
    async with gateway.lifespan():
        told = await gateway.explain(ADA, "POST", "/chat/completions", body=json.dumps(body).encode())
    by = {change.at: change.by for change in told.candidates[0].body}
    assert by["$.max_tokens"] == by["$.max_completion_tokens"] == "Upstream.provider, Upstream.rewrites"


async def test_a_refusal_names_who_decides() -> None:
    told = await GATEWAY.explain(ADA, "POST", "/completions", body=b'{"model": "lawyer", "prompt": "x"}')
    assert (told.outcome, told.code) == ("refused", "unsupported_operation")
    assert told.decisions[-1].by == "Preset.system, Preset.locked"
