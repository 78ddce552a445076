"""A host under limits that its workers share; where its upstream and its Redis are stands in the environment."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from openai_gateway_asgi import Gateway, Limit, RedisLimits, Settings, Timeouts, Upstream, User, everyone

gateway = Gateway(
    [Upstream(f"{os.environ['UPSTREAM_URL']}/v1", api_key="k", model_ids=["m"])],
    resolve_user=lambda request: User(request.headers.get("authorization", "Bearer ann").removeprefix("Bearer ")),
    authorize_model=everyone,
    limits=[
        Limit(requests=int(os.environ["ALLOWED"]), per="day", by="user"),
        Limit(tokens=1_000_000, per="day", by="user"),
        Limit(concurrent=1000, by="user"),
    ],
    limit_store=RedisLimits(os.environ["REDIS_URL"]),
    settings=Settings(timeouts=Timeouts()),
)


async def process(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


app = Starlette(routes=[Mount("/openai", gateway), Route("/process", process)], lifespan=gateway.lifespan)
