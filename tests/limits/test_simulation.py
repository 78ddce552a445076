"""A thousand users on a clock of their own, against a plain model of what each limit allows."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from openai_gateway_asgi import Limit, MemoryLimits, Outcome, Usage, User
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.http.background import Background
from openai_gateway_asgi.limits.desk import Desk
from openai_gateway_asgi.limits.estimate import expected_usage
from openai_gateway_asgi.limits.limit import LEASE, Subject
from openai_gateway_asgi.limits.places import RENEW
from openai_gateway_asgi.limits.reservation import Call, Reservation
from openai_gateway_asgi.limits.told import LimitExceeded
from tests.support.clock import Clock

USERS = 1000
STEPS = 20_000
WORKERS = 2
REQUESTS, TOKENS, PLACES = 6, 3000, 3
LIMITS = (
    Limit(requests=REQUESTS, per="minute", by="user"),
    Limit(tokens=TOKENS, per="minute", by="user"),
    Limit(concurrent=PLACES, by="user"),
)
CHAT = "createChatCompletion"
BODIES = [Payload.parse(b'{"max_tokens": %d}' % tokens) for tokens in (50, 200, 800, 5000)]


class Hosts(MemoryLimits):
    """A host's own kind of it is asked through its own methods."""


@dataclass
class Account:
    """What one user really used, and when."""

    requests: list[float] = field(default_factory=list)
    tokens: list[tuple[float, int]] = field(default_factory=list)
    open: int = 0
    killed: list[float] = field(default_factory=list)
    """When the worker died that had made calls which were still open."""
    refused_with_room: int = 0


@dataclass
class Open:
    user: str
    worker: Desk
    reservation: Reservation
    asked: int


def record(outcome: Outcome, used: int | None, *, attempts: int) -> Any:
    usage = None if used is None else Usage(input=used, output=0)
    return SimpleNamespace(
        usage=usage, attempts=attempts, outcome=outcome, cost=None, first_byte=0.1 if used is not None else None
    )


async def reserved(worker: Desk, user: User, body: Payload) -> Reservation:
    """As the layer does."""
    at_once = worker.reserve_now(user, "m", (), CHAT, body)
    if at_once is not None:
        return at_once
    return await worker.reserve(Call(LIMITS, Subject(user, ("m",)), expected_usage(CHAT, body), ()))


@pytest.mark.parametrize("kind", [MemoryLimits, Hosts])
async def test_never_more_than_the_limit_allows_and_never_less(
    kind: type[MemoryLimits], capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(1)
    clock, background = Clock(1_800_000_000.0), Background()
    store = kind(clock=clock)
    workers = [Desk(LIMITS, store, None, background, clock=clock) for _ in range(WORKERS)]
    accounts: dict[str, Account] = defaultdict(Account)
    open_calls: list[Open] = []
    over, granted, refused, killed = 0, 0, 0, 0
    renewed = clock.now

    def end(call: Open) -> None:
        nonlocal over
        account, fate = accounts[call.user], rng.random()
        account.open -= 1
        settle = call.worker.settle
        if fate < 0.6:
            used = max(1, int(call.asked * rng.uniform(0.2, 1.3)))
            over = max(over, used - call.asked)
            account.tokens.append((clock.now, used))
            settle(call.reservation, record(Outcome.COMPLETED, used, attempts=1))
        elif fate < 0.8:
            settle(call.reservation, record(Outcome.UPSTREAM_FAILED, None, attempts=1))
        elif fate < 0.9:
            account.requests.pop()
            settle(call.reservation, record(Outcome.FAILED, None, attempts=0))
        else:
            settle(call.reservation, record(Outcome.CLIENT_GONE_BEFORE_FIRST_BYTE, None, attempts=1))
        settle(call.reservation, record(Outcome.COMPLETED, 10**9, attempts=1))  # a second time changes nothing

    def kill(worker: Desk) -> None:
        """Nothing that it has open is ever settled, or renewed."""
        nonlocal killed
        for call in [each for each in open_calls if each.worker is worker]:
            open_calls.remove(call)
            killed += 1
            account = accounts[call.user]
            account.open -= 1
            account.killed.append(clock.now)
            account.tokens.append((clock.now, min(call.asked, TOKENS)))
        workers[workers.index(worker)] = Desk(LIMITS, store, None, background, clock=clock)

    for _ in range(STEPS):
        clock.now += rng.expovariate(20.0)
        if clock.now - renewed > RENEW:
            renewed = clock.now
            for worker in workers:
                await worker.places.renew()
        while open_calls and rng.random() < 0.5:
            end(open_calls.pop(rng.randrange(len(open_calls))))
        if rng.random() < 0.001 and kind is not MemoryLimits:  # the memory of a process dies with it
            kill(rng.choice(workers))
        user, body = f"user-{int(rng.triangular(0, USERS, 0))}", rng.choice(BODIES)
        account, worker = accounts[user], rng.choice(workers)
        asked = expected_usage(CHAT, body).tokens or 0
        try:
            reservation = await reserved(worker, User(user), body)
        except LimitExceeded:
            refused += 1
            recent = [at for at in account.requests if at > clock.now - 60]
            used = sum(count for at, count in account.tokens if at > clock.now - 300)  # by then any debt is paid
            held = account.open or any(at > clock.now - LEASE for at in account.killed)
            if not recent and not used and not held:
                account.refused_with_room += 1
        else:
            granted += 1
            account.requests.append(clock.now)
            account.open += 1
            assert account.open <= PLACES
            open_calls.append(Open(user, worker, reservation, asked))
    for call in open_calls:
        end(call)

    for user, account in accounts.items():
        for at in account.requests:
            within = sum(at - 60 < other <= at for other in account.requests)
            assert within <= 2 * REQUESTS, user  # a bucket that is full, and what flows in while it is emptied
        assert account.refused_with_room == 0, user
        assert account.open == 0
    span = clock.now - 1_800_000_000.0
    for user, account in accounts.items():
        used = sum(count for _, count in account.tokens)
        # The error of the estimates: a call is let in when its estimate fits, and may use more.
        assert used <= TOKENS * (1 + span / 60) + PLACES * (over + 5000), user
    places = [claim for user in accounts for claim in LIMITS[2].claims(Subject(User(user), ("m",)), 0, clock.now)]
    clock.now += LEASE
    assert all(balance.remaining == PLACES for balance in await store.balances(places))  # also those of the killed
    clock.now += 3600.0
    left = await store.balances(
        [claim for limit in LIMITS for claim in limit.claims(Subject(User("user-0"), ("m",)), 0, clock.now)]
    )
    assert [balance.remaining for balance in left] == [REQUESTS, TOKENS, PLACES]
    assert not any(leases for worker in workers for leases in worker.places.held.values())
    with capsys.disabled():
        print(f"\n{len(accounts)} users, {granted} granted, {refused} refused, {killed} killed, {over} tokens over")  # noqa: T201 - the figures of the proof
    assert (granted > 1000, refused > 1000, killed > 5) == (True, True, kind is not MemoryLimits), (
        granted,
        refused,
        killed,
    )
    await background.aclose()
