"""Where calls take from their limits, and what they took is settled when they are over.

All that a call takes is taken in one step. Tokens and money are reserved by an estimate and corrected by what was used;
places are renewed while the call lasts. Settling is never waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress

from msgspec import structs

from ..bodies.payload import Payload
from ..errors import GatewayBusy, GatewayError
from ..host.hooks import Hook
from ..host.prices import Prices
from ..host.records import AttemptRecord, UsageRecord
from ..host.usage import Usage
from ..host.users import User
from ..http.background import Background
from ..models import Candidate, Model
from . import charges
from .accounts import Bound
from .claims import Account, Change, Claim, Decision, LimitStore, StoreDown
from .estimate import expected_tokens, expected_usage
from .hosts import LimitsOf, asked_limits
from .limit import Limit, Subject, leases
from .memory import MemoryLimits
from .places import Places
from .plans import Drawn, Plan, Plans, drawn_on
from .reservation import Call, Held, Reservation, hops_of
from .settling import Settling
from .told import LimitExceeded, Standing, UpstreamLimited, refusal

logger = logging.getLogger("openai_gateway_asgi")

_PLACES = Account.PLACES


def away() -> GatewayBusy:
    """What is told where the store does not answer."""
    return GatewayBusy("The limits of this gateway cannot be read; try again shortly.")


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
        self.store = store
        self.clock = clock
        self.known: Sequence[Limit] = () if isinstance(limits, Hook) else limits
        """Those that hold for everybody; none where a callable of the host's says which hold."""
        self._limits = limits
        self._at_once = store if type(store) is MemoryLimits else None
        """The store, where it needs no waiting for; a host's own kind of it may."""
        self._ledger = None if self._at_once is None else self._at_once.ledger
        is_hosts = isinstance(limits, Hook) or any(callable(limit.by) for limit in limits)
        self._plans = None if is_hosts else Plans(self.known, clock, self._released)
        """None where the host says anew at each call what holds, or who shares an account."""
        self._prices = prices
        self._background = background
        self._failed = failed
        self.places = Places(store, background, self._note_down)
        self._settling = Settling(store, background, self._note_down)
        self._warned = False

    async def limits_for(self, user: User, model: Model | None) -> Sequence[Limit]:
        """Those that may hold for a call; without a model those that hold at all.

        Raises ``HostFailure`` where the host's callable gives something else.
        """
        return await asked_limits(self._limits, user, model) if isinstance(self._limits, Hook) else self._limits

    def reserve_now(
        self, user: User, model: str, candidates: Sequence[Candidate], operation: str, payload: Payload
    ) -> Reservation | None:
        """What ``reserve`` does for nearly all calls of a store in memory: nothing has to be waited for, and all have
        room. None where it is ``reserve`` that has to say."""
        plans, ledger = self._plans, self._ledger
        if plans is None or ledger is None:
            return None
        via = candidates[0].via if candidates else None
        plan = plans.known.get((user.id, model)) if via is None else None
        if plan is None or plan.has_periods:
            plan = plans.find(user, (model,) if via is None else via.hops)
        tokens = usd = 0
        if plan.is_priced:
            expected = expected_usage(operation, payload, via)
            call = Call(plan.limits, Subject(user, plan.models), expected, candidates[:1])
            cost = charges.expected_cost(self._prices, call)
            if cost is None:
                return None
            tokens, usd = expected.tokens or 0, cost
        elif plan.is_metered:
            tokens = expected_tokens(operation, payload, via)
        elif not plan.drawn:
            return None
        taken = (1, tokens, usd)
        places = plan.bound.taken(taken, ledger)
        return None if places is None else Reservation(user, plan, taken, places)

    async def reserve(self, call: Call) -> Reservation:
        """Takes what the call needs before an upstream is chosen. A part of an ``outer`` call takes no place and no
        request where that has taken it.

        Raises ``LimitExceeded``, or ``GatewayBusy`` where the store is away and a limit is closed then.
        """
        plan = self._plan(call)
        if plan.is_priced and not getattr(self._prices, "is_loaded", True):
            await self._prices_loaded()
        reservation = Reservation(call.subject.user, plan, outer=call.outer)
        needed, covered = reservation.cover(self._claims(plan.drawn, call, without=reservation.of_outer()))
        try:
            reservation.add(await self._take(needed))
        except BaseException:
            reservation.uncover()
            raise
        reservation.held = [*reservation.held, *covered]
        return reservation

    async def trade(self, reservation: Reservation, call: Call) -> None:
        """The call goes to another model than was reserved for. Takes what the new model needs, in one step, and gives
        back what it does not need. What both need stays taken, and is topped up where the new one needs more.

        Raises what ``reserve`` does; then nothing has changed.
        """
        plan = self._plan(call)
        wanted = self._claims(plan.drawn, call, without=reservation.of_outer())
        needed, held = {claim.key for _, claim in wanted}, {claim.key: claim for _, claim in reservation.held}
        granted = await self._take([*[pair for pair in wanted if pair[1].key not in held], *_more(wanted, held)])
        added = {each.claim.key: each.claim.reserved for each in granted}
        reservation.plan = plan
        reservation.held = [
            (limit, structs.replace(claim, amount=claim.reserved + added.get(claim.key, 0)))
            for limit, claim in reservation.held
            if claim.key in needed
        ]
        reservation.standings = [each for each in reservation.standings if each.claim.key in needed]
        reservation.add([each for each in granted if each.claim.key not in held])
        self._free([claim for claim in held.values() if claim.key not in needed])

    def give_back(self, reservation: Reservation) -> None:
        """Gives back everything: the call is under no limits any more."""
        held, reservation.held, reservation.standings = reservation.held, [], []
        reservation.plan = Plan((), Subject(reservation.user, ()), 0.0)
        self._free([claim for _, claim in held])

    async def enter(
        self, reservation: Reservation, served: Model | None, candidate: Candidate, expected: Usage
    ) -> GatewayError | None:
        """Takes what an attempt needs beside, at its upstream and as a fallback. Gives what is in the way."""
        plan = reservation.plan
        more = tuple([id for id in hops_of(served, candidate) if id not in plan.models])
        limits = [each for each in plan.limits if each.per_attempt or more]
        subject = Subject(reservation.user, (*plan.models, *more), served, candidate.upstream.name)
        held = {claim.key for limit, claim in reservation.held if not limit.per_attempt}
        try:
            drawn, call = drawn_on(limits, subject), Call(limits, subject, expected, (candidate,))
            reservation.add(await self._take(self._claims(drawn, call, without=held | reservation.of_outer())))
        except LimitExceeded as error:
            full = UpstreamLimited(error.message, headers=error.headers)
            full.limit, full.type, full.code = error.limit, error.type, error.code
            return full
        except GatewayError as error:
            return error
        return None

    def release(self, reservation: Reservation, attempt: AttemptRecord | None) -> None:
        """Gives back what a failed attempt took at its upstream and did not use: the next attempt takes its own. A
        request that was sent stays counted."""
        if not reservation.plan.per_attempt:
            return
        spent = [pair for pair in reservation.held if pair[0].per_attempt and pair[0].unit != "requests"]
        if spent:
            reservation.held = [pair for pair in reservation.held if pair not in spent]
            used = [charges.used_by_attempt(limit, attempt) for limit, _ in spent]
            self._correct([claim for _, claim in spent], used)

    def leave(self, reservation: Reservation) -> None:
        """Gives back the places of a call whose client has gone; what it uses is settled when that is known."""
        places = [pair for pair in reservation.held if pair[1].account is _PLACES]
        if places:
            reservation.held = [pair for pair in reservation.held if pair not in places]
            self._free([claim for _, claim in places])

    def settle(self, reservation: Reservation, record: UsageRecord) -> None:
        """Corrects what was reserved by what was used; once, and nobody waits for it."""
        if reservation.settled:
            return
        reservation.settled = True
        ledger, by = self._ledger, charges.correction(reservation, record)
        if ledger is not None and by is not None:
            reservation.plan.bound.corrected(by, reservation.places, ledger)
        else:
            used = charges.used_in(reservation, record)
            reservation.uncover()
            self._correct([claim for _, claim in reservation.held], used)

    async def aclose(self) -> None:
        if self._plans is not None:
            self._plans.clear()
        await self.store.aclose()

    async def _prices_loaded(self) -> None:
        """Those of a package come from a thread, a moment after the start: until then no model has a price."""
        loaded: Callable[[], Awaitable[None]] | None = getattr(self._prices, "loaded", None)
        if loaded is not None:
            await loaded()

    def _plan(self, call: Call) -> Plan:
        if self._plans is not None:
            return self._plans.find(call.subject.user, call.subject.models)
        return Plan(call.limits, call.subject, self.clock())

    def _released(self, bounds: Sequence[Bound]) -> None:
        if self._ledger is not None:
            self._ledger.release(bounds)

    def _claims(self, drawn: Drawn, call: Call, *, without: Collection[str]) -> Held:
        """What is to be taken, beside the accounts that it is not to be taken from."""
        now, tokens = self.clock(), call.expected.tokens or 0
        claims: list[tuple[Limit, Claim]] = []
        for limit, key in drawn:
            amount: int | None = 1
            if limit.unit == "tokens":
                amount = tokens
            elif limit.unit == "usd":
                amount = charges.expected_usd(self._prices, limit, call)
            if amount is not None:
                claim = limit.claim(key, amount, now, next(leases))
                if claim.key not in without:
                    claims.append((limit, claim))
        return claims

    async def _take(self, wanted: Held) -> list[Standing]:
        """What was granted: all, or nothing where the store is away and lets calls pass."""
        if not wanted:
            return []
        try:
            decision = await self._decision([claim for _, claim in wanted])
        except StoreDown as error:
            self._note_down("take", error)
            if any(limit.when_down == "closed" for limit, _ in wanted):
                raise away() from error
            return []
        self._warned = False  # the next outage is another one
        standings = [Standing(*pair, balance) for pair, balance in zip(wanted, decision.balances, strict=True)]
        if not decision.granted:
            raise refusal(standings)
        places = [claim for _, claim in wanted if claim.account is _PLACES]
        if places:
            self.places.keep(places)
        return standings

    async def _decision(self, claims: Sequence[Claim]) -> Decision:
        """The store's. Who leaves while it is on its way gets back what it granted."""
        if self._at_once is not None:
            return self._at_once.take_now(claims)  # it never waits, so nobody can leave meanwhile
        taking = asyncio.ensure_future(self.store.take(claims))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            _ = self._background.start(self._taken_back(taking, claims))
            raise

    async def _taken_back(self, taking: Awaitable[Decision], claims: Sequence[Claim]) -> None:
        with suppress(StoreDown):
            if (await taking).granted:
                await self._settling.settle([Change(claim, -claim.reserved) for claim in claims])

    def _free(self, claims: Sequence[Claim]) -> None:
        self._correct(claims, [0] * len(claims))

    def _correct(self, claims: Sequence[Claim], used: Sequence[int]) -> None:
        """By what was used of each; places are given back."""
        changes = [
            Change(claim, amount - claim.reserved)
            for claim, amount in zip(claims, used, strict=True)
            if amount != claim.reserved or claim.account is _PLACES
        ]
        if changes:
            self.places.drop([each.claim for each in changes if each.claim.account is _PLACES])
            self._settling.start(changes)

    def _note_down(self, operation: str, error: StoreDown) -> None:
        self._failed(operation)
        if not self._warned:
            self._warned = True
            logger.warning("the store of limits is away (%s); limits are held as `when_down` says", error)


def _more(wanted: Held, held: Mapping[str, Claim]) -> Held:
    """By how much more is wanted than is held, where it is."""
    return [
        (limit, structs.replace(claim, amount=claim.reserved - held[claim.key].reserved))
        for limit, claim in wanted
        if claim.key in held and claim.reserved > held[claim.key].reserved
    ]
