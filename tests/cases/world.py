"""A gateway in a small host application, with recorded upstreams behind it and a few people in front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Mount

from openai_gateway_asgi import ConfigStore, Gateway, Upstream, User, everyone
from openai_gateway_asgi.testing import FakeUpstream
from tests.support.asgi import Lint

A = Upstream("http://a/v1", api_key="ka")
B = Upstream("http://b/v1", api_key="kb")
M = [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}]

PEOPLE = {
    "a1": User("a1", role="admin"),
    "a2": User("a2", role="admin"),
    "u1": User("u1", groups={"g1"}),
    "u2": User("u2"),
}


async def resolve_user(request: Request) -> User | None:
    """``Authorization: Bearer <id>``, or the cookie ``who=<id>``; the host itself turns ``p1`` away."""
    id = request.headers.get("authorization", "").removeprefix("Bearer ") or request.cookies.get("who", "")
    if id == "p1":
        raise HTTPException(401, "Your account is still to be approved.")
    return PEOPLE.get(id)


class World:
    """``up`` plays all upstreams by host name; requests are made as ``who``, an id of ``PEOPLE`` or None."""

    def __init__(self, upstreams: Iterable[Upstream] | ConfigStore | None = (A, B), **options: Any) -> None:
        self.up = FakeUpstream()
        given = {"resolve_user": resolve_user, "authorize_model": everyone, "transport": self.up.transport()}
        self.gateway = Gateway(upstreams, **{**given, **options})
        self.app = Starlette(routes=[Mount("/openai", Lint(self.gateway))])
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url="http://gateway.test/openai", timeout=10
        )

    async def request(
        self,
        method: str,
        path: str,
        who: str | None = "a1",
        *,
        headers: Mapping[str, str] = {},
        json: Any = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        own = {"authorization": f"Bearer {who}"} if who is not None else {}
        return await self.client.request(method, path, headers={**own, **headers}, json=json, content=content)

    async def get(self, path: str, who: str | None = "a1", **options: Any) -> httpx.Response:
        return await self.request("GET", path, who, **options)

    async def post(self, path: str, json: Any, who: str | None = "a1", **options: Any) -> httpx.Response:
        return await self.request("POST", path, who, json=json, **options)

    async def chat(self, model: str, who: str | None = "a1", **fields: Any) -> httpx.Response:
        return await self.post("/chat/completions", {"model": model, "messages": M, **fields}, who)

    async def models(self, who: str | None = "a1") -> list[dict[str, Any]]:
        """The entries of ``GET /models``."""
        answer = await self.get("/models", who)
        assert answer.status_code == 200, answer.text
        assert answer.json()["object"] == "list"
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    async def ids(self, who: str | None = "a1") -> list[str]:
        return [model["id"] for model in await self.models(who)]

    async def update(
        self, who: str | None = "a1", *, headers: Mapping[str, str] = {}, **changes: Any
    ) -> httpx.Response:
        """Posts what ``GET /config`` says, with changes; None takes a field out."""
        body = (await self.get("/config")).json() | changes
        body.pop("version", None)
        posted = {name: value for name, value in body.items() if value is not None}
        return await self.post("/config/update", posted, who, headers=headers)

    async def aclose(self) -> None:
        await self.client.aclose()
        await self.gateway.aclose()


def refusal(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer in OpenAI's shape."""
    error: dict[str, Any] = answer.json()["error"]
    assert answer.headers["content-type"] == "application/json"
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    return error
