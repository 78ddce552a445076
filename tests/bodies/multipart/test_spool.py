"""Bytes come out as they went in, whatever of them is on disk and whoever is quicker."""

from __future__ import annotations

import asyncio
import os

import pytest

from openai_gateway_asgi.bodies.multipart.spool import PIECES, WINDOW, Spool
from tests.support.leaks import Holdings


async def emptied(spool: Spool) -> bytes:
    pieces = []
    while not spool.empty:
        pieces.append(await spool.read())
    return b"".join(pieces)


@pytest.mark.parametrize("sizes", [[5], [WINDOW], [WINDOW, 1], [WINDOW + 1, 7, WINDOW, 3], [3 * WINDOW, 1], [0, 1]])
async def test_bytes_keep_their_order_in_memory_and_on_disk(sizes: list[int]) -> None:
    spool = Spool()
    chunks = [os.urandom(size) for size in sizes]
    for chunk in chunks:
        await spool.write(chunk)

    assert await emptied(spool) == b"".join(chunks)
    spool.close()


async def test_writing_and_reading_in_turns_keeps_the_order() -> None:
    spool = Spool()
    written, read = b"", b""
    for size in (WINDOW, WINDOW, 10, WINDOW, 10):
        chunk = os.urandom(size)
        written += chunk
        await spool.write(chunk)
        read += await spool.read()

    assert read + await emptied(spool) == written
    spool.close()


async def test_a_reader_waits_for_what_is_on_its_way_to_disk() -> None:
    spool = Spool()
    writing = asyncio.create_task(spool.write(b"x" * (WINDOW + 1)))
    await asyncio.sleep(0)

    assert not spool.empty
    assert len(await emptied(spool)) == WINDOW + 1
    await writing
    spool.close()


async def test_many_small_pieces_do_not_stay_in_memory() -> None:
    before = Holdings.of_process()
    spool = Spool()
    for _ in range(PIECES):
        await spool.write(b"xy")
    assert Holdings.of_process().left_since(before) == []
    await spool.write(b"xy")

    assert len(Holdings.of_process().left_since(before)) == 1
    assert await emptied(spool) == b"xy" * (PIECES + 1)
    spool.close()
    assert Holdings.of_process().left_since(before) == []
