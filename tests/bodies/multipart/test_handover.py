"""From the client to the one who writes upstream: who reads when."""

from __future__ import annotations

import asyncio

import pytest

from openai_gateway_asgi.bodies.multipart import Limits
from openai_gateway_asgi.bodies.multipart.handover import STALL, Handover
from openai_gateway_asgi.bodies.multipart.intake import Intake
from openai_gateway_asgi.bodies.multipart.spool import Spool
from openai_gateway_asgi.errors import ClientDisconnected, PayloadTooLarge
from openai_gateway_asgi.http.cancellation import Deadline
from tests.bodies.multipart.forms import Client, cut, share

MIB = 1024 * 1024
BODY = bytes(range(256)) * 1024


class Way:
    """A handover with what it stands between."""

    def __init__(self, client: Client, spooled: bytes = b"", total: int = 9 * MIB) -> None:
        self.client = client
        self.spool = Spool(share())
        self._spooled = spooled
        self._total = total

    async def __aenter__(self) -> Way:
        if self._spooled:
            await self.spool.write(self._spooled)
        self.handover = Handover(Intake(self.client.receive, Limits(total=self._total)), self.spool)
        return self

    async def take(self) -> bytes:
        with Deadline() as deadline:
            return await self.handover.take(deadline)

    async def rest(self) -> bytes:
        whole = b""
        while piece := await self.take():
            whole += piece
        return whole

    async def __aexit__(self, *_: object) -> None:
        self.spool.close()
        await self.handover.aclose()


async def test_nothing_is_read_before_it_is_taken() -> None:
    async with Way(Client(cut(BODY, 1000))) as way:
        for number in range(1, 5):
            await asyncio.sleep(0)
            assert await way.take() == BODY[(number - 1) * 1000 : number * 1000]
            assert way.client.taken == number * 1000
        assert way.spool.empty


async def test_what_was_spooled_at_the_start_comes_first() -> None:
    async with Way(Client([b"late"]), spooled=b"early") as way:
        assert [await way.take(), await way.take(), await way.take()] == [b"early", b"late", b""]


async def test_while_the_taker_stands_still_the_client_is_read_to_the_spool() -> None:
    async with Way(Client(cut(BODY, 1000))) as way:
        first = await way.take()
        await asyncio.sleep(STALL * 2)
        assert way.client.taken == len(BODY)
        assert first + await way.rest() == BODY


async def test_a_taker_that_moves_again_reads_for_itself_again() -> None:
    client = Client([b"one"], ends=False)
    async with Way(client) as way:
        await asyncio.sleep(STALL * 2)
        assert await way.take() == b"one"
        waiting = asyncio.create_task(way.take())
        await asyncio.sleep(0)
        client.send(b"two")
        assert await waiting == b"two"  # from the one who stood in
        await asyncio.sleep(0)
        client.send(b"three")
        await asyncio.sleep(0)
        assert client.taken == len(b"onetwo")
        assert await way.take() == b"three"


async def test_when_all_has_come_it_is_listened_for_the_clients_leaving() -> None:
    client = Client([BODY])
    async with Way(client) as way:
        assert await way.rest() == BODY
        client.leave()
        async with asyncio.timeout(STALL / 2):
            await way.handover.disconnected.wait()


async def test_the_first_failure_comes_before_all_that_waits() -> None:
    client = Client(cut(BODY, 1000), ends=False)
    async with Way(client, spooled=b"early", total=5000) as way:
        client.leave()
        async with asyncio.timeout(STALL * 4):
            await way.handover.disconnected.wait()
        with pytest.raises(PayloadTooLarge):
            await way.take()


async def test_closing_frees_a_taker_that_waits_for_the_client() -> None:
    async with Way(Client([], ends=False)) as way:
        waiting = asyncio.create_task(way.take())
        await asyncio.sleep(0)
    with pytest.raises(ClientDisconnected):
        await waiting
