"""How a gateway is, as plain values and as an application to mount."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from ..config import GatewayConfig
from ..errors import ClientDisconnected
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.whole_answers import respond
from ..upstream.breaker import State

SEND_TIMEOUT = 60.0
"""Seconds that whoever asks for health may take no bytes."""


@dataclass(frozen=True, slots=True)
class UpstreamHealth:
    """``models``: the state of its list (``ok``, ``stale``, ``failed``, ``unknown``); ``breakers``: those not closed.

    ``in_use``: the calls under way, of an upstream with ``max_concurrency``.
    """

    enabled: bool
    models: str
    breakers: Mapping[str, str]
    in_use: int


@dataclass(frozen=True, slots=True)
class Health:
    """``live``: the process works; ``ready``: it should be given calls."""

    live: bool
    ready: bool
    draining: bool
    upstreams: Mapping[str, UpstreamHealth]

    @classmethod
    def of(
        cls,
        config: GatewayConfig | None,
        *,
        draining: bool,
        lists: Mapping[str, str],
        breakers: Mapping[tuple[str, str], State],
        in_use: Mapping[str, int],
    ) -> Health:
        opened: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for (name, model), state in breakers.items():
            opened[name][model] = state.value
        upstreams = {
            upstream.name: UpstreamHealth(
                upstream.enabled,
                lists.get(upstream.name, "unknown"),
                opened.get(upstream.name, {}),
                in_use.get(upstream.name, 0),
            )
            for upstream in (config.upstreams if config else ())
        }
        return cls(live=True, ready=not draining, draining=draining, upstreams=upstreams)

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def health_app(health: Callable[[], Health]) -> ASGIApp:
    """``GET .../live`` is always 200; ``GET .../ready`` (and any other path) is 200 or 503. Neither names upstreams."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        now = health()
        well = now.live if scope["path"].endswith("/live") else now.ready
        body = msgspec.json.encode({"live": now.live, "ready": now.ready, "draining": now.draining})
        headers = [(b"cache-control", b"no-store")]
        with suppress(ClientDisconnected):
            head = scope["method"] == "HEAD"
            await respond(send, 200 if well else 503, body, headers, within=SEND_TIMEOUT, head=head)

    return app
