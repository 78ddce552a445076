"""A real ``redis-server`` of the tests' own."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.servers import free_port

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")


class RedisServer:
    """An async context manager; ``kill`` and ``start`` play an outage on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        assert PROGRAM is not None
        command = [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = self._run(command)
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                await asyncio.sleep(0.02)

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (Path(self._directory.name) / "log").open("wb") as log:
            return subprocess.Popen(command, cwd=self._directory.name, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """It hangs: connections stay, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._directory.cleanup()


class Lossy:
    """Stands before a server and passes everything on, but for the answers that it loses while ``losing``."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._loses_soon = False
        self.losing = False
        self.lost = asyncio.Event()
        self.answered = asyncio.Event()
        """Whether the server has answered while answers were held."""
        self.held: asyncio.Event | None = None
        """Answers wait for it, where it is set."""
        self._relays: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def lose_after_next_take(self) -> None:
        self._loses_soon = True

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for relay in tuple(self._relays):
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)
        await self._listener.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the listener reports what its connections raise
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._server.port)
            with contextlib.closing(writer), contextlib.closing(to_server):
                await asyncio.gather(self._pass_commands(reader, to_server), self._pass_answers(from_server, writer))
        self._relays.discard(task)

    async def _pass_commands(self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            to_server.write(data)
            await to_server.drain()
        to_server.close()

    async def _pass_answers(self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await from_server.read(65536):
            if self.held is not None:
                self.answered.set()
                await self.held.wait()
            if self.losing:
                self.lost.set()
                continue
            if self._loses_soon and data.startswith(b"*"):  # the answer of a decision is a list
                self.losing, self._loses_soon = True, False
            writer.write(data)
            await writer.drain()
