"""Real servers for tests: uvicorn in the test's own event loop, and programs in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import uvicorn
from starlette.types import ASGIApp

__all__ = ["Program", "Server", "free_port", "serve", "serve_program", "serve_workers"]

ROOT = Path(__file__).resolve().parents[2]
START_PATIENCE = 20.0
"""Seconds for a server to start: generous, as the machine may be busy; only a broken start waits so long."""
STOP_PATIENCE = 5.0
SETTLE = 0.25
"""Seconds that an app has to end by itself once its clients have been cut off; after them it is cancelled."""

Http = Literal["h11", "httptools"]
Lifespan = Literal["auto", "on", "off"]

_OWN_PORTS = range(10_000, 32_000)
_PORTS = (_OWN_PORTS[(101 * os.getpid() + n) % len(_OWN_PORTS)] for n in itertools.count())

_ANNOUNCED = re.compile(r"running on https?://[^:\s]+:(\d+)")
_STARTED = re.compile(r"Started server process \[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. ``url`` has no trailing slash."""

    url: str
    port: int


@contextlib.asynccontextmanager
async def serve(
    app: ASGIApp,
    *,
    http: Http = "h11",
    root_path: str = "",
    lifespan: Lifespan = "auto",
    send_buffer: int | None = None,
    **options: Any,
) -> AsyncIterator[Server]:
    """Serves ``app`` on a free loopback port, in this event loop.

    ``http`` is ``"h11"`` or ``"httptools"``; ``send_buffer`` is how many bytes the kernel takes that no client has taken
    yet (its own choice are megabytes); ``options`` go to ``uvicorn.Config``. At the end every connection is
    cut, so that apps see their clients leave, and what still runs after ``SETTLE`` seconds is cancelled.
    """
    config = uvicorn.Config(
        app, http=http, ws="none", loop="none", root_path=root_path, lifespan=lifespan, log_config=None, **options
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # asyncio does so for sockets that it makes itself; without it each small answer waits 40 ms for the client's ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        server = _EventServer(config)
        port = listener.getsockname()[1]
        running = asyncio.create_task(server.serve(sockets=[listener]), name=f"uvicorn:{port}")
        try:
            await _first_of(running, server.ready.wait())
            yield Server(f"{'https' if config.is_ssl else 'http'}://127.0.0.1:{port}", port)
        finally:
            server.leave.set()
            if not server.ready.is_set():
                running.cancel()
            await asyncio.gather(running, return_exceptions=not server.ready.is_set())


async def _first_of(running: asyncio.Task[None], ready: Any) -> None:
    """Returns when ``ready`` does; raises what ``running`` raises before that."""
    waiting = asyncio.ensure_future(ready)
    try:
        await asyncio.wait([running, waiting], timeout=START_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        assert waiting.done(), f"The app did not start within {START_PATIENCE} s."
    finally:
        waiting.cancel()


class _EventServer(uvicorn.Server):
    """uvicorn, driven by events where the original polls, and without its hands on the process's signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.leave = asyncio.Event()

    def capture_signals(self) -> contextlib.nullcontext[None]:  # type: ignore[override]
        return contextlib.nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise RuntimeError("The app refused to start; its reason is in the log.") from error
        self.ready.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.leave.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self._end_requests()
        await self.lifespan.shutdown()

    async def _end_requests(self) -> None:
        requests = set(self.server_state.tasks)
        if requests:
            _, stubborn = await asyncio.wait(requests, timeout=SETTLE)
            for request in stubborn:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)


@dataclass(slots=True)
class Program:
    """A program in a process of its own. ``output`` is all that it has printed, on either stream."""

    process: asyncio.subprocess.Process
    port: int = 0
    output: str = ""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def worker_pids(self) -> list[int]:
        """The processes of uvicorn that serve, in the order in which they started."""
        return [int(pid) for pid in _STARTED.findall(self.output)]

    def terminate(self) -> None:
        """Asks the program to stop, as a process manager does."""
        self.process.terminate()

    async def until(self, holds: Callable[[str], object], seconds: float = START_PATIENCE) -> None:
        """Waits until ``holds(output)``, looking again at every line; fails if the program ends before that."""
        try:
            async with asyncio.timeout(seconds):
                while not holds(self.output):
                    assert not self._closed, f"The program ended early:\n{self.output}"
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"Not within {seconds} s; the program's output:\n{self.output}") from None

    @property
    def _closed(self) -> bool:
        assert self.process.stdout is not None
        return self.process.stdout.at_eof()

    async def _collect(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.output += line.decode(errors="replace")
            self._news.set()
        self._news.set()


@contextlib.asynccontextmanager
async def serve_program(
    *command: str,
    port: int | None = None,
    workers: int = 1,
    env: Mapping[str, str] | None = None,
    patience: float = START_PATIENCE,
) -> AsyncIterator[Program]:
    """Runs a command that serves HTTP on loopback, from the root of the repository; kills it and its children.

    ``port`` is where it will listen; without one the command must be told port 0 and announce the port as uvicorn
    does. ``python`` as the first word is this interpreter. Ready means: announced, as many workers started as there
    are to be, and accepting connections, within ``patience`` seconds.
    """
    program = await _start(command, env or {})
    reading = asyncio.create_task(program._collect())
    try:
        program.port = port or await _announced_port(program)
        if port is None:
            await program.until(lambda _: len(program.worker_pids) >= workers)
        await _until_accepting(program, patience)
        yield program
    finally:
        await _stop(program)
        await reading


def serve_workers(
    app: str, *, workers: int = 2, env: Mapping[str, str] | None = None, args: Sequence[str] = ()
) -> contextlib.AbstractAsyncContextManager[Program]:
    """Runs ``python -m uvicorn app --workers N`` on a free port; ``app`` is ``"module:attribute"``."""
    own = ("--host", "127.0.0.1", "--port", "0", "--ws", "none", "--workers", str(workers))
    return serve_program("python", "-m", "uvicorn", app, *own, *args, workers=workers, env=env)


def free_port() -> int:
    """A port that nobody listens on, for programs that cannot announce their own; a new one each time.

    It is none of those that the kernel gives away by itself, and processes that run tests beside this one begin
    elsewhere: until the program listens, nobody takes it.
    """
    for port in _PORTS:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("unreachable")


async def _start(command: Sequence[str], env: Mapping[str, str]) -> Program:
    words = [sys.executable if word == "python" and n == 0 else word for n, word in enumerate(command)]
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,  # one group, so that workers can be killed with their parent
    )
    return Program(process)


async def _announced_port(program: Program) -> int:
    await program.until(_ANNOUNCED.search)
    found = _ANNOUNCED.search(program.output)
    assert found is not None
    return int(found[1])


async def _until_accepting(program: Program, patience: float) -> None:
    async with asyncio.timeout(patience):
        while True:
            assert not program._closed, f"The program ended early:\n{program.output}"
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", program.port)
                writer.close()
                return await writer.wait_closed()
            await asyncio.sleep(0.02)  # nothing tells when another process starts to listen


async def _stop(program: Program) -> None:
    with contextlib.suppress(ProcessLookupError):
        program.process.terminate()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(program.process.wait(), STOP_PATIENCE)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.process.pid, signal.SIGKILL)
    await program.process.wait()
