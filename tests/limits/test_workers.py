"""Two workers and a real Redis: exactly what is allowed passes, and a Redis that goes and comes back is ridden through."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from openai_gateway_asgi.testing import FakeUpstream
from tests.limits.redis_server import PROGRAM, RedisServer
from tests.support.servers import serve_workers

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed")
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ALLOWED = 100


async def test_of_400_parallel_calls_on_two_workers_exactly_the_allowed_number_passes() -> None:
    async with RedisServer() as redis, FakeUpstream() as fake:
        env = {"UPSTREAM_URL": fake.url, "REDIS_URL": redis.url, "ALLOWED": str(ALLOWED)}
        async with serve_workers("tests.limits.shared_app:app", env=env) as program:
            # A connection for each call, so that both workers get some.
            limits = httpx.Limits(max_keepalive_connections=0, max_connections=400)
            async with httpx.AsyncClient(base_url=program.url, limits=limits, timeout=60) as client:

                async def ask(user: str) -> int:
                    headers = {"authorization": f"Bearer {user}"}
                    return (await client.post("/openai/v1/chat/completions", json=BODY, headers=headers)).status_code

                processes = {(await client.get("/process")).text for _ in range(40)}
                statuses = Counter(await asyncio.gather(*(ask("ann") for _ in range(400))))
                assert statuses == {200: ALLOWED, 429: 400 - ALLOWED}
                assert len(fake.requests) == ALLOWED
                assert len(processes) == 2

                redis.kill()
                assert Counter([await ask("bob") for _ in range(8)]) == {200: 8}
                await redis.start()
                async with asyncio.timeout(30):
                    while (await ask("bob")) != 429:
                        await asyncio.sleep(0)
