"""The route that people write: FastAPI, one httpx client, StreamingResponse."""

from __future__ import annotations

import os
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

BASE_URL = os.environ["BENCH_UPSTREAM"] + "/v1"
HEADERS = {"Authorization": "Bearer upstream-key"}

app = FastAPI()
# without these two, httpx refuses the 101st stream after 5 s: whoever has met that writes this line
client = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None, max_keepalive_connections=None))


async def upstream_request(path: str, request: Request) -> httpx.Request:
    if request.headers.get("content-type") == "application/json":
        payload: dict[str, Any] = await request.json()
        return client.build_request("POST", f"{BASE_URL}/{path}", json=payload, headers=HEADERS)
    kept = {name: value for name, value in request.headers.items() if name in ("content-type", "content-length")}
    content = request.stream() if request.method == "POST" else None
    return client.build_request(request.method, f"{BASE_URL}/{path}", content=content, headers=kept | HEADERS)


@app.api_route("/openai/{path:path}", methods=["GET", "POST"])
async def proxy(path: str, request: Request) -> StreamingResponse:
    response = await client.send(await upstream_request(path, request), stream=True)
    return StreamingResponse(
        response.aiter_raw(),
        status_code=response.status_code,
        media_type=response.headers["content-type"],
        background=BackgroundTask(response.aclose),
    )
