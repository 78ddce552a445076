"""The lists of models of all upstreams, kept fresh in the background.

A list is fresh for ``model_list_lifetime`` and usable for ``model_list_stale`` beyond it while its upstream fails. Only
the very first load of a list is waited for, within its deadline, and by a call only where it could tell of a model that
the call names and that no list has yet. So a dead or slow upstream costs nobody any time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from functools import partial
from time import monotonic
from typing import NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from ..config import GatewayConfig, Settings, Upstream
from ..errors import GatewayError, HostFailure, HostRefusal, Unauthenticated, UpstreamCredentialError
from ..host.notices import Notices
from ..http.pacing import Turns, at_once, in_turns
from ..http.threads import in_own_thread
from ..http.timers import Clock
from ..models import Catalogue, Listing, Model, read_listing
from ..models.listing import asks_upstream, digest_of
from .connections import Connections
from .credentials import Caller, Credentials
from .list_request import ListRefused, ListRequests
from .list_sources import Source
from .list_views import Roster, View
from .singleflight import SingleFlight
from .words import in_words

LONG = 64 * 1024
"""Bytes of a list from which on it is read with turns for others in between. A thread would hold up others longer:
whenever one of them waits for its socket, the thread has the interpreter for five milliseconds."""

MANY = 500
"""Upstreams and models named outright: from so many on a configuration's lists are set up in a thread."""

MOST_ROSTERS = 4
"""How many configurations are served at once: the one in force, and those that requests began with just before."""

logger = logging.getLogger("openai_gateway_asgi")

T = TypeVar("T")


class Known(NamedTuple):
    """What is known of the models without asking; ``due`` are the upstreams whose list is due to be asked for,
    ``awaited`` those of them that a call would have to wait for."""

    catalogue: Catalogue
    due: tuple[str, ...]
    awaited: tuple[str, ...]


