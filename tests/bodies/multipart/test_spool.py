"""Bytes come out as they went in, whatever of them is on disk and whoever is quicker."""

from __future__ import annotations

import asyncio
import os

import pytest

from openai_gateway_asgi.bodies.multipart import Shares
from openai_gateway_asgi.bodies.multipart import shares as shares_module
from openai_gateway_asgi.bodies.multipart.spool import PIECES, WINDOW, Spool
from tests.bodies.multipart.forms import share
from tests.support.leaks import Holdings


async def emptied(spool: Spool) -> bytes:
    pieces = []
    while not spool.empty:
        pieces.append(await spool.read())
    return b"".join(pieces)


@pytest.mark.parametrize("sizes", [[5], [WINDOW], [WINDOW, 1], [WINDOW + 1, 7, WINDOW, 3], [3 * WINDOW, 1], [0, 1]])
async def test_bytes_keep_their_order_in_memory_and_on_disk(sizes: list[int]) -> None:
    spool = Spool(share())
    chunks = [os.urandom(size) for size in sizes]
    for chunk in chunks:
        await spool.write(chunk)

    assert await emptied(spool) == b"".join(chunks)
    spool.close()


async def test_writing_and_reading_in_turns_keeps_the_order() -> None:
    spool = Spool(share())
    written, read = b"", b""
    for size in (WINDOW, WINDOW, 10, WINDOW, 10):
        chunk = os.urandom(size)
        written += chunk
        await spool.write(chunk)
        read += await spool.read()

    assert read + await emptied(spool) == written
    spool.close()


async def test_a_reader_waits_for_what_is_on_its_way_to_disk() -> None:
    spool = Spool(share())
    writing = asyncio.create_task(spool.write(b"x" * (WINDOW + 1)))
    await asyncio.sleep(0)

    assert not spool.empty
    assert len(await emptied(spool)) == WINDOW + 1
    await writing
    spool.close()


async def test_small_pieces_are_put_together_and_stay_in_memory() -> None:
    before = Holdings.of_process()
    spool = Spool(share())
    count = 20 * PIECES
    for _ in range(count):
        await spool.write(b"xy")
    assert Holdings.of_process().left_since(before) == []
    assert len(await spool.read()) >= PIECES
    assert len(await emptied(spool)) <= 2 * (count - PIECES)
    spool.close()


# What a user may hold


def both(limit: int) -> tuple[Shares, Spool, Spool]:
    """Two spools of one user's."""
    shares = Shares(limit)
    return shares, Spool(shares.of("ann")), Spool(shares.of("ann"))


async def test_what_is_beyond_the_users_share_stays_in_memory_and_is_told_of() -> None:
    shares, one, other = both(WINDOW + 10)
    await one.write(bytes(WINDOW + 10))
    assert not one.full
    await other.write(bytes(WINDOW))
    assert not other.full
    await other.write(b"!")
    assert other.full

    assert await emptied(other) == bytes(WINDOW) + b"!"
    assert not other.full
    assert await emptied(one) == bytes(WINDOW + 10)
    one.close()
    other.close()
    assert shares.held() == {}


async def test_what_was_read_makes_room_on_the_disk() -> None:
    shares, one, other = both(WINDOW + 10)
    await one.write(bytes(WINDOW + 10))
    await emptied(one)
    assert shares.held() == {}
    for _ in range(3):
        await other.write(os.urandom(WINDOW + 1))
        assert not other.full
        assert len(await emptied(other)) == WINDOW + 1
    one.close()
    other.close()


async def test_other_users_have_shares_of_their_own() -> None:
    shares = Shares(WINDOW + 1)
    spools = [Spool(shares.of(name)) for name in ("ann", "ben")]
    for spool in spools:
        await spool.write(bytes(WINDOW + 1))
        assert not spool.full
    for spool in spools:
        spool.close()


async def test_where_a_user_holds_much_memory_the_disk_is_used_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares_module, "MEMORY", 100)
    before = Holdings.of_process()
    _, one, other = both(WINDOW)
    await one.write(bytes(100))
    assert Holdings.of_process().left_since(before) == []
    await other.write(b"12345")
    assert len(Holdings.of_process().left_since(before)) == 1
    assert await emptied(other) == b"12345"
    one.close()
    other.close()


async def test_closing_gives_everything_back_also_while_a_thread_is_at_work() -> None:
    shares, one, other = both(10 * WINDOW)
    await one.write(bytes(WINDOW + 1))
    await other.write(bytes(10))
    writing = asyncio.create_task(one.write(bytes(WINDOW + 1)))
    await asyncio.sleep(0)
    one.close()
    other.close()
    await writing
    await asyncio.sleep(0)
    assert shares.held() == {}
    one.close()
    assert shares.held() == {}
