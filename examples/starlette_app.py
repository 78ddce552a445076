"""A Starlette application whose users call models through the gateway, mounted under /openai.

Three terminals, from the root of the repository:

    python examples/local_upstream.py --port 9101
    python -m uvicorn examples.starlette_app:app --port 8000
    python examples/ask.py --url http://127.0.0.1:8000/openai/v1 --key ada-demo-token --model tiny-secret

Ada may use every model; bob may use tiny-chat, and to him there is no other:

    python examples/ask.py --url http://127.0.0.1:8000/openai/v1 --key bob-demo-token --model tiny-chat
    python examples/ask.py --url http://127.0.0.1:8000/openai/v1 --key bob-demo-token --model tiny-secret
"""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from openai_gateway_asgi import Gateway, Grant, Grants, Upstream, User

UPSTREAM = os.environ.get("UPSTREAM_URL", "http://127.0.0.1:9101/v1")

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


async def home(request: Request) -> Response:
    return PlainTextResponse("An application like any other. Its models are under /openai/v1.\n")


app = Starlette(routes=[Route("/", home), Mount("/openai", gateway)], lifespan=gateway.lifespan)
