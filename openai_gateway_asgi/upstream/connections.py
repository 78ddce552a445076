"""The open connections: one pool per upstream and event loop, opened on first use, closed after its last request."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import httpx

from ..config import Settings, Upstream
from ..hidden import HiddenBytes
from .trust import Trust

if TYPE_CHECKING:
    from .transport import AiohttpTransport

MOST_QUERY = 60_000
"""Bytes; some more are what the longest URL has that ``httpx`` takes."""

INSIDE = "openai_gateway_asgi.exchange"
"""The extension of requests that go to the host's own code: the exchange that they are of."""

PoolKey = tuple[str, str, str | None, float, bool | str | None]


class Pool:
    """A transport to one upstream, and how many requests hold it."""

    __slots__ = ("_base", "_closing", "_leases", "_ours", "_urls", "host", "inside", "path", "retired", "transport")

    def __init__(
        self,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        ours: AiohttpTransport | None,
        *,
        inside: bool = False,
    ) -> None:
        """``ours`` is the transport itself where the pool is to close it; ``inside``: it leads to the host's code."""
        url = httpx.URL(base_url)
        self.transport = transport
        self.host = url.netloc
        self.path = url.raw_path.rstrip(b"/")
        self._base = base_url
        self._ours = ours
        self.inside = inside
        self.retired = False
        self._leases = 0
        self._closing: asyncio.Task[None] | None = None
        self._urls: dict[str, httpx.URL] = {}

    def url(self, path: str, query: bytes, *, keep: bool) -> httpx.URL:
        """The address of a path under the base URL. ``keep`` only paths of a fixed set: clients must not fill this.

        The query, in which there may be a key, is in it for a host's own transport alone; ours goes by the target.
        """
        if len(query) > MOST_QUERY:
            raise httpx.InvalidURL("The query is too long.")
        if query and self._ours is None:
            return httpx.URL(f"{self._base}{path}?{query.decode('ascii')}")
        url = self._urls.get(path)
        if url is None:
            url = httpx.URL(self._base + path)
            if keep:
                self._urls[path] = url
        return url

    def target(self, path: str, query: bytes) -> bytes:
        """What stands in the request line for a path under the base URL."""
        target = self.path + path.encode("ascii")
        return HiddenBytes(target + b"?" + query) if query else target

    def lease(self) -> Pool:
        self._leases += 1
        return self

    def release(self) -> None:
        self._leases -= 1
        if self.retired and not self._leases:
            self._close()

    def retire(self) -> None:
        """Closes now, or when the last request that holds it ends."""
        self.retired = True
        if not self._leases:
            self._close()

    def _close(self) -> None:
        if self._ours is not None:
            self._closing = asyncio.get_running_loop().create_task(self._ours.aclose())

    async def closed(self) -> None:
        """Waits for a close under way."""
        if self._closing is not None:
            await self._closing

    def abandon(self) -> None:
        """Lets go of what an ended event loop left behind."""
        if self._ours is not None:
            self._ours.abandon()


class Connections:
    """All pools of one gateway. A host's own ``transport`` serves every upstream and stays the host's to close."""

    def __init__(
        self,
        settings: Settings,
        transport: httpx.AsyncBaseTransport | None = None,
        inside: Mapping[str, httpx.AsyncBaseTransport] = {},
    ) -> None:
        """``inside`` are the ways to the host's own code, by base URL."""
        self._given = transport
        self._inside = inside
        self._new = _maker() if transport is None else None
        self._trust = Trust(settings.verify_tls) if transport is None else None
        self._loops: dict[asyncio.AbstractEventLoop, dict[PoolKey, Pool]] = {}
        self._current: frozenset[PoolKey] | None = None

    def lease(self, upstream: Upstream, loop: asyncio.AbstractEventLoop | None = None) -> Pool:
        """The upstream's pool on this loop; ``release`` it when the request is over."""
        pools = self._loops.get(loop or asyncio.get_running_loop())
        if pools is None:
            pools = self._enter_loop()
        key = upstream.connection_key
        pool = pools.get(key)
        if pool is None:
            pool = self._open(upstream)
            if self._current is None or key in self._current:
                pools[key] = pool
            else:
                pool.retired = True
        return pool.lease()

    def keep_only(self, upstreams: Collection[Upstream]) -> None:
        """Retires the pools of upstreams that a new configuration no longer has; no request is cut off."""
        self._current = current = frozenset(upstream.connection_key for upstream in upstreams)
        pools = self._loops.get(asyncio.get_running_loop(), {})
        for key in [key for key in pools if key not in current]:
            pools.pop(key).retire()
        if self._trust is not None:
            self._trust.keep_only(upstreams)

    async def aclose(self) -> None:
        self._drop_ended_loops()
        pools = self._loops.pop(asyncio.get_running_loop(), {})
        for pool in pools.values():
            pool.retire()
            await pool.closed()

    def _enter_loop(self) -> dict[PoolKey, Pool]:
        self._drop_ended_loops()
        return self._loops.setdefault(asyncio.get_running_loop(), {})

    def _drop_ended_loops(self) -> None:
        for loop in [loop for loop in self._loops if loop.is_closed()]:
            for pool in self._loops.pop(loop).values():
                pool.abandon()

    def _open(self, upstream: Upstream) -> Pool:
        if (own := self._inside.get(upstream.base_url)) is not None:
            return Pool(upstream.base_url, own, None, inside=True)
        if self._given is not None:
            return Pool(upstream.base_url, self._given, None)
        assert self._new is not None and self._trust is not None  # noqa: PT018 - they come together
        transport = self._new(
            keepalive=upstream.effective_keepalive, proxy=upstream.proxy, ssl_context=self._trust.context(upstream)
        )
        return Pool(upstream.base_url, transport, transport)


def _maker() -> type[AiohttpTransport]:
    """Our transport. The engine takes half of an import's time, so it comes with the first gateway."""
    from .transport import AiohttpTransport

    return AiohttpTransport
