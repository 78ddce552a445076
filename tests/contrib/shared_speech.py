"""A speech that two callers share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.cases.gateways import World
from tests.cases.test_speech import audio


@asynccontextmanager
async def left_by_the_first_of_two(w: World) -> AsyncIterator[None]:
    """The first caller has left in the middle; the other has it whole in the end."""
    gate, body = asyncio.Event(), {"model": "m1", "input": "Hello", "voice": "alloy"}
    w.upstream.answer("/audio/speech", audio(b"ID3", b"rest", gate=gate))
    async with w.conversation("/audio/speech", body) as first:
        await first.receive_start()
        async with w.conversation("/audio/speech", body) as other:
            await other.receive_start()
            first.disconnect()
            await first.ended()
            yield
            gate.set()
            assert await other.receive_rest() == b"ID3rest"
