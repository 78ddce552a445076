"""A host of several workers: one upstream answers, another is down, and each worker shows the metrics of all."""

from __future__ import annotations

import os

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from openai_gateway_asgi import Gateway, Settings, Upstream, User, everyone
from openai_gateway_asgi.contrib.prometheus import metrics_app

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def answer(request: httpx.Request) -> httpx.Response:
    if request.url.host == "down":
        return httpx.Response(503)
    return httpx.Response(200, json={"choices": [{"finish_reason": "stop"}], "usage": USAGE})


gateway = Gateway(
    [
        Upstream("http://up/v1", name="up", api_key="k", model_ids=["m1"]),
        Upstream("http://down/v1", name="down", api_key="k", model_ids=["m2"]),
    ],
    resolve_user=lambda request: User("ann"),
    authorize_model=everyone,
    settings=Settings(retries=0),
    transport=httpx.MockTransport(answer),
)


async def pid(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


app = Starlette(routes=[Mount("/openai", gateway), Mount("/metrics", metrics_app(gateway)), Route("/pid", pid)])
