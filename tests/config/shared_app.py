"""A host whose gateway keeps its configuration in the file that ``SHARED_CONFIG`` names; everyone is its admin."""

from __future__ import annotations

import os

from starlette.types import Message, Receive, Scope, Send

from openai_gateway_asgi import FileStore, Gateway, Upstream, User, everyone

gateway = Gateway(
    FileStore(os.environ["SHARED_CONFIG"], [Upstream("http://127.0.0.1:9/v1", model_ids=["before"])]),
    resolve_user=lambda request: User("ann", role="admin"),
    authorize_model=everyone,
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The gateway, telling in a header which process answers."""

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-process", str(os.getpid()).encode())]
        await send(message)

    await gateway(scope, receive, telling if scope["type"] == "http" else send)
