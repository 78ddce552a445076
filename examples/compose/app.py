"""The app of the compose example: users with tokens, limits that all workers share, metrics for Prometheus."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from openai_gateway_asgi import Gateway, Grant, Grants, Limit, RedisLimits, User, health_app
from openai_gateway_asgi.contrib.prometheus import metrics_app

# What your application knows about its users; yours asks a session or a database.
USERS = {
    "ada-demo-token": User(id="ada", groups={"staff"}),
    "bob-demo-token": User(id="bob"),
}


async def resolve_user(request: Request) -> User | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return USERS.get(token) if scheme.lower() == "bearer" else None


gateway = Gateway(
    resolve_user=resolve_user,
    authorize_model=Grants({"gpt-4o-mini": Grant(public=True), "*": Grant(groups={"staff"})}),
    limits=[Limit(requests=30, per="minute", by="user")],
    limit_store=RedisLimits(os.environ["REDIS_URL"]),
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with gateway.lifespan(app):
        with gateway.drain_on(signal.SIGTERM, within=20):
            yield


app = FastAPI(lifespan=lifespan)
app.mount("/openai", gateway)
app.mount("/health", health_app(gateway.health))
app.mount("/metrics", metrics_app(gateway))  # nginx keeps it from the outside
