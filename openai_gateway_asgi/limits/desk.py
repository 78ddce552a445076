"""Where calls take from their limits, and what they took is settled when they are over.

All that a call takes is taken in one step. Tokens and money are reserved by an estimate and corrected by what was used;
places are renewed while the call lasts. Settling is never waited for.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from msgspec import structs

from ..errors import ConfigError, GatewayBusy, GatewayError
from ..host.hooks import Hook
from ..host.prices import Prices
from ..host.records import AttemptRecord, UsageRecord
from ..host.usage import Usage
from ..host.users import User
from ..http.background import Background
from ..models import Candidate, Model, Route
from . import charges
from .claims import Account, Change, Claim, Decision, LimitStore, StoreDown
from .limit import Limit, Subject
from .memory import MemoryLimits
from .places import Places
from .reservation import WHOLE_CALL, Reservation
from .told import LimitExceeded, Standing, UpstreamLimited, refusal, unpriced

logger = logging.getLogger("openai_gateway_asgi")

_PLACES = Account.PLACES

SHOWN = 1000
"""Models that are looked at for what holds for a user."""
MOST_DRAWN = 4096
"""Users and models whose accounts are remembered by their keys."""
SETTLED_WITHIN = 5
"""Times that settling is tried while the store is away."""
SETTLED_AGAIN = 1.0
"""Seconds between them."""

Drawn = tuple[str, Iterable[str], tuple[str, ...]]
"""A user's id and groups, and the model at every hop."""

LimitsOfUser = Callable[[User, Model | None], "Sequence[Limit] | Awaitable[Sequence[Limit]]"]
LimitsOf = Hook[[User, Model | None], Sequence[Limit]]


def away() -> GatewayBusy:
    """What is told where the store does not answer."""
    return GatewayBusy("The limits of this gateway cannot be read; try again shortly.")


def checked_limits(limits: Any) -> tuple[Limit, ...]:
    """The host's limits. Raises ``ConfigError`` for what is none."""
    given = tuple(limits) if isinstance(limits, Iterable) else (limits,)
    for index, limit in enumerate(given):
        if not isinstance(limit, Limit):
            raise ConfigError(f"limits.{index}", f"must be a Limit(...), not {type(limit).__name__}")
    return given


def _ways_of(model: Model, route: Route | None) -> list[tuple[str, ...]]:
    """The ids on each way from a model to one that may be asked for it."""
    if route is None:
        return [(model.id,)]
    if route.bases is None:
        return [route.hops]
    return [hops for base in route.bases for hops in _ways_of(model, base)]


