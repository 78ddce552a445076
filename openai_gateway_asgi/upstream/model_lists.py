"""The lists of models of all upstreams, kept fresh in the background.

A list is fresh for ``model_list_lifetime`` and usable for ``model_list_stale`` beyond it while its upstream fails. Only
the very first load is waited for, within its deadline; after that a dead or slow upstream costs nobody any time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic

from ..config import GatewayConfig, Settings, Upstream
from ..errors import GatewayError, UpstreamError
from ..models import Catalogue, Listing, read_listing
from .connections import Connections
from .credentials import Caller, Credentials
from .list_views import Source, View
from .requests import fetch

LIST_LIMIT = 64 * 1024 * 1024
"""The longest model list that is read, in bytes."""

OFF_LOOP = 256 * 1024
"""Lists longer than this are read in a worker thread: decoding one would hold up every stream."""

MOST_VIEWS = 1_024
"""How many users' own lists are remembered where upstreams list per user."""

logger = logging.getLogger("openai_gateway_asgi")


class ModelLists:
    """What every caller's catalogue is made from; ``for_call`` and ``for_listing`` give it."""

    def __init__(self, settings: Settings, connections: Connections, credentials: Credentials) -> None:
        self._settings = settings
        self._connections = connections
        self._credentials = credentials
        self._config: GatewayConfig | None = None
        self._per_user: tuple[Upstream, ...] = ()
        self._shared: dict[str, Source] = {}
        self._views: OrderedDict[tuple[str | None, ...], View] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def for_call(self, config: GatewayConfig, caller: Caller | None) -> Catalogue:
        """The catalogue to route by: at once, but for the first time."""
        view = self._view(config, caller)
        if monotonic() < view.until:
            return view.catalogue
        return await self._renewed(view, [source for source in view.sources if source.never_asked])

    async def for_listing(self, config: GatewayConfig, caller: Caller | None) -> Catalogue:
        """The catalogue to show: as ``for_call``, and after a change of configuration no list from before it."""
        view = self._view(config, caller)
        if monotonic() < view.until and not view.outdated:
            return view.catalogue
        return await self._renewed(view, [source for source in view.sources if source.never_asked or source.outdated])

    def states(self, config: GatewayConfig) -> dict[str, str]:
        """How each upstream's shared list is: ``ok``, ``stale``, ``failed`` or ``unknown``, by name."""
        if config is not self._config:
            self._adopt(config)
        return {name: source.state(monotonic()) for name, source in self._shared.items()}

    async def aclose(self) -> None:
        loop = asyncio.get_running_loop()
        ours = [task for task in self._tasks if task.get_loop() is loop]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)

    def _view(self, config: GatewayConfig, caller: Caller | None) -> View:
        if config is not self._config:
            self._adopt(config)
        key = tuple([self._credentials.list_scope(upstream, caller) for upstream in self._per_user])
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._new_view(config, caller)
            if len(self._views) > MOST_VIEWS:
                self._views.popitem(last=False)
        elif self._per_user:
            self._views.move_to_end(key)
        return view

    def _adopt(self, config: GatewayConfig) -> None:
        """Carries the lists of unchanged upstreams over: good for calls, but asked for anew before they are shown."""
        before, first = self._shared, self._config is None
        self._config = config
        enabled = [(index, upstream) for index, upstream in enumerate(config.upstreams) if upstream.enabled]
        self._per_user = tuple(upstream for _, upstream in enabled if self._credentials.per_user(upstream))
        self._shared = {}
        for index, upstream in enabled:
            if upstream not in self._per_user:
                source = Source(upstream, index, self._settings)
                self._shared[upstream.name] = source
                if not first:
                    source.inherit(before.get(upstream.name))
        self._views.clear()

    def _new_view(self, config: GatewayConfig, caller: Caller | None) -> View:
        sources = []
        for index, upstream in enumerate(config.upstreams):
            if upstream.name in self._shared:
                sources.append(self._shared[upstream.name])
            elif upstream.enabled and self._credentials.list_scope(upstream, caller) is not None:
                sources.append(Source(upstream, index, self._settings, caller))
        return View(sources)

    async def _renewed(self, view: View, awaited: Sequence[Source]) -> Catalogue:
        now = monotonic()
        uncached = self._settings.model_list_lifetime == 0
        running = {source: self._refresh(source) for source in view.sources if source.due <= now or source in awaited}
        needed = [task for source, task in running.items() if uncached or source in awaited]
        if needed:
            await asyncio.wait(needed)
        await view.rebuild(self._settings, uncached=uncached)
        return view.catalogue

    def _refresh(self, source: Source) -> asyncio.Task[None]:
        """The refresh under way, or a new one; nobody who leaves stops it."""
        loop = asyncio.get_running_loop()
        task = source.task
        if task is None or task.done() or task.get_loop() is not loop:
            task = source.task = loop.create_task(self._load(source))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    async def _load(self, source: Source) -> None:
        upstream = source.upstream
        started_for = self._config
        try:
            listing = await self._listing(source)
        except (GatewayError, ValueError) as error:
            code = error.code if isinstance(error, GatewayError) else "invalid_list"
            if not source.failed:
                logger.warning("model list of upstream %r failed: %s", upstream.name, code)
            source.fail()
        else:
            source.store(listing, outdated=started_for is not self._config)

    async def _listing(self, source: Source) -> Listing:
        upstream = source.upstream
        headers = await self._credentials.headers(upstream, source.caller)
        timeouts = upstream.timeouts or self._settings.timeouts
        pool = self._connections.lease(upstream)
        try:
            answer = await fetch(
                pool, "/models", headers,
                connect=timeouts.connect, deadline=self._settings.model_list_timeout, limit=LIST_LIMIT,
            )  # fmt: skip
        finally:
            pool.release()
        if answer.status != 200:
            raise UpstreamError(f"The upstream answered {answer.status}.")
        if len(answer.body) > OFF_LOOP:
            return await asyncio.to_thread(read_listing, upstream, source.index, answer.body)
        return read_listing(upstream, source.index, answer.body)
