"""Metrics for Prometheus: ``Mount("/metrics", metrics_app(gateway))``. Needs the extra ``prometheus``.

Labels are values of the configuration, and few: nothing that callers choose becomes one. With several workers the
client library's multiprocess mode adds them up (``PROMETHEUS_MULTIPROC_DIR``).
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.values import ValueClass

from ...errors import ClientDisconnected, ConfigError
from ...gateway import Gateway
from ...http.asgi import ASGIApp, Receive, Scope, Send
from ...http.threads import in_own_thread
from ...http.whole_answers import respond
from ...upstream.singleflight import SingleFlight
from .counting import Metrics
from .families import Families

__all__ = ["metrics_app"]

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names the directory where the workers keep their values."""
SEND_TIMEOUT = 60.0
"""Seconds that whoever asks for the page may take no bytes."""


class _Page(Collector):
    """What the page shows: the gateway's metrics, without the times when series began."""

    def __init__(self, source: Collector) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            if metric.name.startswith("openai_gateway_"):
                metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
                yield metric


_watched: WeakKeyDictionary[Gateway, tuple[Metrics, CollectorRegistry]] = WeakKeyDictionary()


def metrics_app(gateway: Gateway) -> ASGIApp:
    """An ASGI application whose every path answers GET with the metrics of the gateway's calls from now on.

    The page is made in a thread, once for all who ask at the same time. It names upstreams and models: mount it where
    only your Prometheus comes. Asked for again it gives the same metrics. Where ``PROMETHEUS_MULTIPROC_DIR`` is set
    it shows those of all workers, and of all gateways in them. Raises ``ConfigError`` where that cannot work.
    """
    shared = _is_shared()
    if gateway not in _watched:
        families, registry = _shared_families() if shared else _new_families()
        metrics = Metrics(gateway, families, shared=shared)
        gateway.observe(metrics)
        _watched[gateway] = metrics, registry
    metrics, registry = _watched[gateway]
    renders: SingleFlight[tuple[str, bool], tuple[bytes, str]] = SingleFlight()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = [(b"cache-control", b"no-store")]
        with suppress(ClientDisconnected):
            if scope["method"] not in ("GET", "HEAD"):
                await respond(send, 405, b"", [*headers, (b"allow", b"GET, HEAD")], within=SEND_TIMEOUT)
                return
            accepted, packed = _header(scope, b"accept"), "gzip" in _header(scope, b"accept-encoding")
            metrics.look_at_breakers()
            render = partial(_render, registry, accepted, shared=shared, packed=packed)
            page, kind = await renders.do((accepted, packed), lambda: in_own_thread("metrics", render))
            headers += [(b"vary", b"accept, accept-encoding")]
            if packed:
                headers += [(b"content-encoding", b"gzip")]
            head = scope["method"] == "HEAD"
            await respond(send, 200, page, headers, within=SEND_TIMEOUT, content_type=kind.encode(), head=head)

    return app


def _is_shared() -> bool:
    """The client library decides it when it is imported, by the variable."""
    if SHARED not in os.environ:
        return False
    if not Path(os.environ[SHARED]).is_dir():
        raise ConfigError(SHARED, "names no directory; make it, empty, before the workers start")
    if not ValueClass._multiprocess:
        raise ConfigError(SHARED, "was set after prometheus_client was imported; set it before the process starts")
    return True


def _new_families() -> tuple[Families, CollectorRegistry]:
    registry = CollectorRegistry()
    return Families(registry), registry


@cache
def _shared_families() -> tuple[Families, CollectorRegistry]:
    """One for all gateways of a process: two values of one name would overwrite each other in the shared file."""
    return _new_families()


def _header(scope: Scope, name: bytes) -> str:
    return ",".join([value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name])


def _render(registry: CollectorRegistry, accepted: str, *, shared: bool, packed: bool) -> tuple[bytes, str]:
    """The page and its content type."""
    source: Collector = registry
    if shared:
        directory = os.environ[SHARED]
        _forget_the_dead(Path(directory))
        source = MultiProcessCollector(None, path=directory)  # type: ignore[no-untyped-call]
    encode, kind = choose_encoder(accepted)
    page = encode(_Page(source))
    return gzip.compress(page, 6) if packed else page, kind


def _forget_the_dead(directory: Path) -> None:
    """Gauges of workers that are gone: not every server tells when one ends."""
    if os.name != "posix":
        return  # elsewhere the question would end the process
    pids = {int(each.stem.rpartition("_")[2]) for each in directory.glob("gauge_live*_*.db")}
    for pid in pids:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue  # alive, and another user's
