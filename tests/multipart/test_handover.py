"""From the task that reads the client to the one that writes upstream."""

from __future__ import annotations

import asyncio

import pytest

from openai_gateway_asgi.errors import ClientDisconnected
from openai_gateway_asgi.multipart.handover import STALL, Handover
from openai_gateway_asgi.multipart.spool import Spool


@pytest.fixture
async def spool() -> Spool:
    return Spool()


async def test_the_next_piece_is_asked_for_when_the_last_was_taken(spool: Spool) -> None:
    handover = Handover(spool)
    taken = asyncio.create_task(handover.take())
    put = asyncio.create_task(handover.put(b"one"))
    assert await taken == b"one"
    await put

    waiting = asyncio.create_task(handover.put(b"two"))
    await asyncio.wait({waiting}, timeout=STALL / 10)
    assert not waiting.done()
    assert await handover.take() == b"two"
    await waiting
    assert spool.empty


async def test_a_taker_that_stands_still_stops_nobody(spool: Spool) -> None:
    handover = Handover(spool)
    async with asyncio.timeout(STALL * 8):
        for number in range(100):
            await handover.put(b"%d," % number)
    handover.finish()
    got = b""
    while piece := await handover.take():
        got += piece
    assert got == b"".join(b"%d," % number for number in range(100))
    spool.close()


async def test_what_was_spooled_at_the_start_comes_first(spool: Spool) -> None:
    await spool.write(b"early")
    handover = Handover(spool)
    put = asyncio.create_task(handover.put(b"late"))
    assert [await handover.take(), await handover.take()] == [b"early", b"late"]
    await put
    handover.finish()
    assert await handover.take() == b""


async def test_a_failure_comes_before_all_that_waits(spool: Spool) -> None:
    await spool.write(b"early")
    handover = Handover(spool)
    handover.fail(ClientDisconnected())
    handover.fail(RuntimeError("later"))
    with pytest.raises(ClientDisconnected):
        await handover.take()
    spool.close()
