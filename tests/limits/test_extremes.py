"""Limits at their edges: amounts that nobody means, users in many groups, upstreams and hosts that say anything."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from openai_gateway_asgi import Gateway, Limit, MemoryLimits, Upstream, User, everyone
from openai_gateway_asgi.limits.limit import LARGEST, NANO
from openai_gateway_asgi.limits.memory import ERASED_AT_ONCE
from openai_gateway_asgi.testing import FakeUpstream
from tests.limits.store_contract import bucket
from tests.limits.test_enforced import USAGE, limited


@pytest.mark.parametrize("cost", [1e300, 1e18, 10**30])
async def test_a_cost_beyond_all_measure_uses_the_budget_up_and_the_call_is_answered(cost: float) -> None:
    upstream = Upstream("http://up.test/v1", api_key="k", model_ids=["m"], reports_cost=True)
    async with limited(Limit(usd=5, per="day", by="user"), upstreams=[upstream]) as world:
        world.fake.script(usage={**USAGE, "cost": cost})
        assert [(await world.ask()).status_code for _ in range(2)] == [200, 429]
        (entry,) = (await world.get("/v1/limits"))["data"]
    assert (Decimal(entry["used"]), entry["left"]) == (Decimal(LARGEST) / NANO, "0")


async def test_the_largest_limits_let_calls_pass() -> None:
    limits = [
        Limit(requests=LARGEST, per="month"),
        Limit(tokens=LARGEST, per="second"),
        Limit(concurrent=LARGEST),
        Limit(usd=LARGEST // NANO, per="month", unpriced="allow"),
    ]
    async with limited(*limits) as world:
        answer = await world.ask()
        assert answer.status_code == 200
        assert (await world.get("/v1/limits"))["data"]
    assert answer.headers["x-ratelimit-limit-requests"] == str(LARGEST)


async def test_a_user_in_many_groups_sees_their_limits_without_holding_others_up() -> None:
    groups = {f"group-{number}" for number in range(500)}
    models = [f"m{number}" for number in range(500)]
    fake = FakeUpstream()
    fake.script(usage=USAGE)
    gateway = Gateway(
        [Upstream("http://up.test/v1", api_key="k", model_ids=models)],
        resolve_user=lambda request: User("ann", groups=groups),
        authorize_model=everyone,
        transport=fake.transport(),
        limits=[Limit(requests=5, per="day", by="user_groups"), Limit(tokens=5, per="day", by="user", models="m1*")],
    )
    async with gateway.lifespan():
        began = time.thread_time()
        answer = await gateway.openai(User("ann", groups=groups)).get("/limits", cast_to=object)
        spent = time.thread_time() - began
    assert len(answer["data"]) == 501  # type: ignore[index]
    assert spent < 0.5  # 250,000 accounts would take seconds


async def test_erasing_a_user_among_many_accounts_gives_others_turns() -> None:
    store = MemoryLimits()
    for number in range(2 * ERASED_AT_ONCE // 1000):
        await store.take([bucket(1, key=f"k/user=u{number}-{each}/", rate=0.001) for each in range(1000)])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    assert await store.erase("user=u7-7") == 1
    waiting.cancel()
    assert turns >= 2


async def test_a_request_that_names_a_user_in_odd_characters_is_counted_as_theirs() -> None:
    def resolve_user(request: Request) -> User:
        return User("a/user=b?\U0001f600 \x00" * 50)

    fake = FakeUpstream()
    fake.script(usage=USAGE)
    gateway = Gateway(
        [Upstream("http://up.test/v1", api_key="k", model_ids=["m"])],
        resolve_user=resolve_user,
        authorize_model=everyone,
        transport=fake.transport(),
        limits=[Limit(requests=1, per="day", by="user")],
    )
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    async with gateway.lifespan(), httpx.AsyncClient(
        transport=httpx.ASGITransport(gateway), base_url="http://app.test"
    ) as http:  # fmt: skip
        statuses = [(await http.post("/v1/chat/completions", json=body)).status_code for _ in range(2)]
    assert statuses == [200, 429]
