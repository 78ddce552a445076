"""The gateway in a process of its own, behind any of the servers; see ``programs``."""

from __future__ import annotations

import importlib.util
import json
import resource
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import pytest

from tests.reliability.clients import Client
from tests.support.servers import Program, free_port, serve_program

FILES = 16_384
"""Descriptors that a thousand streams need, theirs and the upstream's and the clients' in one process."""

OTHERS = ("hypercorn", "granian")
"""Servers that only the long run tries."""


@contextmanager
def many_files() -> Iterator[None]:
    """Raises this process's limit, which programs that it starts take over."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, FILES)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run(server: str, app: str, env: Mapping[str, str] = {}) -> AbstractAsyncContextManager[Program]:
    """Serves ``app`` of ``programs``; ``server`` is a parser of uvicorn's, or one of ``OTHERS``."""
    app = f"tests.reliability.programs:{app}"
    env = {"DRAIN_WITHIN": "1", **env}
    if server not in OTHERS:
        own = ("--port", "0", "--ws", "none", "--loop", "asyncio", "--backlog", "4096", "--no-access-log")
        return serve_program("python", "-m", "uvicorn", *own, "--http", server, app, env=env)
    if importlib.util.find_spec(server) is None:
        pytest.skip(f'{server} is not installed: pip install "openai-gateway-asgi[soak]"')
    port = free_port()
    if server == "hypercorn":
        own = ("--bind", f"127.0.0.1:{port}", "--backlog", "4096", "--graceful-timeout", "1")
    else:
        own = ("--host", "127.0.0.1", "--port", str(port), "--interface", "asgi", "--loop", "asyncio", "--no-ws",
               "--http", "1", "--backlog", "4096", "--backpressure", "4096")  # fmt: skip
    return serve_program("python", "-m", server, *own, app, port=port, env=env)


async def vitals(program: Program, part: str = "") -> dict[str, Any]:
    """What the process says of itself: see ``vitals``."""
    return await said_at(program, f"/vitals/{part}")


async def said_at(program: Program, path: str) -> dict[str, Any]:
    client = await Client.to(program)
    await client.send(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
    answer = await client.rest()
    await client.close()
    seen: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return seen
