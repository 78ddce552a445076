from __future__ import annotations

import pytest

from openai_gateway_asgi import Upstream, health_app
from openai_gateway_asgi.config import GatewayConfig
from openai_gateway_asgi.observe.health import Health
from openai_gateway_asgi.testing import FakeUpstream, error_answer
from openai_gateway_asgi.upstream.breaker import State
from tests.reliability.gateways import ADMIN, ANN, call, make_gateway, named, over
from tests.support.asgi import ask


def test_before_anything_is_known_it_is_live_and_ready() -> None:
    health = Health.of(None, draining=False, lists={}, breakers={}, in_use={})
    assert (health.live, health.ready, health.draining, health.upstreams) == (True, True, False, {})


def test_each_upstream_shows_its_list_its_breakers_and_its_calls() -> None:
    config = GatewayConfig(upstreams=[Upstream("http://a.test"), Upstream("http://b.test", enabled=False)])
    breakers = {("a.test", "m"): State.OPEN, ("b.test", "m"): State.HALF_OPEN, ("gone", "m"): State.OPEN}
    health = Health.of(config, draining=True, lists={"a.test": "stale"}, breakers=breakers, in_use={"a.test": 2})

    a, b = health.upstreams["a.test"], health.upstreams["b.test"]
    assert (a.enabled, a.models, a.breakers, a.in_use) == (True, "stale", {"m": "open"}, 2)
    assert (b.enabled, b.models, b.breakers, b.in_use) == (False, "unknown", {"m": "half_open"}, 0)
    assert (health.ready, health.draining) == (False, True)


@pytest.mark.parametrize(("method", "body"), [("GET", b'{"live":true,"ready":true,"draining":false}'), ("HEAD", b"")])
async def test_the_app_to_mount_names_no_upstream(method: str, body: bytes) -> None:
    gateway = make_gateway([named("secret-name")])
    await ask(gateway, "GET", "/v1/config", headers=ADMIN)

    for path in ("/live", "/ready", "/"):
        answer = await ask(health_app(gateway.health), method, path)
        assert (answer.status, answer.body) == (200, body)
        assert answer.header("cache-control") == "no-store"
        assert answer.header("content-length") == "43"
    await gateway.aclose()


async def test_looking_costs_no_call_to_any_upstream() -> None:
    upstream = FakeUpstream()
    gateway = make_gateway([named("a", models=())], transport=upstream.transport())
    assert (await ask(gateway, "GET", "/v1/config/health", headers=ADMIN)).status == 200
    assert (await ask(health_app(gateway.health), "GET", "/ready")).status == 200
    assert upstream.requests == []


async def test_a_list_that_failed_shows() -> None:
    upstream = FakeUpstream()
    upstream.host("a.test").answer("/models", error_answer(500))
    gateway = make_gateway([named("a", models=()), named("b", models=())], transport=upstream.transport())
    await ask(gateway, "GET", "/v1/models", headers=ANN)

    answer = await ask(gateway, "GET", "/v1/config/health", headers=ADMIN)

    assert {name: each["models"] for name, each in answer.json()["upstreams"].items()} == {"a": "failed", "b": "ok"}
    await gateway.aclose()


async def test_it_can_be_read_as_values_where_no_event_loop_runs() -> None:
    import asyncio

    upstream = FakeUpstream()
    gateway = make_gateway(over(upstream, "a"), transport=upstream.transport())
    await call(gateway)
    health = await asyncio.to_thread(gateway.health)
    assert list(health.upstreams) == ["a"]
