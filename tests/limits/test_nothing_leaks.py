"""However calls end, at whatever instant: what their records say is what accounts hold, and no place is kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from openai_gateway_asgi import (
    Filter,
    GatewayError,
    HostModel,
    Limit,
    MemoryLimits,
    MemoryStore,
    ModelCall,
    Preset,
    Settings,
    Upstream,
    Usage,
    UsageRecord,
    User,
)
from openai_gateway_asgi.limits import Change, Claim, Decision
from openai_gateway_asgi.limits.limit import Subject
from openai_gateway_asgi.testing import Script
from tests.limits.test_enforced import USAGE, World, limited

CALLS = 96
AT_ONCE = 12
LIMITS = (
    Limit(concurrent=5, by="user"),
    Limit(concurrent=4, by="upstream"),
    Limit(requests=10**6, per="month", by="user"),
    Limit(tokens=10**9, per="month", by="user"),
    Limit(tokens=10**9, per="week", by=("user", "model")),
)


class Slow(MemoryLimits):
    """As one over a network, which may be left at any instant."""

    async def take(self, claims: Sequence[Claim]) -> Decision:
        await asyncio.sleep(0)
        decision = await super().take(claims)
        await asyncio.sleep(0.001)
        return decision

    async def settle(self, changes: Sequence[Change]) -> None:
        await asyncio.sleep(0.001)
        await super().settle(changes)


def some_script(rng: random.Random) -> Script:
    return rng.choice(
        [
            Script(usage=USAGE),
            Script(usage=USAGE, text="one two three four", event_every=0.002),
            Script(usage=USAGE, first_event_after=0.01),
            Script(status=rng.choice([400, 401, 404, 429, 500, 503])),
            Script(refuse=True),
            Script(silence=True),
            Script(text="one two three", cut_after=2, event_every=0.001),
            Script(text="one two three", reset_after=1),
            Script(text="one two three", error_after=1, message="over"),
            Script(text="one two three", stall_after=1),
        ]
    )


async def asking(call: ModelCall) -> Any:
    answer = await call.ask.chat.completions.create(model="other", messages=[{"role": "user", "content": "hi"}])
    yield answer.choices[0].message.content or ""
    yield Usage(input=150, output=50)


def moody(rng: random.Random) -> Any:
    async def before(call: Any) -> None:
        fate = rng.random()
        await asyncio.sleep(0.002 * fate)
        if fate < 0.1:
            raise GatewayError("not now")
        if fate < 0.3:
            call.set("model", "other")

    return before


async def one_call(world: World, rng: random.Random) -> None:
    model, stream = rng.choice(["m", "m", "other", "mine", "agent", "nobody"]), rng.random() < 0.5
    patience = rng.choice([0.0, 0.001, 0.005, 0.02, 0.3, 0.3, 0.3])
    try:
        async with asyncio.timeout(patience):
            await world.ask(rng.choice(["ann", "bob"]), model, stream=stream)
    except (TimeoutError, httpx.HTTPError):
        pass


@pytest.mark.parametrize("kind", [MemoryLimits, Slow])
@pytest.mark.parametrize("on_leave", ["cancel", "finish"])
async def test_what_records_say_is_what_accounts_hold(kind: type[MemoryLimits], on_leave: Any) -> None:
    rng, records, store = random.Random(7), list[UsageRecord](), kind()
    upstreams = [
        Upstream(f"http://{name}.test/v1", api_key="k", name=name, model_ids=["m", "other"], on_leave=on_leave)
        for name in ("first", "second")
    ]
    async with limited(
        *LIMITS,
        upstreams=MemoryStore(upstreams, fallbacks={"m": ["other"]}, presets=[Preset("mine", base="m")]),
        store=store,
        host_models=[HostModel("agent", asking)],
        filters=[Filter("m", before=moody(rng))],
        settings=Settings(retries=1, retry_time=0.05),
        record_usage=records.append,
    ) as world:
        for _ in range(CALLS // AT_ONCE):
            for model in ("m", "other"):
                world.fake.script(model, *(some_script(rng) for _ in range(4)))
            await asyncio.gather(*(one_call(world, rng) for _ in range(AT_ONCE)))
        await world.gateway.aclose()  # all that goes on behind calls is over
        for user in ("ann", "bob"):
            own = [record for record in records if record.user.id == user]
            standing = (await world.get("/v1/limits", user))["data"]
            used = {(each["unit"], each["per"]): each["used"] for each in standing if "model" not in each["by"]}
            by_model = sum(each["used"] for each in standing if "model" in each["by"])
            assert used["concurrent", None] == 0
            assert used["requests", "month"] == sum(record.attempts > 0 for record in own if record.within is None)
            assert used["tokens", "month"] == charged(own)
            assert by_model >= charged(own)
        assert [balance.remaining for balance in await store.balances(of_upstreams())] == [4, 4]
    assert len({record.outcome for record in records}) >= 5


def charged(records: Sequence[UsageRecord]) -> int:
    """Tokens of all calls; one that has parts is charged beyond what these were."""
    total = 0
    for record in records:
        parts = [each for each in records if each.within == record.request_id]
        own = (record.usage.tokens if record.usage else None) or 0
        total += max(0, own - charged_of(parts)) if parts else own
    return total


def charged_of(parts: Sequence[UsageRecord]) -> int:
    return sum((part.usage.tokens if part.usage else None) or 0 for part in parts)


def of_upstreams() -> list[Claim]:
    return [
        claim
        for name in ("first", "second")
        for claim in LIMITS[1].claims(Subject(User("ann"), ("m",), upstream=name), 0, 0.0)
    ]
