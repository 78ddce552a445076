"""A file of any size passes through a window of a few megabytes, on whichever side of it the model stands."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from openai_gateway_asgi.bodies.multipart import Edits, Limits, Rules, Upload
from openai_gateway_asgi.http.asgi import Message
from tests.bodies.multipart.forms import CONTENT_TYPE, FILE_HEAD, MODEL, form, share

MIB = 1024 * 1024
CHUNK = 65536
ALLOWED = 20 * MIB
STATM = Path("/proc/self/statm")

pytestmark = pytest.mark.skipif(not STATM.exists(), reason="the resident size is read from /proc")


def resident() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pieces(size: int, *, model_first: bool) -> Iterator[bytes]:
    """A form with a file of ``size`` bytes, of which only one chunk exists at a time."""
    file = (FILE_HEAD, b"@")
    before, after = form(*((MODEL, file) if model_first else (file, MODEL))).split(b"@")
    yield before
    for _ in range(size // CHUNK):
        yield os.urandom(CHUNK)
    yield after


async def growth(size: int, *, model_first: bool) -> int:
    """By how many bytes the process grew at most while an upload went through; checks that all of it did."""
    left = pieces(size, model_first=model_first)
    peak = before = resident()
    received = 0

    async def receive() -> Message:
        nonlocal peak, received
        await asyncio.sleep(0)
        received += 1
        peak = max(peak, resident() if received % 16 == 0 else 0)
        chunk = next(left, b"")
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    upload = await Upload.open(receive, CONTENT_TYPE, Rules(limits=Limits(total=2 * size)), share())
    sent = 0
    try:
        async for piece in upload.body(Edits({"model": b"served"})):
            sent += len(piece)
            peak = max(peak, resident())
    finally:
        await upload.aclose()
    assert size < sent < size + 1000
    return peak - before


@pytest.mark.parametrize("model_first", [True, False], ids=["model first", "model last"])
@pytest.mark.parametrize(
    "size", [200 * MIB, pytest.param(500 * MIB, marks=pytest.mark.soak)], ids=["200 MiB", "500 MiB"]
)
async def test_a_large_upload_adds_little_to_the_process(size: int, model_first: bool) -> None:
    await growth(4 * MIB, model_first=model_first)

    assert await growth(size, model_first=model_first) <= ALLOWED
