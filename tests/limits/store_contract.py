"""What every store of limits holds to, whoever wrote it.

A subclass gives a ``store`` fixture; its own clock is the store's, so that waiting is done by ``pass_time``, which a store
with a clock of its own does for real.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from openai_gateway_asgi.limits import Account, Change, Claim, LimitStore

PassTime = Callable[[float], Awaitable[None]]
Now = Callable[[], float]


def bucket(amount: int = 1, *, key: str = "k/user=a/", capacity: int = 10, rate: float = 10.0) -> Claim:
    return Claim(key, Account.BUCKET, capacity, amount, rate=rate)


def places(lease: str, *, key: str = "p/user=a/", capacity: int = 2, seconds: float = 30.0) -> Claim:
    return Claim(key, Account.PLACES, capacity, 1, lease=lease, lease_seconds=seconds)


class StoreContract:
    """The tests of a ``LimitStore``; ``store``, ``pass_time`` and ``now`` are fixtures of the subclass."""

    async def test_a_bucket_gives_what_it_holds_and_no_more(self, store: LimitStore) -> None:
        taken = [(await store.take([bucket(4)])).granted for _ in range(3)]
        assert taken == [True, True, False]

    async def test_a_refused_call_consumes_nothing(self, store: LimitStore) -> None:
        await store.take([bucket(8)])
        for _ in range(5):
            assert not (await store.take([bucket(5)])).granted
        assert (await store.take([bucket(2)])).granted

    async def test_a_refusal_says_when_there_will_be_room(self, store: LimitStore) -> None:
        await store.take([bucket(10, rate=1.0)])
        decision = await store.take([bucket(4, rate=1.0)])
        (balance,) = decision.balances
        assert not decision.granted
        assert balance.wait is not None
        assert 3.5 < balance.wait <= 4.0
        assert 9.0 < balance.reset <= 10.0

    async def test_a_bucket_fills_again(self, store: LimitStore, pass_time: PassTime) -> None:
        await store.take([bucket(10, rate=50.0)])
        assert not (await store.take([bucket(10, rate=50.0)])).granted
        await pass_time(0.25)
        assert (await store.take([bucket(10, rate=50.0)])).granted

    async def test_a_claim_larger_than_the_bucket_is_judged_at_its_capacity(self, store: LimitStore) -> None:
        assert (await store.take([bucket(1000)])).granted
        assert not (await store.take([bucket(1)])).granted

    async def test_settling_gives_back_what_was_not_used(self, store: LimitStore) -> None:
        claim = bucket(10, rate=0.001)
        await store.take([claim])
        await store.settle([Change(claim, -6)])
        assert (await store.take([bucket(6, rate=0.001)])).granted
        assert not (await store.take([bucket(1, rate=0.001)])).granted

    async def test_a_bucket_goes_into_debt_and_pays_it_before_it_gives(
        self, store: LimitStore, pass_time: PassTime
    ) -> None:
        claim = bucket(10, rate=100.0)
        await store.take([claim])
        await store.settle([Change(claim, 20)])
        (balance,) = await store.balances([claim])
        assert -20 <= balance.remaining <= -10
        await pass_time(0.1)
        assert not (await store.take([bucket(1, rate=100.0)])).granted
        await pass_time(0.25)
        assert (await store.take([bucket(1, rate=100.0)])).granted

    async def test_all_claims_are_taken_or_none(self, store: LimitStore) -> None:
        wide, narrow = bucket(5, key="wide/user=a/"), bucket(5, key="narrow/user=a/", capacity=8)
        assert (await store.take([wide, narrow])).granted
        refused = await store.take([wide, narrow])
        assert not refused.granted
        assert [balance.wait is None for balance in refused.balances] == [True, False]
        assert (await store.take([wide])).granted

    async def test_two_claims_on_one_account_need_room_for_both(self, store: LimitStore) -> None:
        assert not (await store.take([bucket(6), bucket(6)])).granted
        assert (await store.take([bucket(5), bucket(5)])).granted

    async def test_a_period_counts_until_it_is_over(self, store: LimitStore, now: Now) -> None:
        claim = Claim("d/user=a/2026-11-28/", Account.PERIOD, 100, 60, ends=now() + 3600)
        assert (await store.take([claim])).granted
        refused = await store.take([claim])
        (balance,) = refused.balances
        assert not refused.granted
        assert balance.remaining == 40
        assert balance.wait is not None
        assert 3590 < balance.wait <= 3601
        await store.settle([Change(claim, -30)])
        assert (await store.take([claim])).granted

    async def test_places_are_given_back(self, store: LimitStore) -> None:
        assert (await store.take([places("a")])).granted
        assert (await store.take([places("b")])).granted
        assert not (await store.take([places("c")])).granted
        await store.settle([Change(places("a"))])
        assert (await store.take([places("c")])).granted
        assert not (await store.take([places("d")])).granted

    async def test_a_place_that_nobody_renews_is_free_again(self, store: LimitStore, pass_time: PassTime) -> None:
        short = [places(name, seconds=0.2) for name in ("a", "b")]
        for claim in short:
            await store.take([claim])
        await pass_time(0.12)
        await store.renew(short[:1])
        await pass_time(0.12)
        assert (await store.take([places("c")])).granted
        assert not (await store.take([places("d")])).granted

    async def test_giving_a_place_back_twice_is_giving_it_back_once(self, store: LimitStore) -> None:
        for name in ("a", "b"):
            await store.take([places(name)])
        for _ in range(2):
            await store.settle([Change(places("a"))])
        assert (await store.take([places("c")])).granted
        assert not (await store.take([places("d")])).granted

    async def test_looking_takes_nothing(self, store: LimitStore) -> None:
        for _ in range(3):
            (balance,) = await store.balances([bucket(10)])
            assert (balance.remaining, balance.reset, balance.wait) == (10, 0.0, None)

    async def test_an_account_can_be_forgotten(self, store: LimitStore) -> None:
        await store.take([bucket(10)])
        await store.forget([bucket().key])
        assert (await store.take([bucket(10)])).granted

    async def test_a_user_can_be_erased_and_nobody_else(self, store: LimitStore) -> None:
        mine = [bucket(10, key="x/user=a/"), bucket(10, key="y/user=a/model=m/"), places("l", key="z/user=a/")]
        others = [bucket(10, key="x/user=ab/"), bucket(10, key="x/user=b/model=user%3Da/")]
        for claim in mine + others:
            await store.take([claim])
        assert await store.erase("user=a") == 3
        assert all([(await store.take([claim])).granted for claim in mine])
        assert not any([(await store.take([claim])).granted for claim in others])

    async def test_of_many_at_once_exactly_the_allowed_number_passes(self, store: LimitStore) -> None:
        claims = [bucket(1, key="r/", capacity=100, rate=0.0001), bucket(25, key="t/", capacity=1000, rate=0.0001)]
        decisions = await asyncio.gather(*(store.take(claims) for _ in range(200)))
        assert sum(decision.granted for decision in decisions) == 40

    async def test_nothing_claimed_is_granted(self, store: LimitStore) -> None:
        assert await store.take([]) == (await store.take([]))
        assert (await store.take([])).granted
