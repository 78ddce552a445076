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

from ..config import GatewayConfig, Settings
from ..errors import GatewayError, UpstreamError
from ..models import Catalogue, Listing, read_listing
from ..models.listing import digest_of
from .connections import Connections
from .credentials import Caller, Credentials
from .list_views import Roster, Source, View
from .requests import fetch

LIST_LIMIT = 64 * 1024 * 1024
"""The longest model list that is read, in bytes."""

OFF_LOOP = 256 * 1024
"""Lists longer than this are read in a worker thread: decoding one would hold up every stream."""

MOST_ROSTERS = 4
"""How many configurations are served at once: the one in force, and those that requests began with just before."""

logger = logging.getLogger("openai_gateway_asgi")


class ModelLists:
    """What every caller's catalogue is made from; ``for_call`` and ``for_listing`` give it."""

    def __init__(self, settings: Settings, connections: Connections, credentials: Credentials) -> None:
        self._settings = settings
        self._connections = connections
        self._credentials = credentials
        self._rosters: OrderedDict[str, Roster] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def at_hand(self, config: GatewayConfig, caller: Caller | None) -> Catalogue | None:
        """The catalogue to route by, None while it is to be looked after first: ``for_call``."""
        view = self._roster(config).view(caller)
        return view.catalogue if monotonic() < view.until else None

    async def for_call(self, config: GatewayConfig, caller: Caller | None) -> Catalogue:
        """The catalogue to route by: at once, but for the first time."""
        if (catalogue := self.at_hand(config, caller)) is not None:
            return catalogue
        view = self._roster(config).view(caller)
        return await self._renewed(view, [source for source in view.sources if source.never_asked])

    async def for_listing(self, config: GatewayConfig, caller: Caller | None) -> Catalogue:
        """The catalogue to show: as ``for_call``, and after a change of configuration no list from before it."""
        view = self._roster(config).view(caller)
        if monotonic() < view.until and not view.outdated:
            return view.catalogue
        return await self._renewed(view, [source for source in view.sources if source.never_asked or source.outdated])

    def states(self, config: GatewayConfig) -> dict[str, str]:
        """How each upstream's shared list is: ``ok``, ``stale``, ``failed`` or ``unknown``, by name."""
        return self._roster(config).states()

    async def aclose(self) -> None:
        loop = asyncio.get_running_loop()
        ours = [task for task in self._tasks if task.get_loop() is loop]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)

    def _roster(self, config: GatewayConfig) -> Roster:
        roster = self._rosters.get(config.version)
        if roster is None:
            newest = next(reversed(self._rosters.values()), None)
            roster = Roster(config, self._settings, self._credentials, newest)
            self._rosters[config.version] = roster
            if len(self._rosters) > MOST_ROSTERS:
                self._rosters.popitem(last=False)
        return roster

    async def _renewed(self, view: View, awaited: Sequence[Source]) -> Catalogue:
        now = monotonic()
        uncached = self._settings.model_list_lifetime == 0
        running = {source: self._refresh(source) for source in view.sources if source.due <= now or source in awaited}
        needed = [task for source, task in running.items() if uncached or source in awaited]
        if needed:
            await asyncio.wait(needed)
        await view.rebuild(uncached=uncached)
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
        try:
            listing = await self._listing(source)
        except Exception as error:  # whatever one upstream does, it costs its own models only
            if not source.failed:
                logger.warning("model list of upstream %r failed: %s", source.upstream.name, _reason(error))
            source.fail(outdated=source.task is not asyncio.current_task())
        else:
            source.store(listing, outdated=source.task is not asyncio.current_task())

    async def _listing(self, source: Source) -> Listing:
        upstream = source.upstream
        headers = await self._credentials.headers(upstream, source.caller)
        timeouts = upstream.timeouts or self._settings.timeouts
        pool = self._connections.lease(upstream)
        try:
            answer = await fetch(
                pool, "/models", headers, query=upstream.fixed_query,
                connect=timeouts.connect, deadline=self._settings.model_list_timeout, limit=LIST_LIMIT,
            )  # fmt: skip
        finally:
            pool.release()
        if answer.status != 200:
            raise UpstreamError(f"The upstream answered {answer.status}.")
        if len(answer.body) > OFF_LOOP:
            return await asyncio.to_thread(_read, source, answer.body)
        return _read(source, answer.body)


def _read(source: Source, body: bytes) -> Listing:
    """The same list as before where the answer is: then nothing has to be built anew."""
    known = source.listing
    if known is not None and known.digest == digest_of(body):
        return known
    return read_listing(source.upstream, source.index, body)


def _reason(error: Exception) -> str | None:
    if isinstance(error, GatewayError):
        return error.code
    return "invalid_list" if isinstance(error, ValueError) else type(error).__name__
