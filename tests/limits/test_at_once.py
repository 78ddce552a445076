"""A store in memory decides most calls in one pass over what is known of them; it says what the general way says."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from contextlib import suppress
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from openai_gateway_asgi import GatewayError, Limit, MemoryLimits, Outcome, Price, Upstream, Usage, User
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.host.prices import prices_of
from openai_gateway_asgi.http.background import Background
from openai_gateway_asgi.limits.desk import Desk
from openai_gateway_asgi.limits.estimate import expected_usage
from openai_gateway_asgi.limits.ledger import MOST_ACCOUNTS
from openai_gateway_asgi.limits.limit import Subject
from openai_gateway_asgi.limits.reservation import Call, Reservation
from openai_gateway_asgi.models import Candidate
from tests.support.clock import Clock

CHAT = "createChatCompletion"
CANDIDATES = (Candidate(Upstream("http://up.test/v1", api_key="k", name="up"), "m"),)
NOON = 1_800_000_000.0


class Hosts(MemoryLimits):
    """A kind of the host's own: it is asked through its own methods, whatever these do."""


def some_limits(rng: random.Random) -> list[Limit]:
    kinds = [
        lambda: Limit(requests=rng.choice([2, 5, 20]), per=rng.choice(["second", "minute", "day"]), by=by()),
        lambda: Limit(tokens=rng.choice([200, 2000]), per=rng.choice(["minute", "hour", "month"]), by=by()),
        lambda: Limit(usd=rng.choice(["0.5", "5"]), per="week", by=by(), unpriced=rng.choice(["allow", "refuse"])),
        lambda: Limit(concurrent=rng.choice([1, 3]), by=by()),
    ]

    def by() -> Any:
        return rng.choice([(), "user", "model", ("user", "model"), "user_groups", ("user", "user_groups")])

    return [rng.choice(kinds)() for _ in range(rng.randint(1, 5))]


def some_record(rng: random.Random) -> Any:
    usage = rng.choice([None, Usage(input=rng.randrange(300), output=rng.randrange(300)), Usage(seconds=3.0)])
    cost = rng.choice([None, Decimal("0.01"), Decimal("0.4")])
    return SimpleNamespace(
        usage=usage,
        cost=cost,
        attempts=rng.choice([0, 1, 2]),
        outcome=rng.choice(list(Outcome)),
        first_byte=rng.choice([None, 0.1]),
        tries=(),
    )


class World:
    """One of the two, with what its calls hold."""

    def __init__(self, limits: list[Limit], store: MemoryLimits, clock: Clock) -> None:
        prices = prices_of({"m": Price(input="1000", output="2000")})
        self.desk = Desk(limits, store, prices, Background(), clock=clock)
        self.limits = limits
        self.at_once = 0
        self.open: list[Reservation] = []

    async def ask(self, user: User, model: str, body: Payload) -> object:
        reservation = self.desk.reserve_now(user, model, CANDIDATES, CHAT, body)
        self.at_once += reservation is not None
        try:
            if reservation is None:
                call = Call(self.limits, Subject(user, (model,)), expected_usage(CHAT, body), CANDIDATES)
                reservation = await self.desk.reserve(call)
        except GatewayError as error:
            return error.code, error.message.partition(" Please")[0]  # and when, to the last digit of a float
        self.open.append(reservation)
        told = reservation.told_in([(b"x-ratelimit-remaining-requests", b"theirs")])
        return [pair for pair in told if not pair[0].startswith(b"x-ratelimit-reset")]  # a period's ends by the clock

    async def stand(self, user: User, now: float) -> object:
        claims = [
            claim
            for limit in self.limits
            for model in ("m", "unpriced")
            for claim in limit.claims(Subject(user, (model,)), 0, now)
        ]
        return [balance.remaining for balance in await self.desk.store.balances(claims)]


@pytest.mark.parametrize("seed", range(8))
async def test_the_short_way_says_what_the_general_one_says(seed: int) -> None:
    rng, clock = random.Random(seed), Clock(NOON)
    limits = some_limits(rng)
    short, general = (World(limits, kind(clock=clock), clock) for kind in (MemoryLimits, Hosts))
    users = [User("ann", groups={"a", "b"}), User("bob", groups={"b"}), User("una")]
    for _ in range(200):
        clock.now += rng.choice([0.0, 0.01, 1.0, 20.0, 3600.0, 90_000.0, -5.0])
        for world in (short, general):
            await world.desk.places.renew()
        user, model = rng.choice(users), rng.choice(["m", "m", "unpriced"])
        body = Payload.parse(b'{"model": "m", "max_tokens": %d}' % rng.choice([1, 50, 150, 5000]))
        assert await short.ask(user, model, body) == await general.ask(user, model, body)
        while short.open and rng.random() < 0.6:
            place, record = rng.randrange(len(short.open)), some_record(rng)
            for world in (short, general):
                world.desk.settle(world.open.pop(place), record)
            await asyncio.sleep(0)  # the general one settles beside its calls
        if not short.open and rng.random() < 0.1:
            for world in (short, general):
                await world.desk.store.erase("user=ann")
        for each in users:
            assert await short.stand(each, clock.now) == await general.stand(each, clock.now)
    assert general.at_once == 0
    assert short.at_once > 0


