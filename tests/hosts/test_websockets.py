"""WebSockets are refused before they are accepted, which servers make a 403 of the handshake."""

from __future__ import annotations

from openai_gateway_asgi import Gateway
from tests.hosts.apps import Host
from tests.support.asgi import make_scope


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
