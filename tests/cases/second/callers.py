"""Two callers, two APIs, and gateways in front of fake upstreams on sockets: for cases about what upstreams fail with."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.requests import Request

from openai_gateway_asgi import Gateway, MemoryStore, Settings, Upstream, User, everyone
from openai_gateway_asgi.testing import FakeUpstream
from tests.support.asgi import Response, ask

ANN, BOB, ROOT = "ann", "bob", "root"
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}
BODIES = {"chat": {"messages": [{"role": "user", "content": "hi"}]}, "responses": {"input": "hi"}}


def resolve_user(request: Request) -> User | None:
    """The bearer token is the name, and the upstream's too where it is asked with the caller's own."""
    name = request.headers.get("authorization", "").removeprefix("Bearer ")
    return User(id=name, name=name, role="admin" if name == ROOT else "user") if name else None


def at(fake: FakeUpstream, name: str, *models: str, **options: Any) -> Upstream:
    return Upstream(
        f"{fake.url}/v1", **{"name": name, "api_key": f"sk-{name}", "model_ids": models or ["m"], **options}
    )


@contextlib.asynccontextmanager
async def gateway_to(
    *upstreams: Upstream,
    fallbacks: Mapping[str, Sequence[str]] = {},
    settings: Mapping[str, Any] = {},
    **options: Any,
) -> AsyncIterator[Gateway]:
    gateway = Gateway(
        MemoryStore(upstreams, fallbacks=fallbacks),
        resolve_user=resolve_user,
        authorize_model=everyone,
        settings=Settings(**settings),
        **options,
    )
    async with gateway.lifespan():
        yield gateway


async def call(
    gateway: Gateway, user: str = ANN, *, api: str = "chat", model: str = "m", stream: bool = False, **fields: Any
) -> Response:
    body = {"model": model, **BODIES[api], "stream": stream, **fields}
    return await ask(gateway, "POST", PATHS[api], json=body, headers={"authorization": f"Bearer {user}"})


async def get(gateway: Gateway, path: str, user: str = ROOT) -> Response:
    return await ask(gateway, "GET", path, headers={"authorization": f"Bearer {user}"})


def error_of(response: Response) -> dict[str, Any]:
    """The error in an answer, as JSON with all of OpenAI's four keys."""
    assert response.header("content-type") == "application/json", response.body
    error: dict[str, Any] = response.json()["error"]
    assert error.keys() >= {"message", "type", "param", "code"}
    return error
