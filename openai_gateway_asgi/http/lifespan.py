"""The scopes other than http: answered when the gateway is the root application, refused otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .asgi import Receive, Send


async def answer_lifespan(receive: Receive, send: Send, close: Callable[[], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await close()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def refuse_websocket(receive: Receive, send: Send) -> None:
    """A close before the accept; servers make it a 403 of the handshake."""
    message = await receive()
    if message["type"] == "websocket.connect":
        await send({"type": "websocket.close", "code": 1008, "reason": "WebSockets are not served here."})
