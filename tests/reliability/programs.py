"""Hosts as one would write them, for servers in processes of their own; their upstream's URL is in ``UPSTREAM_URL``.

``app`` is for loads, ``bodies`` for large bodies; ``left`` and ``left_for_its_list`` are those whose clients leave, ``deaf`` is the one whose clients
take nothing.
"""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from openai_gateway_asgi import (
    Filter,
    FilterCall,
    FilterEvent,
    Gateway,
    Preset,
    Timeouts,
    ToldAnswer,
    Upstream,
    UsageRecord,
    health_app,
)
from openai_gateway_asgi.http.asgi import ASGIApp, Message, Receive, Scope, Send
from tests.reliability.deaf import Watched
from tests.reliability.floods import flooded_gateway
from tests.reliability.gateways import MODEL, at, make_gateway
from tests.reliability.leaving import Reading, behind_base_http_middleware, endless_token, upstreams
from tests.reliability.vitals import Vitals


class Joined:
    """A host that has read the body before the gateway does, and hands it on in one piece."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        whole = bytes(body)
        body.clear()
        messages = iter([{"type": "http.request", "body": whole, "more_body": False}])

        async def given() -> Message:
            return next(messages, None) or await receive()

        await self.app(scope, given, send)


def host(given: Iterable[Upstream], **options: Any) -> ASGIApp:
    records: list[UsageRecord] = []
    return serving(make_gateway(given, timeouts=Timeouts(), records=records, **options), records)


def serving(gateway: Gateway, records: list[UsageRecord]) -> ASGIApp:
    reading = Reading(gateway)
    vitals = Vitals(gateway, reading, records)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with gateway.drain_on(within=float(os.environ["DRAIN_WITHIN"])):
            gc.freeze()  # what is there before the first request stays; collections need not look at it again
            async with gateway.lifespan():
                yield

    if os.environ.get("WATCH_CALLBACKS"):
        vitals.watch_callbacks()
    return Starlette(
        routes=[
            Mount("/joined", Joined(reading)),
            Mount("/health", health_app(gateway.health)),
            Mount("/vitals", vitals),
            Mount("/openai", reading),
            Mount("/behind", behind_base_http_middleware(reading)),
        ],
        lifespan=lifespan,
    )


def watched(given: Iterable[Upstream], **options: Any) -> ASGIApp:
    watch = Watched(make_gateway(given, timeouts=Timeouts(), **options))
    return Starlette(routes=[Mount("/watch", watch.told), Mount("/openai", watch)])


def read_texts(call: FilterCall) -> None:
    call.texts()


def change_texts(call: FilterCall) -> None:
    call.change_texts(kinder)


def read_event(call: FilterCall, event: FilterEvent) -> FilterEvent:
    event.texts()
    return event


def change_event(call: FilterCall, event: FilterEvent) -> FilterEvent:
    return event.with_texts(kinder)


def read_answer(call: FilterCall, answer: ToldAnswer) -> None:
    assert answer.complete


def kinder(text: str) -> str:
    return text.replace("must", "may")


URL = os.environ["UPSTREAM_URL"]

app = host([at(URL, max_concurrency=100_000)])
of_bodies = {"models": [MODEL, "o3", "gpt-image-1"]}
bodies = host([at(URL, **of_bodies)])
to_responses = host([at(URL, **of_bodies, api="responses")])
to_chat = host([at(URL, **of_bodies, api="chat")])
behind_a_preset = host([at(URL, **of_bodies)], presets=[Preset(MODEL, system="Be kind.")])
named_by_a_preset = host([at(URL, **of_bodies)], presets=[Preset("mine", base=MODEL)])
filtered = host([at(URL, **of_bodies)], filters=[Filter(before=read_texts, event=read_event, after=read_answer)])
redacted = host([at(URL, **of_bodies)], filters=[Filter(before=change_texts, event=change_event)])
left = host(upstreams(URL, listed=False), oauth_token=endless_token)
left_for_its_list = host(upstreams(URL, listed=True))
deaf = watched([at(URL, models=[f"m{number}" for number in range(60_000)])], settings={"send_timeout": 0.5})
flooded = serving(flooded_gateway(URL), [])
