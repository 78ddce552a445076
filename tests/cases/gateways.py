"""The gateway of the acceptance cases: mounted in Starlette under ``/openai``, in front of recording upstreams."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai
from aiocache.base import BaseCache
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from openai_gateway_asgi import Gateway, Settings, Timeouts, Upstream, UsageRecord, User, everyone
from openai_gateway_asgi.testing import FakeUpstream
from tests.support.asgi import Conversation, Response, ask
from tests.support.servers import Http, serve

A = "http://a/v1"
B = "http://b/v1"
MESSAGES = [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}]

USERS = {
    "a1": User(id="a1", role="admin", name="Ada", email="a1@x.test"),
    "u1": User(id="u1", name="N u1", email="u1@x.test"),
    "zoe": User(id="z 1", name="Zoë Ω,x", email="zoë@x.test"),
}

EAGER = Settings(retries=0)
"""Without second tries, so that each failure is told at once."""


def resolve_user(request: Request) -> User | None:
    """Who asks stands in ``x-test-user``; ``Authorization`` is left to the cases."""
    return USERS.get(request.headers.get("x-test-user", "a1"))


def upstream_a(*models: str, **options: Any) -> Upstream:
    return Upstream(A, **{"name": "A", "api_key": "ka", "model_ids": models or ["m1"], **options})


def upstream_b(*models: str, **options: Any) -> Upstream:
    return Upstream(B, **{"name": "B", "api_key": "kb", "model_ids": models or ["m1"], **options})


def chat(model: str = "m1", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, **fields}


@dataclass
class World:
    """A host with its gateway; ``upstream`` records what leaves it, ``records`` what it tells of its calls."""

    gateway: Gateway
    app: Starlette
    upstream: FakeUpstream
    records: list[UsageRecord]

    async def ask(self, method: str, path: str, **options: Any) -> Response:
        return await ask(self.app, method, "/openai" + path, strict=False, **options)

    async def post(self, path: str, json: Any, *, headers: dict[str, str] | None = None) -> Response:
        return await self.ask("POST", path, json=json, headers=headers or {})

    async def post_bytes(self, path: str, body: bytes, *, headers: dict[str, str] | None = None) -> Response:
        own = {"content-type": "application/json"} if headers is None else headers
        return await self.ask("POST", path, body=body, headers=own)

    async def chat(self, model: str = "m1", *, headers: dict[str, str] | None = None, **fields: Any) -> Response:
        return await self.post("/chat/completions", chat(model, **fields), headers=headers)

    def conversation(self, path: str, json: Any, **options: Any) -> Conversation:
        return Conversation(self.app, "POST", "/openai" + path, json=json, strict=False, **options)

    @property
    def sent(self) -> dict[str, Any]:
        """The fields of the body that the upstream got last."""
        return self.upstream.last.fields()


@contextlib.asynccontextmanager
async def world(*upstreams: Upstream, **options: Any) -> AsyncIterator[World]:
    """In process, over ASGI; the upstreams are played by a recorder. ``options`` are the gateway's; ``store``
    stands for its upstreams."""
    recorder = FakeUpstream()
    records: list[UsageRecord] = []
    given = {
        "resolve_user": resolve_user,
        "authorize_model": everyone,
        "record_usage": records.append,
        "settings": EAGER,
        "transport": recorder.transport(),
        **options,
    }
    gateway = Gateway(given.pop("store", None) or upstreams or [upstream_a()], **given)
    async with gateway.lifespan():
        yield World(gateway, Starlette(routes=[Mount("/openai", gateway)]), recorder, records)


@dataclass
class Served:
    """The same over real sockets, client and upstream sides."""

    url: str
    """Of the mounted gateway."""
    client: httpx.AsyncClient
    records: list[UsageRecord] = field(default_factory=list)

    def post(self, path: str, json: Any, **options: Any) -> Any:
        return self.client.stream("POST", self.url + path, json=json, **options)

    @property
    def sdk(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="sk-user", max_retries=0)


@contextlib.asynccontextmanager
async def served(
    upstream: str | FakeUpstream | Upstream, *, http: Http = "h11", timeouts: Timeouts | None = None, **options: Any
) -> AsyncIterator[Served]:
    """A gateway on a uvicorn of its own, with its own transport, in front of ``upstream``."""
    if isinstance(upstream, FakeUpstream):
        upstream = upstream.url
    if isinstance(upstream, str):
        upstream = Upstream(f"{upstream}/v1", name="S", api_key="ks", model_ids=["m1"], timeouts=timeouts)
    records: list[UsageRecord] = []
    given = {
        "resolve_user": resolve_user,
        "authorize_model": everyone,
        "record_usage": records.append,
        "settings": EAGER,
        **options,
    }
    gateway = Gateway([upstream], **given)
    app = Starlette(routes=[Mount("/openai", gateway)])
    async with gateway.lifespan(), serve(app, http=http) as server:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            yield Served(f"{server.url}/openai", client, records)


def error_of(response: Response) -> dict[str, Any]:
    """The error in an answer of the gateway's own, which has all of OpenAI's four keys and nothing else."""
    assert response.header("content-type") == "application/json"
    body = json.loads(response.body)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    return error


class BrokenCache(BaseCache):  # type: ignore[misc]  # aiocache ships no types
    """A cache whose backend is down."""

    async def _get(self, key: str, encoding: str | None = None, _conn: Any = None) -> Any:
        raise ConnectionError("the cache is down")

    async def _set(self, key: str, value: Any, ttl: Any = None, _cas_token: Any = None, _conn: Any = None) -> bool:
        raise ConnectionError("the cache is down")
