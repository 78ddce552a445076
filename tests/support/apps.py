"""Small ASGI apps that servers in other processes can import quickly."""

from __future__ import annotations

import os

from starlette.types import Receive, Scope, Send


async def process_id(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers every request with the number of the process that serves it."""
    if scope["type"] != "http":
        raise RuntimeError(f"HTTP only, not {scope['type']}.")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
