"""The gateway opens by itself and closes with its host: told by a lifespan, or not told at all."""

from __future__ import annotations

import asyncio
import signal
import sys

import httpx
import pytest
from asgi_lifespan import LifespanManager
from starlette.applications import Starlette
from starlette.routing import Mount

from openai_gateway_asgi import Gateway, Upstream, User, everyone
from openai_gateway_asgi.contrib.django import mount
from openai_gateway_asgi.testing import FakeUpstream
from tests.hosts.apps import HOSTS, Host
from tests.support.asgi import ask
from tests.support.leaks import Holdings, settled_leaks
from tests.support.servers import ROOT, serve, serve_program

CHAT = {"model": "gpt-small", "messages": [{"role": "user", "content": "Hello?"}]}
STRICT = ("python", "-X", "dev", "-W", "error")


def over_sockets(url: str) -> Gateway:
    return Gateway(
        [Upstream(f"{url}/v1", api_key="sk-upstream")],
        resolve_user=lambda request: User(id="ada"),
        authorize_model=everyone,
    )


@pytest.mark.parametrize("host", [host for host in HOSTS if host.name != "fastapi-route"], ids=lambda host: host.name)
async def test_the_connections_close_when_the_host_stops(host: Host) -> None:
    async with serve(FakeUpstream()) as upstream:
        app = host.build(over_sockets(upstream.url))
        before = Holdings.of_loop()
        async with LifespanManager(app):
            answer = await ask(app, "POST", f"{host.prefix}/v1/chat/completions", json=CHAT, strict=False)
            assert answer.status == 200
            assert Holdings.of_loop().left_since(before)
        assert await settled_leaks(before) == []


async def test_the_gateway_serves_again_after_it_was_closed() -> None:
    async with serve(FakeUpstream()) as upstream:
        gateway = over_sockets(upstream.url)
        for _ in range(2):
            async with gateway.lifespan():
                assert (await ask(gateway, "POST", "/v1/chat/completions", json=CHAT)).status == 200


@pytest.mark.parametrize(
    ("name", "lifespan"), [("starlette", "auto"), ("starlette", "off"), ("fastapi", "auto"), ("django", "auto")]
)
async def test_a_host_without_wiring_serves_refuses_websockets_and_ends_without_noise(name: str, lifespan: str) -> None:
    async with serve(FakeUpstream()) as upstream:
        command = (*STRICT, "-m", "uvicorn", f"tests.hosts.programs:{name}", "--lifespan", lifespan, "--port", "0")
        env = {"UPSTREAM_URL": f"{upstream.url}/v1"}
        async with serve_program(*command, "--ws", "websockets-sansio", env=env) as program:
            async with httpx.AsyncClient(verify=False, trust_env=False) as client:
                answer = await client.post(f"{program.url}/openai/v1/chat/completions", json=CHAT)
            handshake = await websocket_handshake(program.port, "/openai/v1/realtime")
            # Unlike SIGTERM, after which uvicorn dies of the signal, this lets Python end as it does by itself.
            program.process.send_signal(signal.SIGINT)
            await program.process.wait()

    assert answer.json()["choices"][0]["message"]["content"] == "Hello from upstream."
    assert handshake == b"HTTP/1.1 403 Forbidden\r\n"
    assert [line for line in program.output.splitlines() if not line.startswith("INFO: ")] == []


async def websocket_handshake(port: int, path: str) -> bytes:
    """The first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return status


async def test_a_program_without_a_server_ends_without_noise() -> None:
    async with serve(FakeUpstream()) as upstream:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *STRICT[1:],
            "-m",
            "tests.hosts.programs",
            cwd=ROOT,
            env={"UPSTREAM_URL": f"{upstream.url}/v1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()

    assert output.decode() == "Hello from upstream."
    assert process.returncode == 0


async def test_a_gateway_within_middleware_is_told_of_the_lifespan_too() -> None:
    """``mount`` hands the lifespan to whatever it was given, so a wrapped gateway closes as a bare one does."""
    async with serve(FakeUpstream()) as upstream:
        gateway = over_sockets(upstream.url)
        app = mount(Starlette(routes=[Mount("/", gateway)], lifespan=gateway.lifespan), "/openai", inside=gateway)
        before = Holdings.of_loop()
        async with LifespanManager(app):
            assert (await ask(app, "POST", "/openai/v1/chat/completions", json=CHAT, strict=False)).status == 200
        assert await settled_leaks(before) == []
