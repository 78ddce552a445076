"""A thousand users on a clock of their own, against a plain model of what each limit allows."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from openai_gateway_asgi import Limit, MemoryLimits, Outcome, Usage, User
from openai_gateway_asgi.http.background import Background
from openai_gateway_asgi.limits.desk import Desk
from openai_gateway_asgi.limits.limit import Subject
from openai_gateway_asgi.limits.reservation import Reservation
from openai_gateway_asgi.limits.told import LimitExceeded
from tests.support.clock import Clock

USERS = 1000
STEPS = 20_000
REQUESTS, TOKENS, PLACES = 6, 3000, 3
LIMITS = (
    Limit(requests=REQUESTS, per="minute", by="user"),
    Limit(tokens=TOKENS, per="minute", by="user"),
    Limit(concurrent=PLACES, by="user"),
)


@dataclass
class Account:
    """What one user really used, and when."""

    requests: list[float] = field(default_factory=list)
    tokens: list[tuple[float, int]] = field(default_factory=list)
    open: int = 0
    refused_with_room: int = 0


def record(outcome: Outcome, used: int | None, *, attempts: int) -> Any:
    usage = None if used is None else Usage(input=used, output=0)
    return SimpleNamespace(
        usage=usage, attempts=attempts, outcome=outcome, cost=None, first_byte=0.1 if used is not None else None
    )


@pytest.mark.parametrize("seed", [1, 2])
async def test_never_more_than_the_limit_allows_and_never_less(seed: int) -> None:
    rng = random.Random(seed)
    clock = Clock(1_800_000_000.0)
    desk = Desk(LIMITS, MemoryLimits(clock=clock), None, Background(), clock=clock)
    accounts: dict[str, Account] = defaultdict(Account)
    open_calls: list[tuple[str, Reservation, int]] = []
    over, granted, refused = 0, 0, 0

    def end(user: str, reservation: Reservation, asked: int) -> None:
        nonlocal over
        account, fate = accounts[user], rng.random()
        account.open -= 1
        if fate < 0.6:
            used = max(1, int(asked * rng.uniform(0.2, 1.3)))
            over = max(over, used - asked)
            account.tokens.append((clock.now, used))
            desk.settle(reservation, record(Outcome.COMPLETED, used, attempts=1))
        elif fate < 0.8:
            desk.settle(reservation, record(Outcome.UPSTREAM_FAILED, None, attempts=1))
        elif fate < 0.9:
            account.requests.pop()
            desk.settle(reservation, record(Outcome.FAILED, None, attempts=0))
        else:
            desk.settle(reservation, record(Outcome.CLIENT_GONE_BEFORE_FIRST_BYTE, None, attempts=1))
        desk.settle(reservation, record(Outcome.COMPLETED, 10**9, attempts=1))  # a second time changes nothing

    for _ in range(STEPS):
        clock.now += rng.expovariate(20.0)
        while open_calls and rng.random() < 0.5:
            end(*open_calls.pop(rng.randrange(len(open_calls))))
        user = f"user-{min(int(rng.expovariate(0.02)), USERS - 1)}"
        asked = rng.choice([50, 200, 800, 5000])
        account = accounts[user]
        subject = Subject(User(user), ("m",))
        try:
            reservation = await desk.reserve(LIMITS, subject, Usage(input=asked, output=0), ())
        except LimitExceeded:
            refused += 1
            recent = [at for at in account.requests if at > clock.now - 60]
            used = sum(count for at, count in account.tokens if at > clock.now - 120)
            if not recent and not used and account.open == 0:
                account.refused_with_room += 1
        else:
            granted += 1
            account.requests.append(clock.now)
            account.open += 1
            assert account.open <= PLACES
            open_calls.append((user, reservation, asked))
    for call in open_calls:
        end(*call)

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
    clock.now += 3600.0
    left = await desk.store.balances(
        [claim for limit in LIMITS for claim in limit.claims(Subject(User("user-0"), ("m",)), 0, clock.now)]
    )
    assert [balance.remaining for balance in left] == [REQUESTS, TOKENS, PLACES]
    assert (granted > 1000, refused > 1000) == (True, True), (granted, refused)
    await asyncio.sleep(0)
