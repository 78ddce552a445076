"""What a large file costs the process that it passes through: a window, however long it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.servers import Program, serve_program
from tests.surface.world import FORM

MIB = 1024 * 1024
PIECE = bytes(range(256)) * 1024
ALLOWED = 20 * MIB
FILE = b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
MODEL = b'--frontier\r\nContent-Disposition: form-data; name="model"\r\n\r\npre.m'
END = b"\r\n--frontier--\r\n"
SIZE = 500 * MIB

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


def peak(program: Program) -> int:
    """The most that the process has had resident, in bytes."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


class Upstream:
    """Counts what it gets and drops it, or gives a file of ``size`` bytes."""

    def __init__(self) -> None:
        self.taken = 0
        self.size = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n" % self.size)
            for _ in range(self.size // len(PIECE)):
                writer.write(PIECE)
                await writer.drain()
        else:
            last = b""
            while not last.endswith(b"\r\n0\r\n\r\n"):
                data = await reader.read(MIB)
                self.taken += len(data)
                last = (last + data)[-16:]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[Program, Upstream]]:
    upstream = Upstream()
    async with await asyncio.start_server(upstream, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        command = ("python", "-m", "uvicorn", "tests.surface.programs:app", "--host", "127.0.0.1", "--port", "0")
        async with serve_program(*command, "--ws", "none", env={"UPSTREAM": address}) as program:
            yield program, upstream


async def sent(program: Program, size: int, *, model_first: bool) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
    head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: t\r\nContent-Type: {FORM}\r\nConnection: close\r\n"
    before = MODEL + b"\r\n" + FILE if model_first else FILE
    after = END if model_first else b"\r\n" + MODEL + END
    count = size // len(PIECE)
    length = len(before) + count * len(PIECE) + len(after)
    writer.write(f"{head}Content-Length: {length}\r\n\r\n".encode() + before)
    for _ in range(count):
        writer.write(PIECE)
        await writer.drain()
    writer.write(after)
    answer = await reader.read()
    writer.close()
    return answer


async def fetched(program: Program) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
    writer.write(b"GET /v1/files/f/content HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    size = 0
    while data := await reader.read(MIB):
        size += len(data)
    writer.close()
    return size


@pytest.mark.parametrize("model_first", [True, False], ids=["model first", "model last"])
async def test_an_upload_adds_little_to_the_process(model_first: bool) -> None:
    async with gateway() as (program, upstream):
        assert b" 200 " in await sent(program, len(PIECE), model_first=model_first)
        before, upstream.taken = peak(program), 0

        assert b" 200 " in await sent(program, SIZE, model_first=model_first)

        assert upstream.taken > SIZE
        assert peak(program) - before <= ALLOWED


async def test_a_download_adds_little_to_the_process() -> None:
    async with gateway() as (program, upstream):
        upstream.size = len(PIECE)
        assert await fetched(program) == len(PIECE)
        before, upstream.size = peak(program), SIZE

        assert await fetched(program) == SIZE
        assert peak(program) - before <= ALLOWED