class ModelLists:
    """What every caller's catalogue is made from; ``for_call`` and ``for_listing`` give it."""

    def __init__(
        self,
        settings: Settings,
        connections: Connections,
        credentials: Credentials,
        notices: Notices | None = None,
        own: Sequence[Listing] = (),
    ) -> None:
        """``own`` are the host's own models, which no upstream lists."""
        self._own = own
        self._settings = settings
        self._credentials = credentials
        self._notices = notices or Notices()
        self.requests = ListRequests(settings, connections, credentials)
        self._rosters: OrderedDict[str, Roster] = OrderedDict()
        self._being_made: SingleFlight[str, Roster] = SingleFlight()
        self._merging: SingleFlight[int, Sequence[Model]] = SingleFlight()
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    def at_hand(self, config: GatewayConfig, caller: Caller | None, ids: Iterable[str]) -> Catalogue | None:
        """The catalogue to route these models by, None while it is to be looked after first: ``for_call``."""
        roster = self._rosters.get(config.version)
        if roster is None:
            return None
        view = roster.view(caller)
        if monotonic() >= view.until or (view.first and view.undecided(roster.wanted(ids), view.first)):
            return None
        return view.catalogue

    async def for_call(self, config: GatewayConfig, caller: Caller | None, ids: Iterable[str]) -> Catalogue:
        """The catalogue to route these models by: at once, unless a list that was never loaded could tell of one."""
        roster = await self._roster(config)
        ids = set(roster.wanted(ids))
        view = roster.view(caller)
        running = self._refresh_due(view, caller)
        if running:
            await asyncio.sleep(0)  # they are asked before the call goes on, which may need none of them
        view.rebuild(uncached=self._uncached)
        pending = [each for each in view.sources if each in running] if self._uncached else view.first
        awaited = view.undecided(ids, pending)
        if awaited:
            await _told_of(ids, {running.get(each) or self._refresh(each, caller): each for each in awaited})
            view.rebuild(uncached=self._uncached)
        roster.trim()
        return view.catalogue

    async def for_listing(self, config: GatewayConfig, caller: Caller | None) -> Catalogue:
        """The catalogue to show: all lists there are, and after a change of configuration none from before it."""
        roster = await self._roster(config)
        view = roster.view(caller)
        if monotonic() >= view.until or view.first or view.outdated:
            running = self._refresh_due(view, caller)
            stale = [each for each in view.sources if each.is_first or each.outdated]
            needed = {*(running.values() if self._uncached else ()), *(self._refresh(each, caller) for each in stale)}
            if needed:
                await asyncio.wait(needed)
            view.rebuild(uncached=self._uncached)
            roster.trim()
        return await self._merged(view.catalogue)

    async def _merged(self, catalogue: Catalogue) -> Catalogue:
        """With the models that it shows, put together in steps where they are many, once however many ask."""
        merged = catalogue.merged
        if merged.keeps_all():
            return catalogue
        models: Sequence[Model]
        if merged.is_at_hand:
            models = merged.all
        else:
            models = await self._merging.do(id(merged), lambda: _in_turns(merged.merge()))
        return catalogue if merged.keeps_all() else catalogue.showing(models)

    async def known(self, config: GatewayConfig, caller: Caller | None, ids: Iterable[str] | None) -> Known:
        """What ``for_call``, or without ``ids`` ``for_listing``, would begin with; no list is asked for."""
        roster = await self._roster(config)
        view = roster.view(caller)
        catalogue, now = view.as_known(), monotonic()
        first = [source for source in view.sources if source.is_first]
        awaited = first if ids is None else view.undecided(roster.wanted(ids), first, catalogue)
        due = [source.upstream.name for source in view.sources if source.due <= now]
        if ids is None:
            catalogue = await self._merged(catalogue)
        return Known(catalogue, tuple(due), tuple([source.upstream.name for source in awaited]))

    def states(self, config: GatewayConfig) -> Mapping[str, str]:
        """How each upstream's shared list is: ``ok``, ``stale``, ``failed`` or ``unknown``, by name."""
        roster = self._rosters.get(config.version)
        if roster is not None:
            return roster.states()
        shared = [each for each in config.upstreams if each.enabled and not self._credentials.per_user(each)]
        return {each.name: "unknown" if asks_upstream(each) else "ok" for each in shared}

    def faults(self, config: GatewayConfig) -> Mapping[str, str]:
        """Why upstreams' shared lists failed when they were asked for last, in words, by name."""
        roster = self._rosters.get(config.version)
        return {} if roster is None else roster.faults()

    def missing_bases(self, config: GatewayConfig) -> Mapping[str, str]:
        """By preset, the bases of it that no upstream serves as far as is known; nothing before any list was asked
        for."""
        roster = self._rosters.get(config.version)
        return {} if roster is None else roster.missing_bases()

    async def aclose(self) -> None:
        loop = asyncio.get_running_loop()
        ours = [task for task in self._tasks if task.get_loop() is loop]
        for task in ours:
            task.cancel()
        await asyncio.gather(*ours, return_exceptions=True)
        await self._being_made.aclose()
        await self._merging.aclose()

    @property
    def _uncached(self) -> bool:
        return self._settings.model_list_lifetime == 0

    async def _roster(self, config: GatewayConfig) -> Roster:
        roster = self._rosters.get(config.version)
        if roster is None:
            if sum([1 + len(upstream.model_ids) for upstream in config.upstreams]) < MANY:
                return self._in_force(config, self._new_roster(config))
            roster = await self._being_made.do(config.version, partial(self._make, config))
        return roster

    async def _make(self, config: GatewayConfig) -> Roster:
        return self._in_force(config, await in_own_thread("model-lists", partial(self._new_roster, config)))

    def _new_roster(self, config: GatewayConfig) -> Roster:
        return Roster(config, self._settings, self._credentials, self._newest, self._own)

    def _in_force(self, config: GatewayConfig, roster: Roster) -> Roster:
        if (before := self._newest) is not None:
            before.retire()
        roster.take_over()
        self._rosters[config.version] = roster
        if len(self._rosters) > MOST_ROSTERS:
            self._rosters.popitem(last=False)
        return roster

    @property
    def _newest(self) -> Roster | None:
        return next(reversed(self._rosters.values()), None)

    def _refresh_due(self, view: View, caller: Caller | None) -> dict[Source, asyncio.Task[None]]:
        now = monotonic()
        return {source: self._refresh(source, caller) for source in view.sources if source.due <= now}

    def _refresh(self, source: Source, caller: Caller | None) -> asyncio.Task[None]:
        """The refresh under way, or a new one; nobody who leaves stops it. An own list's ``caller`` is its owner."""
        loop = asyncio.get_running_loop()
        task = source.task
        if task is None or task.done() or task.get_loop() is not loop:
            source.begin()
            task = source.task = loop.create_task(self._load(source, caller if source.kept is not None else None))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return task

    async def _load(self, source: Source, caller: Caller | None) -> None:
        try:
            await self._take_turn()
            body = await self.requests.body(source.upstream, caller, within=self._settings.model_list_timeout)
            listing = await self._listing(source, body)
        except Exception as error:  # whatever one upstream does, it costs its own models only
            fault = _reason(error, source.upstream)
            self._note_failure(source, fault)
            refusal = None if source.kept is None else _refusal(source.upstream, error)
            source.fail(fault, outdated=source.task is not asyncio.current_task(), refusal=refusal)
        else:
            replaced = source.kept is None and source.listing is not listing
            source.store(listing, outdated=source.task is not asyncio.current_task())
            if replaced:
                for roster in list(self._rosters.values()):
                    await _in_turns(roster.let_go())
        finally:
            if source.task is asyncio.current_task():
                source.task = None  # it would keep the context of the request that it began with

    async def _take_turn(self) -> None:
        """A thousand lists that are due at once are asked for a few at a time: others have their turns in between."""
        loop = asyncio.get_running_loop()
        turns = self._turns.get(loop)
        if turns is None:
            turns = self._turns[loop] = Turns(loop)
        if not turns.may_begin():
            await turns.wait()

    async def _listing(self, source: Source, body: bytes) -> Listing:
        return await _in_turns(_read(source, body)) if len(body) > LONG else at_once(_read(source, body))

    def _note_failure(self, source: Source, reason: str) -> None:
        name = source.upstream.name
        if source.kept is not None:
            self._notices.warn("own_model_list", f"the model list of upstream {name!r} failed for a caller: {reason}")
        elif not source.failed:
            logger.warning("model list of upstream %r failed: %s", name, reason)


