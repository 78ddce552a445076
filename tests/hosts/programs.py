"""Hosts for processes of their own: ``python -m uvicorn tests.hosts.programs:NAME``. None of them wires a lifespan.

``UPSTREAM_URL`` says where the upstream is. Run as a module, this calls the gateway once, without a server.
"""

from __future__ import annotations

import asyncio
import os
import sys

from django.core.asgi import get_asgi_application
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from openai_gateway_asgi import Gateway, Upstream, User, everyone
from openai_gateway_asgi.contrib.django import mount
from tests.contrib import site
from tests.support.asgi import ask

site.set_up()

gateway = Gateway(
    [Upstream(os.environ["UPSTREAM_URL"], api_key="sk-upstream")],
    resolve_user=lambda request: User(id="ada"),
    authorize_model=everyone,
)
starlette = Starlette(routes=[Mount("/openai", gateway)])
fastapi = FastAPI()
fastapi.mount("/openai", gateway)
django = mount(gateway, "/openai", inside=get_asgi_application())


async def call_once() -> None:
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine makes everything slow
    body = {"model": "gpt-small", "messages": [{"role": "user", "content": "Hello?"}]}
    answer = await ask(gateway, "POST", "/v1/chat/completions", json=body)
    sys.stdout.write(answer.json()["choices"][0]["message"]["content"])


if __name__ == "__main__":
    asyncio.run(call_once())
