"""Bodies that are waited for, and those that are given up."""

from __future__ import annotations

import asyncio

import pytest

from openai_gateway_asgi.asgi import Message
from openai_gateway_asgi.errors import ClientDisconnected, PayloadTooLarge, RequestTimeout
from openai_gateway_asgi.patience import Patience

IDLE = 0.08


class Client:
    """Sends ``pieces`` of a body, ``every`` seconds one; after the last it sends nothing more, or the end."""

    def __init__(self, *pieces: bytes, every: float = 0.0, ends: bool = True) -> None:
        self._pieces = list(pieces)
        self._every = every
        self._ends = ends

    async def receive(self) -> Message:
        if not self._pieces:
            await asyncio.Event().wait()
        await asyncio.sleep(self._every)
        more = len(self._pieces) > 1 or not self._ends
        return {"type": "http.request", "body": self._pieces.pop(0), "more_body": more}


async def read(client: Client, *, total: float = 3600.0) -> bytes:
    async with asyncio.timeout(5):
        return await Patience(IDLE, total).read(client.receive, 1000, asyncio.get_running_loop())


@pytest.mark.parametrize("client", [Client(ends=False), Client(b"{", ends=False)], ids=["nothing", "a-piece"])
async def test_a_body_that_stalls_is_given_up(client: Client) -> None:
    with pytest.raises(RequestTimeout):
        await read(client)


async def test_one_that_goes_on_may_take_longer_than_it_may_stall() -> None:
    assert await read(Client(*[b"a"] * 5, every=IDLE / 2)) == b"aaaaa"


async def test_but_not_for_ever() -> None:
    with pytest.raises(RequestTimeout):
        await read(Client(*[b"a"] * 1000, every=0.01), total=IDLE)


async def test_a_stalled_one_costs_the_others_nothing() -> None:
    patience, loop = Patience(IDLE), asyncio.get_running_loop()
    stalled = asyncio.create_task(patience.read(Client(ends=False).receive, 1000, loop))
    await asyncio.sleep(0)
    for _ in range(3):
        assert await patience.read(Client(b"{}", every=IDLE / 2).receive, 1000, loop) == b"{}"
    with pytest.raises(RequestTimeout):
        await stalled
    assert await patience.read(Client(b"{}").receive, 1000, loop) == b"{}"


async def test_a_cancellation_by_somebody_else_passes() -> None:
    reading = asyncio.create_task(read(Client(ends=False)))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_what_ends_the_reading_otherwise_passes() -> None:
    async def left() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(PayloadTooLarge):
        await read(Client(b"a" * 1001))
    with pytest.raises(ClientDisconnected):
        await Patience(IDLE).read(left, 1000, asyncio.get_running_loop())


async def test_nobody_is_looked_for_when_nobody_waits() -> None:
    patience, loop = Patience(IDLE), asyncio.get_running_loop()
    await patience.read(Client(b"{}").receive, 1000, loop)
    await asyncio.sleep(IDLE / 2)
    assert not patience._loops


def test_event_loops_do_not_share_their_looks() -> None:
    patience = Patience(IDLE)

    async def stall() -> None:
        with pytest.raises(RequestTimeout):
            await patience.read(Client(ends=False).receive, 1000, asyncio.get_running_loop())

    for _ in range(2):
        asyncio.run(stall())
