"""WebSockets are refused before they are accepted, which a client sees as a 403, and nothing is logged as a failure."""

from __future__ import annotations

import asyncio

import pytest

from openai_gateway_asgi import Gateway
from tests.hosts.apps import Host
from tests.support.asgi import make_scope
from tests.support.servers import serve_program

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def test_a_websocket_is_closed_before_it_opens(host: Host, gateway: Gateway) -> None:
    scope = make_scope(path=f"{host.prefix}/v1/realtime", type="websocket", scheme="ws", subprotocols=[])
    del scope["method"]
    arriving = [{"type": "websocket.connect"}]
    sent = []

    async def receive() -> dict[str, object]:
        return arriving.pop()

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await host.build(gateway)(scope, receive, send)  # type: ignore[arg-type]

    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("name", ["starlette", "fastapi", "django"])
async def test_the_handshake_is_answered_with_403(name: str) -> None:
    command = ("python", "-m", "uvicorn", f"tests.hosts.programs:{name}", "--port", "0", "--ws", "websockets-sansio")
    async with serve_program(*command, env={"UPSTREAM_URL": "http://127.0.0.1:1/v1"}) as program:
        reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
        writer.write(HANDSHAKE.format(path="/openai/v1/realtime").encode())
        status = await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert status.startswith(b"HTTP/1.1 403")
    assert "Traceback" not in program.output
