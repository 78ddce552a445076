"""Every bound at once: whatever strangers and upstreams send too much of, the loop goes round and memory has an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from docs import bounds
from openai_gateway_asgi.testing import FakeUpstream
from tests.reliability.floods import FLOODS, MIB, NOT_FLOODED, Site, answer, flood
from tests.reliability.processes import many_files, run, vitals

logger = logging.getLogger(__name__)

LASTS = 20.0
"""Seconds."""
HELD = 0.05
"""Seconds for which nothing on the gateway's event loop may be held up in one go: by itself, or by the threads of its
process, which take the interpreter from it."""
STALL = 0.25
"""The same by the clock: its machine has other work besides, and who has the interpreter may wait for a CPU."""
KEPT = (64 + 64 + 2 * 45 + 20 + 60) * MIB
"""Bytes that the process may have grown by when all have gone: the speech cache, users' own lists, a list of 90,000 models
and the one before it (500 bytes for each), the list as it is sent; and what the allocator cannot give back, because
something small stands in the middle of it."""
MEMORY = 500 * MIB
"""The same meanwhile: with what the clients have under way, and what C's allocator has not given back."""


def pressed() -> set[str]:
    return {module for _, modules in FLOODS.values() for module in modules.split()}


def test_every_bound_is_flooded_or_says_why_not() -> None:
    names = [bound.name for rows in bounds.bounds().values() for bound in rows if "(" not in bound.name]
    assert {name.rpartition(".")[0] for name in names} == pressed() | NOT_FLOODED.keys()


@pytest.fixture
def _many_files() -> Iterator[None]:
    with many_files():
        yield


@pytest.mark.soak
@pytest.mark.usefixtures("_many_files")
@pytest.mark.parametrize("http", ["h11", "httptools"])
async def test_a_flood_of_everything_at_once(http: str) -> None:
    fake = FakeUpstream()
    for path in ("/models", "/chat/completions", "/responses", "/audio/speech", "/embeddings", "/audio/transcriptions"):
        fake.answer(path, answer)
    async with fake, run(http, "flooded", {"UPSTREAM_URL": fake.url, "WATCH_CALLBACKS": "1"}) as program:
        site = Site(program)
        await site.ask(site.post("/chat/completions", b'{"model": "bad-1", "messages": []}'))
        before = await vitals(program)
        until = asyncio.get_running_loop().time() + LASTS
        most = 0
        clients = [
            asyncio.create_task(flood(site, what, until)) for what, (count, _) in FLOODS.items() for _ in range(count)
        ]
        while any(not client.done() for client in clients):
            await asyncio.sleep(1)
            fake.requests.clear()
            now = await vitals(program, "memory")
            most = max(most, now["memory"] - before["memory"])
        await asyncio.gather(*clients)
        first = after = await vitals(program)
        async with asyncio.timeout(20):
            while after["tasks"] > before["tasks"]:
                await asyncio.sleep(0.2)
                after = await vitals(program)
        grown = after["memory"] - before["memory"]
        logger.info("%s: at most %d MiB more, then %d; %r; %r", http, most // MIB, grown // MIB, site.sent, first)
        assert len(site.sent) == len(FLOODS)
        assert min(site.sent.values()) >= 5, site.sent
        assert most < MEMORY
        assert grown < KEPT
        assert first["longest_cpu"] < HELD, first["long"]
        assert first["longest_held"] < HELD, first["long"]
        assert first["longest"] < STALL, first["long"]
