from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from openai_gateway_asgi.errors import UpstreamError
from openai_gateway_asgi.upstream.inflate import PIECE, inflater
from openai_gateway_asgi.upstream.response_reads import PIECES, Reads

TEXT = b"data: hello\n\n" * 10


def inflated(coding: str, *reads: bytes) -> bytes:
    inflate = inflater(coding)
    return b"".join(piece for read in reads for piece in inflate(read))


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("", TEXT),
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT, mtime=0)),
        (" X-GZIP ", gzip.compress(TEXT, mtime=0)),
        ("deflate", zlib.compress(TEXT)),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_however_it_is_split_the_text_comes_out(coding: str, data: bytes, size: int) -> None:
    assert inflated(coding, *(data[at : at + size] for at in range(0, len(data), size))) == TEXT


def test_one_member_may_follow_another() -> None:
    both = gzip.compress(b"one ") + gzip.compress(b"two")
    assert inflated("gzip", both) == b"one two"
    assert inflated("gzip", both[:26], both[26:]) == b"one two"


def test_what_was_flushed_comes_at_once() -> None:
    packer = zlib.compressobj(wbits=31)
    inflate = inflater("gzip")
    for word in (b"one ", b"two "):
        read = packer.compress(word) + packer.flush(zlib.Z_SYNC_FLUSH)
        assert b"".join(inflate(read)) == word


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 20_000_000])
def test_a_bomb_comes_in_bounded_pieces(size: int) -> None:
    sizes = [len(piece) for piece in inflater("gzip")(gzip.compress(b"0" * size))]
    assert sum(sizes) == size
    assert max(sizes) <= PIECE


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "x"])
def test_an_unknown_coding_is_an_error(coding: str) -> None:
    with pytest.raises(UpstreamError):
        inflater(coding)


def test_broken_data_is_an_error() -> None:
    with pytest.raises(UpstreamError):
        inflated("gzip", b"this is not gzip")


async def test_others_have_their_turns_while_a_bomb_is_read() -> None:
    response = httpx.Response(200, stream=OneRead(gzip.compress(bytes(160 * PIECE))))
    reads, turns = Reads(response, inflater("gzip")), 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(others())
    size = 0
    while (piece := await reads.next()) is not None:
        size += len(piece)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert size == 160 * PIECE
    assert turns >= 160 // PIECES


class OneRead(httpx.AsyncByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