async def _told_of(ids: Collection[str], tasks: Mapping[asyncio.Task[None], Source]) -> None:
    """Waits until each of the ids is served by one of the lists that these tasks load, or all of them are over."""
    told = asyncio.get_running_loop().create_future()
    open, left = set(ids), len(tasks)

    def ended(task: asyncio.Task[None]) -> None:
        nonlocal left
        left -= 1
        listing = tasks[task].listing
        if listing is not None:
            open.difference_update([id for id in open if listing.serves(id)])
        if not (left and open) and not told.done():
            told.set_result(None)

    for task in tasks:
        task.add_done_callback(ended)
    try:
        await told
    finally:
        for task in tasks:
            task.remove_done_callback(ended)


async def _in_turns(steps: Generator[None, None, T]) -> T:
    return await in_turns(steps, Clock.of(asyncio.get_running_loop()).slices)


def _read(source: Source, body: bytes) -> Generator[None, None, Listing]:
    """The same list as before where the answer is, or as another caller's: then nothing has to be built anew."""
    digest = yield from digest_of(body)
    known, kept = source.listing, source.kept
    if known is not None and known.digest == digest:
        return known
    if kept is None:
        return (yield from read_listing(source.named, body, digest))
    other = kept.find(digest)
    return other or (yield from kept.add((yield from read_listing(source.named, body, digest, own=True))))


def _refusal(upstream: Upstream, error: Exception) -> GatewayError | None:
    """What a caller is told of models whose list failed for want of the caller's own credential; it is no use to retry.

    Where it failed for anything else, None.
    """
    if isinstance(error, UpstreamCredentialError | HostFailure | HostRefusal | Unauthenticated):
        return error.anew()
    if isinstance(error, ListRefused) and error.answered == 401:
        if upstream.auth_type == "session":
            return Unauthenticated("The upstream of this model does not accept your bearer token.")
        return UpstreamCredentialError("The upstream of this model does not accept the credential that is yours there.")
    return None


def _reason(error: Exception, upstream: Upstream) -> str:
    """Without anything of the answer, which may hold what it likes."""
    if isinstance(error, GatewayError):
        if error.cause is not None:
            return str(in_words(error.cause, upstream, "/models"))
        return f"{error.code} ({error.message})"
    return f"invalid_list ({error})" if isinstance(error, ValueError) else type(error).__name__
