"""Breakers over a clock of the tests' own."""

from __future__ import annotations

import pytest

from openai_gateway_asgi.upstream.breaker import (
    DOUBT,
    FAILURES,
    FIRST_COOL_DOWN,
    LONGEST_ASKED,
    LONGEST_COOL_DOWN,
    Breaker,
    State,
)


def opened(at: float = 1.0, *, silent: bool = False) -> Breaker:
    breaker = Breaker()
    for call in range(FAILURES):
        assert breaker.enter(call, at)
        breaker.failed(call, at, at, silent=silent)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker()
    for call in range(FAILURES - 1):
        breaker.failed(call, 0.0, 0.0)
    assert breaker.state(0.0) is State.CLOSED

    breaker.failed("last", 0.0, 0.0)

    assert breaker.state(0.0) is State.OPEN
    assert not breaker.enter("next", FIRST_COOL_DOWN - 0.01)


def test_several_failures_may_be_told_at_once() -> None:
    breaker = Breaker()
    breaker.failed("call", 0.0, 0.0, times=FAILURES)
    assert breaker.state(0.0) is State.OPEN


def test_after_the_cool_down_one_call_and_no_other_is_let_through() -> None:
    breaker, later = opened(), 1.0 + FIRST_COOL_DOWN

    assert breaker.state(later) is State.HALF_OPEN
    assert breaker.enter("probe", later)
    assert not breaker.enter("another", later)
    assert not breaker.enter("another", 1000.0)
    assert breaker.state(1000.0) is State.HALF_OPEN


def test_each_probe_that_fails_doubles_the_cool_down_up_to_the_longest() -> None:
    breaker, now, waits = opened(), 1.0, []
    for probe in range(6):
        waits.append(breaker.open_until - now)
        now = breaker.open_until
        assert breaker.enter(probe, now)
        breaker.failed(probe, now, now)
        breaker.let_go(probe)

    assert waits == pytest.approx([1, 2, 4, 8, 10, 10])
    assert max(waits) == LONGEST_COOL_DOWN


def test_a_burst_of_calls_that_fail_together_opens_it_once() -> None:
    breaker = Breaker()
    for call in range(100):
        assert breaker.enter(call, 0.0)
    for call in range(100):
        breaker.failed(call, 0.0, 0.5)

    assert breaker.open_until == 0.5 + FIRST_COOL_DOWN


def test_a_probe_whose_client_leaves_hands_its_place_to_the_next_call() -> None:
    breaker = opened()
    assert breaker.enter("probe", 3.0)

    breaker.let_go("probe")

    assert breaker.enter("next", 3.0)


def test_only_the_probe_can_give_its_place_away() -> None:
    breaker = opened()
    assert breaker.enter("probe", 3.0)

    breaker.let_go("an older call")
    breaker.failed("an older call", 0.5, 3.0)

    assert not breaker.enter("another", 3.0)
    assert breaker.open_until == 1.0 + FIRST_COOL_DOWN


def test_what_the_upstream_asks_for_opens_it_at_once_and_is_bounded() -> None:
    breaker = Breaker()
    breaker.rest(10.0, 30.0)
    assert (breaker.state(39.9), breaker.state(40.0)) == (State.OPEN, State.HALF_OPEN)

    breaker.rest(10.0, 86400.0)
    assert breaker.open_until == 10.0 + LONGEST_ASKED

    breaker.rest(10.0, 5.0)
    assert breaker.open_until == 10.0 + LONGEST_ASKED


def test_a_rate_limit_is_over_when_its_time_is() -> None:
    breaker = Breaker(limited=True)
    breaker.rest(10.0, 30.0)

    assert not breaker.enter("call", 39.9)
    assert breaker.state(40.0) is State.CLOSED
    assert all(breaker.enter(call, 40.0) for call in range(5))


def test_one_that_has_nobody_else_to_ask_is_let_through() -> None:
    breaker = opened()
    assert all(breaker.enter(call, 1.1, alone=True) for call in range(5))
    assert breaker.state(1.1) is State.OPEN
    for call in range(5):
        breaker.failed(call, 1.1, 1.1)
        breaker.let_go(call)
    assert breaker.open_until == 1.0 + FIRST_COOL_DOWN


def test_where_it_was_silence_one_at_a_time_is() -> None:
    breaker = opened(silent=True)

    assert breaker.enter("first", 1.1, alone=True)
    assert not breaker.enter("second", 1.1, alone=True)
    breaker.let_go("first")
    assert breaker.enter("third", 1.1, alone=True)
    assert not breaker.enter("other", 1.1)


def test_what_may_be_one_callers_fault_counts_once_another_has_it_too() -> None:
    breaker = Breaker()
    assert [breaker.doubt(1, 7, at) for at in range(20)] == [0] * 20

    assert breaker.doubt(2, 7, 20.0) == 2
    assert breaker.doubt(1, 7, 21.0) == 1


def test_or_once_one_caller_has_it_with_five_bodies_within_a_minute() -> None:
    breaker = Breaker()
    assert [breaker.doubt(1, body, body * DOUBT / 2) for body in range(20)] == [0] * 20
    assert [breaker.doubt(1, body, 9999.0) for body in range(5)] == [0, 0, 0, 0, 5]


def test_doubts_are_few() -> None:
    breaker = Breaker()
    for at in range(1000):
        breaker.doubt(1, at % 4, at / 100)
    assert len(breaker.doubts) <= FAILURES