async def test_accounts_that_plans_hold_are_kept_and_forgotten_ones_are_found_anew() -> None:
    clock = Clock(NOON)
    store = MemoryLimits(clock=clock)
    world = World([Limit(requests=2, per="day", by="user")], store, clock)
    ann, body = User("ann"), Payload.parse(b"{}")
    for _ in range(2):
        assert isinstance(await world.ask(ann, "m", body), list)
    assert isinstance(await world.ask(ann, "m", body), tuple)
    assert await store.erase("user=ann") == 1
    assert isinstance(await world.ask(ann, "m", body), list)
    assert await world.stand(ann, clock.now) == [1, 1]
    assert world.at_once == 3


@pytest.mark.parametrize("spelt_out", [False, True])
async def test_a_place_that_was_forgotten_is_not_given_back_for_another_call(spelt_out: bool) -> None:
    clock = Clock(NOON)
    world = World([Limit(concurrent=1, by="user")], MemoryLimits(clock=clock), clock)
    ann, body = User("ann"), Payload.parse(b"{}")
    before = world.desk.reserve_now(ann, "m", CANDIDATES, CHAT, body)
    assert before is not None
    if spelt_out:
        assert len(before.held) == 1
    await world.desk.store.erase("user=ann")
    after = world.desk.reserve_now(ann, "m", CANDIDATES, CHAT, body)
    assert after is not None
    for _ in range(2):
        world.desk.settle(before, some_record(random.Random(1)))
        assert world.desk.reserve_now(ann, "m", CANDIDATES, CHAT, body) is None
    world.desk.settle(after, some_record(random.Random(1)))
    assert world.desk.reserve_now(ann, "m", CANDIDATES, CHAT, body) is not None


async def test_a_period_that_is_over_is_another_plan() -> None:
    clock = Clock(NOON)
    world = World([Limit(requests=1, per="day", by="user")], MemoryLimits(clock=clock), clock)
    ann, body = User("ann"), Payload.parse(b"{}")
    for _ in range(3):
        assert isinstance(await world.ask(ann, "m", body), list)
        assert isinstance(await world.ask(ann, "m", body), tuple)
        clock.now += 86_400.0
    assert world.at_once == 3


async def test_accounts_are_bounded_however_many_one_call_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ACCOUNTS >= 100_000
    monkeypatch.setattr("openai_gateway_asgi.limits.ledger.MOST_ACCOUNTS", 50)
    monkeypatch.setattr("openai_gateway_asgi.limits.plans.MOST_PLANS", 8)
    clock = Clock(NOON)
    world = World([Limit(requests=9, per="day", by=("user", "user_groups"))], MemoryLimits(clock=clock), clock)
    body = Payload.parse(b"{}")
    for number in range(100):
        groups = {f"g{index}" for index in range(10)}
        assert isinstance(await world.ask(User(f"u{number}", groups=groups), "m", body), list)
        assert len(world.desk.store) <= 50  # type: ignore[arg-type]


def test_of_calls_in_several_threads_exactly_the_allowed_number_passes() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    store = MemoryLimits()
    limits = [Limit(requests=1000, per="month", by="user"), Limit(tokens=10**9, per="hour"), Limit(concurrent=10**6)]
    desk = Desk(limits, store, None, Background())
    ann, body = User("ann"), Payload.parse(b"{}")
    granted: list[Reservation] = []

    def asks() -> None:
        for _ in range(500):
            reservation = desk.reserve_now(ann, "m", (), CHAT, body)
            if reservation is not None:
                granted.append(reservation)

    def in_threads(work: Any) -> None:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    over = SimpleNamespace(usage=Usage(input=3, output=4), cost=None, attempts=1, tries=())

    def ends() -> None:
        with suppress(IndexError):
            while True:
                desk.settle(granted.pop(), over)  # type: ignore[arg-type]

    try:
        in_threads(asks)
        assert len(granted) == 1000
        in_threads(ends)
    finally:
        sys.setswitchinterval(before)
    claims = [claim for limit in limits for claim in limit.claims(Subject(ann, ("m",)), 0, time.time())]
    requests, tokens, places = asyncio.run(store.balances(claims))  # type: ignore[arg-type]
    assert (requests.remaining, places.remaining) == (0, 10**6)
    assert 10**9 - 7000 <= tokens.remaining <= 10**9