class Desk:
    """One gateway's limits. ``limits`` are the host's, or a callable that gives them for a user and a model."""

    def __init__(
        self,
        limits: Sequence[Limit] | LimitsOf,
        store: LimitStore,
        prices: Prices | None,
        background: Background,
        *,
        clock: Callable[[], float] = time.time,
        failed: Callable[[str], None] = lambda operation: None,
    ) -> None:
        """``failed`` hears of each operation of the store that did."""
        self._limits = limits
        self._store = store
        self._at_once = store if type(store) is MemoryLimits else None
        """The store, where it needs no waiting for; a host's own kind of it may."""
        self._prices = prices
        self._background = background
        self._clock = clock
        self._failed = failed
        self._places = Places(store, background, self._note_down)
        self._warned = False
        self.known: Sequence[Limit] = () if isinstance(limits, Hook) else limits
        """Those that hold for everybody; none where a callable of the host's says which hold."""
        self._of_call = [limit for limit in self.known if not limit.per_attempt]
        self._keys: dict[Drawn, list[tuple[Limit, list[str]]]] = {}
        """Whose accounts the known limits of a call draw on: they are the same at a user's every call."""

    @property
    def store(self) -> LimitStore:
        return self._store

    async def limits_for(self, user: User, model: Model | None) -> Sequence[Limit]:
        """Those that may hold for a call; without a model those that hold at all.

        Raises ``HostFailure`` where the host's callable gives something else: no call passes uncounted.
        """
        if not isinstance(self._limits, Hook):
            return self._limits
        given: Any = await self._limits(user, model)
        limits = tuple(given) if isinstance(given, Iterable) else (given,)
        for each in limits:
            if not isinstance(each, Limit):
                raise self._limits.failed(f"returned {type(each).__name__}; return a list of Limit(...), or []")
        return limits

    async def reserve(
        self,
        limits: Sequence[Limit],
        subject: Subject,
        expected: Usage,
        candidates: Sequence[Candidate],
        outer: Reservation | None = None,
    ) -> Reservation:
        """Takes what the call needs before an upstream is chosen; ``candidates`` say by whose prices.

        A part of an ``outer`` call takes no place and no request where that has taken it.

        Raises ``LimitExceeded``, or ``GatewayBusy`` where the store is away and a limit is closed then.
        """
        reservation = Reservation(subject, expected, limits, outer=outer)
        of_call = self._of_call if limits is self.known else [each for each in limits if not each.per_attempt]
        await self._take(reservation, self._wanted(reservation, subject, of_call, candidates))
        return reservation

    async def trade(
        self,
        reservation: Reservation,
        limits: Sequence[Limit],
        subject: Subject,
        expected: Usage,
        candidates: Sequence[Candidate],
    ) -> None:
        """The call goes to another model than was reserved for. Takes what the new model needs, in one step,
        and gives back what it does not need. What both need stays taken, and is topped up where the new one needs more.

        Raises what ``reserve`` does; then nothing has changed.
        """
        held = {claim.key: claim for _, claim in reservation.held}
        fresh = Reservation(subject, expected, limits, outer=reservation.outer)
        wanted = self._wanted(fresh, subject, [each for each in limits if not each.per_attempt], candidates)
        needed = {claim.key: (limit, claim) for limit, claim in wanted}
        more = [pair for key, pair in needed.items() if key not in held]
        topped = [
            (limit, structs.replace(claim, amount=claim.reserved - held[key].reserved))
            for key, (limit, claim) in needed.items()
            if key in held and claim.reserved > held[key].reserved
        ]
        before = len(reservation.held)
        await self._take(reservation, [*more, *topped])
        if len(reservation.held) == before:  # nothing was to be taken, or the store is away and lets calls pass
            more, topped = [], []
        spare = [claim for _, claim in reservation.held if claim.key not in needed]
        larger = {claim.key for _, claim in topped}
        kept = [(limit, claim, held[key]) for key, (limit, claim) in needed.items() if key in held]
        reservation.held = [
            *more,
            *(
                (limit, structs.replace(own, amount=claim.amount) if own.key in larger else own)
                for limit, claim, own in kept
            ),
        ]
        reservation.standings = [each for each in reservation.standings if each.claim.key in needed]
        reservation.subject, reservation.expected, reservation.limits = subject, expected, limits
        if spare:
            self._start_settling([Change(claim, -claim.reserved) for claim in spare])

    def give_back(self, reservation: Reservation) -> None:
        """Everything: the call is under no limits any more."""
        held, reservation.held = reservation.held, []
        reservation.standings, reservation.limits = [], ()
        if held:
            self._start_settling([Change(claim, -claim.reserved) for _, claim in held])

    async def enter(self, reservation: Reservation, served: Model | None, candidate: Candidate) -> GatewayError | None:
        """Takes what an attempt needs beside: limits by upstream, and those of a fallback. Gives what is in the way."""
        asked = reservation.subject
        models = asked.models
        hops = () if served is None else (served.id,) if candidate.via is None else candidate.via.hops
        more = tuple([id for id in hops if id not in models])
        if not more and len(self._of_call) == len(reservation.limits) and reservation.limits is self.known:
            return None
        limits = [each for each in reservation.limits if each.per_attempt or more]
        if not limits:
            return None
        subject = Subject(asked.user, (*models, *more), served, candidate.upstream.name)
        try:
            await self._take(reservation, self._wanted(reservation, subject, limits, (candidate,)))
        except LimitExceeded as error:
            full = UpstreamLimited(error.message, headers=error.headers)
            full.limit = error.limit
            return full
        except GatewayError as error:
            return error
        return None

    def release(self, reservation: Reservation, attempt: AttemptRecord | None) -> None:
        """Gives back what a failed attempt took at its upstream and did not use: the next attempt takes its own. A
        request that was sent stays counted."""
        spent = [pair for pair in reservation.held if pair[0].per_attempt and pair[0].unit != "requests"]
        if spent:
            reservation.held = [pair for pair in reservation.held if pair not in spent]
            self._start_settling(
                [Change(claim, charges.used_by_attempt(limit, attempt) - claim.reserved) for limit, claim in spent]
            )

    def leave(self, reservation: Reservation) -> None:
        """Gives back the places of a call whose client has gone; what it uses is settled when that is known."""
        places = [pair for pair in reservation.held if pair[1].account is _PLACES]
        if places:
            reservation.held = [pair for pair in reservation.held if pair not in places]
            self._start_settling([Change(claim) for _, claim in places])

    def settle(self, reservation: Reservation, record: UsageRecord) -> None:
        """Corrects what was reserved by what was used; once, and nobody waits for it."""
        if reservation.settled:
            return
        reservation.settled = True
        held = reservation.held
        used = [0 if claim.account is _PLACES else charges.used(limit, claim, record) for limit, claim in held]
        if reservation.asks or reservation.outer is not None:
            used = self._among_calls(reservation, used, record)
        changes = [
            Change(claim, amount - claim.reserved)
            for (_, claim), amount in zip(held, used, strict=True)
            if amount != claim.reserved or claim.account is _PLACES
        ]
        if changes:
            self._start_settling(changes)

    def _among_calls(self, reservation: Reservation, amounts: Sequence[int], record: UsageRecord) -> list[int]:
        """What is charged to a call that has parts, or is one."""
        used = {claim.key: amount for (_, claim), amount in zip(reservation.held, amounts, strict=True)}
        if reservation.asks:
            self._take_off_asked(reservation, used, record)
        if reservation.outer is not None:
            reservation.add_to_outer({key: amount + reservation.asked.get(key, 0) for key, amount in used.items()})
        return [used[claim.key] for _, claim in reservation.held]

    async def standings(
        self, user: User, models: Sequence[Model], find: Callable[[str], Route | None]
    ) -> list[Standing]:
        """What holds for a user, used and left; ``find`` says what is behind a model. Nothing is taken; limits by
        upstream are not the user's to know.

        Raises ``GatewayBusy`` while the store is away.
        """
        found: dict[str, tuple[Limit, Claim]] = {}
        for model in models[:SHOWN]:
            subjects = [Subject(user, hops, model) for hops in _ways_of(model, find(model.id))]
            for limit in await self.limits_for(user, model):
                for subject in subjects if not limit.per_attempt else ():
                    for claim in limit.claims(subject, 0, self._clock()):
                        found.setdefault(claim.key, (limit, claim))
            await asyncio.sleep(0)
        try:
            balances = await self._store.balances([claim for _, claim in found.values()])
        except StoreDown as error:
            raise away() from error
        return [Standing(*pair, balance) for pair, balance in zip(found.values(), balances, strict=True)]

    async def aclose(self) -> None:
        await self._store.aclose()

    def _wanted(
        self, reservation: Reservation, subject: Subject, limits: Sequence[Limit], candidates: Sequence[Candidate]
    ) -> list[tuple[Limit, Claim]]:
        """What is to be taken beside what is held."""
        now = self._clock()
        tokens = reservation.expected.tokens or 0
        held = {claim.key for _, claim in reservation.held} if reservation.held else set()
        if reservation.outer is not None:
            held |= reservation.of_outer()
        wanted: list[tuple[Limit, Claim]] = []
        for limit, keys in self._drawn(subject, limits):
            amount = 1
            if limit.unit == "tokens":
                amount = tokens
            elif limit.unit == "usd" and keys:
                price = self._expected_usd(limit, subject, reservation.expected, candidates)
                if price is None:
                    continue
                amount = price
            for key in keys:
                claim = limit.claim(key, amount, now)
                if limit.per_attempt or claim.key not in held:
                    wanted.append((limit, claim))
        return wanted

    def _drawn(self, subject: Subject, limits: Sequence[Limit]) -> list[tuple[Limit, list[str]]]:
        """Each limit with the keys of its accounts."""
        if limits is not self._of_call:
            return [(limit, limit.keys(subject)) for limit in limits]
        drawn = (subject.user.id, subject.user.groups, subject.models)
        keys = self._keys.get(drawn)
        if keys is None:
            keys = [(limit, limit.keys(subject)) for limit in limits]
            if any(callable(limit.by) for limit in limits):
                return keys  # the host may say otherwise the next time
            if len(self._keys) >= MOST_DRAWN:
                self._keys.clear()
            self._keys[drawn] = keys
        return keys

    async def _take(self, reservation: Reservation, wanted: list[tuple[Limit, Claim]]) -> None:
        if not wanted:
            return
        try:
            decision = await self._decision([claim for _, claim in wanted])
        except StoreDown as error:
            self._note_down("take", error)
            if any(limit.when_down == "closed" for limit, _ in wanted):
                raise away() from error
            return
        self._warned = False  # the next outage is another one
        standings = [Standing(*pair, balance) for pair, balance in zip(wanted, decision.balances, strict=True)]
        if not decision.granted:
            raise refusal(standings)
        reservation.held += wanted
        reservation.standings += standings
        places = {claim.lease: claim for _, claim in wanted if claim.account is _PLACES}
        if places:
            self._places.keep(places)

    async def _decision(self, claims: Sequence[Claim]) -> Decision:
        """The store's. Who leaves while it is on its way gets back what it granted."""
        if self._at_once is not None:
            return self._at_once.take_now(claims)  # it never waits, so nobody can leave meanwhile
        taking = asyncio.ensure_future(self._store.take(claims))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            _ = self._background.start(self._taken_back(taking, claims))
            raise

    async def _taken_back(self, taking: Awaitable[Decision], claims: Sequence[Claim]) -> None:
        with suppress(StoreDown):
            if (await taking).granted:
                await self._settle(_marked([Change(claim, -claim.reserved) for claim in claims]))

    def _expected_usd(
        self, limit: Limit, subject: Subject, expected: Usage, candidates: Sequence[Candidate]
    ) -> int | None:
        """Nano-dollars; None for a model without a price that is let pass. Of an upstream that tells the cost itself
        nothing can be reserved where no price is known: its calls are charged when they are over."""
        found = None if self._prices is None else charges.expected_cost(self._prices, subject, expected, candidates)
        if found is not None:
            return found
        if any(each.upstream.tells_cost for each in candidates):
            return 0
        if limit.unpriced == "refuse":
            raise unpriced(limit)
        return None

    def _take_off_asked(self, reservation: Reservation, used: dict[str, int], record: UsageRecord) -> None:
        """A call is charged beyond what its parts were charged; one that says nothing of itself used nothing else."""
        silent = record.usage is None or record.usage.tokens is None
        for limit, claim in reservation.held:
            if limit.unit not in WHOLE_CALL:
                asked = reservation.asked.get(claim.key, 0)
                used[claim.key] = 0 if silent else max(0, used[claim.key] - asked)

    def _start_settling(self, changes: Sequence[Change]) -> None:
        if self._places.held:
            self._places.drop(changes)
        if self._at_once is not None:
            self._at_once.settle_now(changes)
        else:
            _ = self._background.start(self._settle(_marked(changes)))

    async def _settle(self, changes: Sequence[Change]) -> None:
        for number in range(SETTLED_WITHIN):
            try:
                await self._store.settle(changes)
                return
            except StoreDown as error:
                self._note_down("settle", error)
                if number + 1 < SETTLED_WITHIN:
                    await asyncio.sleep(SETTLED_AGAIN)

    def _note_down(self, operation: str, error: StoreDown) -> None:
        self._failed(operation)
        if not self._warned:
            self._warned = True
            logger.warning("the store of limits is away (%s); limits are held as `when_down` says", error)


def _marked(changes: Sequence[Change]) -> Sequence[Change]:
    """As those of one settlement, which is tried again where nobody knows whether it was made."""
    mark = secrets.token_hex(8)
    return [structs.replace(change, mark=mark) for change in changes]
