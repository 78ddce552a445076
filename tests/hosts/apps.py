"""The hosts that the gateway is tested in, and the places in which each of them is served."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from django.core.asgi import get_asgi_application
from fastapi import Depends, FastAPI, HTTPException
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from openai_gateway_asgi import Gateway, Grant, Grants, Upstream, User
from openai_gateway_asgi.contrib.django import mount
from openai_gateway_asgi.testing import FakeUpstream
from tests.support.servers import Http, serve

MODELS = ("tiny-chat", "org/large", "secret")
USERS = {"ada-token": User(id="ada", groups={"staff"}), "bob-token": User(id="bob")}
PROXY = "/proxy"


async def resolve_user(request: Request) -> User | None:
    return USERS.get(request.headers.get("authorization", "").removeprefix("Bearer "))


def make_gateway(upstream: FakeUpstream) -> Gateway:
    """Ada may use every model, bob all but ``secret``."""
    return Gateway(
        [Upstream("http://upstream.test/v1", api_key="sk-upstream")],
        resolve_user=resolve_user,
        authorize_model=Grants(
            {"tiny-chat": Grant(public=True), "org/*": Grant(public=True), "secret": Grant(groups={"staff"})}
        ),
        transport=upstream.transport(),
    )


def starlette(gateway: Gateway) -> ASGIApp:
    return Starlette(routes=[Mount("/llm", gateway)], lifespan=gateway.lifespan)


def nested(gateway: Gateway) -> ASGIApp:
    inner = Starlette(routes=[Mount("/inner", routes=[Mount("/llm", gateway)])])
    return Starlette(routes=[Mount("/outer", inner)], lifespan=gateway.lifespan)


def fastapi(gateway: Gateway) -> ASGIApp:
    app = FastAPI(lifespan=gateway.lifespan)
    app.mount("/llm", gateway)
    return app


async def signed_in(user: Annotated[User | None, Depends(resolve_user)]) -> User:
    if user is None:
        raise HTTPException(401, "Who are you?")
    return user


def fastapi_route(gateway: Gateway) -> ASGIApp:
    app = FastAPI(lifespan=gateway.lifespan)

    @app.api_route("/ai/{path:path}", methods=["GET", "HEAD", "POST"])
    async def ai(user: Annotated[User, Depends(signed_in)]) -> Response:
        return gateway.response(user)

    return app


def django(gateway: Gateway) -> ASGIApp:
    return mount(gateway, "/llm", inside=get_asgi_application())


def bare(gateway: Gateway) -> ASGIApp:
    return gateway


@dataclass(frozen=True, slots=True)
class Host:
    """A way to host the gateway, and the prefix that this puts before its paths.

    No prefix is ``/openai``: the gateway takes a path that begins so for one of Azure's, even where it got lost.
    """

    name: str
    build: Callable[[Gateway], ASGIApp]
    prefix: str


HOSTS = (
    Host("starlette", starlette, "/llm"),
    Host("nested", nested, "/outer/inner/llm"),
    Host("fastapi", fastapi, "/llm"),
    Host("fastapi-route", fastapi_route, "/ai"),
    Host("django", django, "/llm"),
    Host("bare", bare, ""),
)


@dataclass(frozen=True, slots=True)
class Placement:
    """``root-path`` is uvicorn's: paths come with it. ``stripped`` is a proxy's that only ``root_path`` tells of."""

    host: Host
    how: Literal["prefix", "root-path", "stripped"]
    http: Http


PLACEMENTS = (
    *(Placement(host, "prefix", "h11") for host in HOSTS),
    *(Placement(host, "root-path", "httptools") for host in HOSTS),
    # Starlette itself loses its way here between nested applications, before anything reaches the gateway.
    *(Placement(host, "stripped", "h11") for host in HOSTS if host.build is not nested),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A running host; ``url`` is where the API begins, up to and with ``/v1``."""

    url: str

    def client(self, token: str) -> AsyncOpenAI:
        # Making the trust for https takes longer than a test, and this is http.
        http = DefaultAsyncHttpxClient(verify=False, trust_env=False)
        return AsyncOpenAI(base_url=self.url, api_key=token, max_retries=0, http_client=http)


@contextlib.asynccontextmanager
async def served(placement: Placement, gateway: Gateway) -> AsyncIterator[Place]:
    app = placement.host.build(gateway)
    if placement.how == "stripped":
        app = told_of_a_proxy(app)
    root_path = PROXY if placement.how == "root-path" else ""
    async with serve(app, http=placement.http, root_path=root_path) as server:
        yield Place(f"{server.url}{placement.host.prefix}/v1")


def told_of_a_proxy(app: ASGIApp) -> ASGIApp:
    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": PROXY} if scope["type"] == "http" else scope, receive, send)

    return told
