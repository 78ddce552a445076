"""Many calls in one process, without sockets: nothing of them is left, however they end."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from openai_gateway_asgi import Gateway, HostModel, Limit, MemoryLimits, ModelCall, UsageRecord, User, everyone
from tests.support.leaks import Holdings

ASKED: Any = [{"role": "user", "content": "hi"}]
ADA = User(id="ada")
LENGTHS = [pytest.param(100, id="a hundred"), pytest.param(1000, id="a thousand", marks=pytest.mark.soak)]


async def drips(call: ModelCall) -> AsyncIterator[str]:
    for number in range(20):
        await asyncio.sleep(0.01)
        yield f"{number} "


async def passes(call: ModelCall) -> AsyncIterator[object]:
    async for chunk in await call.ask.chat.completions.create(model="drips", messages=call.messages, stream=True):
        yield chunk


def make(records: list[UsageRecord], store: MemoryLimits) -> Gateway:
    return Gateway(
        [],
        authorize_model=everyone,
        host_models=[HostModel("drips", drips), HostModel("passes", passes)],
        record_usage=records.append,
        limits=[Limit(concurrent=10_000, by="user"), Limit(tokens=10**9, per="day", by="user")],
        limit_store=store,
    )


@pytest.mark.parametrize("count", LENGTHS)
async def test_many_streams_at_once_leave_nothing(count: int) -> None:
    """A third is read to its end, a third closed in its middle, a third cancelled; half of them ask within."""
    records: list[UsageRecord] = []
    gateway = make(records, MemoryLimits())
    client = gateway.openai(ADA)

    async def one(number: int) -> str:
        model = "passes" if number % 2 else "drips"
        stream = await client.chat.completions.create(model=model, messages=ASKED, stream=True)
        said = ""
        async for chunk in stream:
            said += chunk.choices[0].delta.content or ""
            if number % 3 == 1 and said:
                await stream.close()
                break
            if number % 3 == 2 and said:
                raise asyncio.CancelledError
        await stream.close()
        return said

    async with gateway.lifespan():
        before = Holdings.of_loop()
        said = await asyncio.gather(*[one(number) for number in range(count)], return_exceptions=True)
        async with asyncio.timeout(30):
            while left := Holdings.of_loop().left_since(before):
                gc.collect()
                await asyncio.sleep(0.02)
        assert left == []
        health = gateway.health()
        assert not health.upstreams

        whole = "".join(f"{number} " for number in range(20))
        assert [each for each in said[::3] if each != whole] == []
        outcomes = Counter(record.outcome for record in records)
        assert outcomes["completed"] >= len(said[::3])
        assert len(records) == count + sum(record.within is not None for record in records)
        assert await in_use(gateway) == 0


async def in_use(gateway: Gateway) -> int:
    """Places of the limit on concurrent calls that are taken."""
    answer = await gateway.openai(ADA).get("/limits", cast_to=dict[str, Any])
    limits: list[dict[str, Any]] = answer["data"]
    return next(int(limit["used"]) for limit in limits if limit["unit"] == "concurrent")
