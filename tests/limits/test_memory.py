"""Limits in memory: the contract of stores, on a clock of the test's own."""

from __future__ import annotations

import pytest

from openai_gateway_asgi.limits import MemoryLimits
from openai_gateway_asgi.limits.accounts import Amount, Leases
from tests.limits.store_contract import Now, PassTime, StoreContract, bucket, places
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1_800_000_000.0)


@pytest.fixture
def store(clock: Clock) -> MemoryLimits:
    return MemoryLimits(clock=clock)


@pytest.fixture
def now(clock: Clock) -> Now:
    return clock


@pytest.fixture
def pass_time(clock: Clock) -> PassTime:
    async def pass_(seconds: float) -> None:
        clock.now += seconds

    return pass_


class TestMemoryLimits(StoreContract):
    pass


async def test_accounts_that_are_as_good_as_new_are_let_go(store: MemoryLimits, clock: Clock) -> None:
    for number in range(1000):
        await store.take([bucket(1, key=f"k/user={number}/")])
    clock.now += 60.0
    for number in range(600):
        await store.take([bucket(1, key=f"k/user=new-{number}/")])
    assert len(store) <= 601


async def test_a_clock_that_is_set_back_gives_nothing_away(store: MemoryLimits, clock: Clock) -> None:
    await store.take([bucket(10)])
    clock.now -= 3600.0
    assert not (await store.take([bucket(1)])).granted
    clock.now += 3600.0
    assert not (await store.take([bucket(1)])).granted


async def test_a_kept_account_is_small() -> None:
    assert not any(hasattr(kind(places("a"), 0.0), "__dict__") for kind in (Amount, Leases))
