"""How a gateway is, as plain values and as an application to mount."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, time
from types import MappingProxyType

import msgspec

from ..config import GatewayConfig
from ..errors import ClientDisconnected
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..http.whole_answers import respond
from ..upstream.breaker import State
from .attempts import LastFailure, Seen

SEND_TIMEOUT = 60.0
"""Seconds that whoever asks for health may take no bytes."""


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """The last attempt at an upstream that failed."""

    at: str
    """In UTC (RFC 3339)."""
    model: str | None
    """The model's id there."""
    failure: str
    """The kind, as ``refused`` or ``credential``."""
    cause: str
    """What failed, in words."""
    advice: str
    """What to try; empty where nothing is known."""


@dataclass(frozen=True, slots=True)
class UpstreamHealth:
    """How an upstream was seen by this process; nothing is asked for it."""

    enabled: bool
    models: str
    """The state of its list: ``ok``, ``stale``, ``failed``, ``unknown``."""
    breakers: Mapping[str, str]
    """Those not closed, by model."""
    in_use: int
    """The places taken, of an upstream with ``max_concurrency``."""
    in_flight: int = 0
    """The calls under way."""
    models_error: str | None = None
    """Why its list failed when it was asked for last, in words."""
    last_failure: UpstreamFailure | None = None
    last_success: str | None = None
    """When an answer of it was complete, in UTC (RFC 3339)."""


@dataclass(frozen=True, slots=True)
class Health:
    """``live``: the process works; ``ready``: it should be given calls."""

    live: bool
    ready: bool
    draining: bool
    upstreams: Mapping[str, UpstreamHealth]
    presets: Mapping[str, str] = field(default_factory=dict)
    """By id, what is missing behind those presets behind which something is."""

    @classmethod
    def of(
        cls,
        config: GatewayConfig | None,
        *,
        draining: bool,
        lists: Mapping[str, str],
        breakers: Mapping[tuple[str, str], State],
        in_use: Mapping[str, int],
        faults: Mapping[str, str] = MappingProxyType({}),
        seen: Callable[[str], Seen] = lambda name: Seen(),
        presets: Mapping[str, str] = MappingProxyType({}),
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
                (was := seen(upstream.name)).in_flight,
                faults.get(upstream.name),
                None if was.failed is None else _failure(was.failed),
                None if was.succeeded is None else _utc(was.succeeded),
            )
            for upstream in (config.upstreams if config else ())
        }
        return cls(live=True, ready=not draining, draining=draining, upstreams=upstreams, presets=dict(presets))

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def _failure(last: LastFailure) -> UpstreamFailure:
    return UpstreamFailure(_utc(last.at), last.model, last.failure.name.lower(), last.words.said, last.words.advice)


def _utc(at: float) -> str:
    """What was an instant of the monotonic clock, by the one on the wall."""
    return datetime.fromtimestamp(time() - (monotonic() - at), UTC).isoformat(timespec="milliseconds")


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
