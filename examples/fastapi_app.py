"""A FastAPI application whose users call models through the gateway, in both of the ways there are.

Three terminals, from the root of the repository:

    python examples/local_upstream.py --port 9101
    python -m uvicorn examples.fastapi_app:app --port 8000
    python examples/ask.py --url http://127.0.0.1:8000/openai/v1 --key ada-demo-token --model tiny-secret

Mounted under /openai, the gateway asks ``resolve_user`` who is there. Under /ai it is a route of the application's
own, and the application's dependencies decide. On both, bob may use tiny-chat, and to him there is no other model:

    python examples/ask.py --url http://127.0.0.1:8000/ai/v1 --key bob-demo-token --model tiny-chat
    python examples/ask.py --url http://127.0.0.1:8000/ai/v1 --key bob-demo-token --model tiny-secret
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response

from openai_gateway_asgi import Gateway, Grant, Grants, Upstream, User

UPSTREAM = os.environ.get("UPSTREAM_URL", "http://127.0.0.1:9101/v1")
AT_ONCE = 2

# What your application knows about its users; yours asks a session or a database.
USERS = {
    "ada-demo-token": User(id="ada", groups={"staff"}),
    "bob-demo-token": User(id="bob"),
}


async def resolve_user(request: Request) -> User | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return USERS.get(token) if scheme.lower() == "bearer" else None


gateway = Gateway(
    [Upstream(UPSTREAM, api_key="sk-local")],
    resolve_user=resolve_user,
    authorize_model=Grants({"tiny-chat": Grant(public=True), "*": Grant(groups={"staff"})}),
)

app = FastAPI(lifespan=gateway.lifespan)
app.mount("/openai", gateway)

running: Counter[str] = Counter()


async def caller(user: Annotated[User | None, Depends(resolve_user)]) -> AsyncIterator[User]:
    """Who asks, for as long as the answer takes: what stands after ``yield`` runs when a stream is over."""
    if user is None:
        raise HTTPException(401, "Who are you?", {"WWW-Authenticate": "Bearer"})
    if running[user.id] == AT_ONCE:
        raise HTTPException(429, f"At most {AT_ONCE} calls at once, please.")
    running[user.id] += 1
    try:
        yield user
    finally:
        running[user.id] -= 1


@app.api_route("/ai/{path:path}", methods=["GET", "POST"], include_in_schema=False)
async def ai(user: Annotated[User, Depends(caller)]) -> Response:
    return gateway.response(user)
