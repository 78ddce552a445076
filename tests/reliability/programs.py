"""A host as one would write it, for servers in processes of their own; its upstream's URL is in ``UPSTREAM_URL``."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.routing import Mount

from openai_gateway_asgi import Timeouts, health_app
from tests.reliability.gateways import at, make_gateway
from tests.reliability.vitals import Vitals

gateway = make_gateway([at(os.environ["UPSTREAM_URL"], max_concurrency=100_000)], timeouts=Timeouts())
vitals = Vitals(gateway)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    with gateway.drain_on(within=float(os.environ["DRAIN_WITHIN"])):
        gc.freeze()  # what is there before the first request stays; collections need not look at it again
        async with gateway.lifespan():
            yield


app = Starlette(
    routes=[Mount("/health", health_app(gateway.health)), Mount("/vitals", vitals), Mount("/openai", gateway)],
    lifespan=lifespan,
)

if os.environ.get("WATCH_CALLBACKS"):
    vitals.watch_callbacks()
