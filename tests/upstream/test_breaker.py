"""Breakers over a clock of the tests' own."""

from __future__ import annotations

import pytest

from openai_gateway_asgi.upstream.breaker import (
    FAILURES,
    FIRST_COOL_DOWN,
    LONGEST_ASKED,
    LONGEST_COOL_DOWN,
    MOST_BREAKERS,
    Breaker,
    Breakers,
    State,
)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for call in range(FAILURES):
        assert breaker.enter(call, at)
        breaker.failed(call, at)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker()
    for call in range(FAILURES - 1):
        breaker.failed(call, 0.0)
    assert breaker.state(0.0) is State.CLOSED

    breaker.failed("last", 0.0)

    assert breaker.state(0.0) is State.OPEN
    assert not breaker.enter("next", FIRST_COOL_DOWN - 0.01)


def test_after_the_cool_down_one_call_and_no_other_is_let_through() -> None:
    breaker = opened()

    assert breaker.state(FIRST_COOL_DOWN) is State.HALF_OPEN
    assert breaker.enter("probe", FIRST_COOL_DOWN)
    assert not breaker.enter("another", FIRST_COOL_DOWN)
    assert not breaker.enter("another", 1000.0)
    assert breaker.state(1000.0) is State.HALF_OPEN


def test_each_probe_that_fails_doubles_the_cool_down_up_to_the_longest() -> None:
    breaker, now, waits = opened(), 0.0, []
    for probe in range(6):
        waits.append(breaker.open_until - now)
        now = breaker.open_until
        assert breaker.enter(probe, now)
        breaker.failed(probe, now)

    assert waits == pytest.approx([1, 2, 4, 8, 10, 10])
    assert max(waits) == LONGEST_COOL_DOWN


def test_a_burst_of_calls_that_fail_together_opens_it_once() -> None:
    breaker = Breaker()
    for call in range(100):
        assert breaker.enter(call, 0.0)
    for call in range(100):
        breaker.failed(call, 0.5)

    assert breaker.open_until == 0.5 + FIRST_COOL_DOWN


def test_a_probe_whose_client_leaves_hands_its_place_to_the_next_call() -> None:
    breaker = opened()
    assert breaker.enter("probe", 2.0)

    breaker.let_go("probe")

    assert breaker.enter("next", 2.0)


def test_only_the_probe_can_give_its_place_away() -> None:
    breaker = opened()
    assert breaker.enter("probe", 2.0)

    breaker.let_go("an older call")
    breaker.failed("an older call", 2.0)

    assert not breaker.enter("another", 2.0)
    assert breaker.open_until == FIRST_COOL_DOWN


def test_what_the_upstream_asks_for_opens_it_at_once_and_is_bounded() -> None:
    breaker = Breaker()
    breaker.failed("call", 10.0, retry_after=30.0)
    assert (breaker.state(39.9), breaker.state(40.0)) == (State.OPEN, State.HALF_OPEN)

    breaker.failed("older", 10.0, retry_after=86400.0)
    assert breaker.open_until == 10.0 + LONGEST_ASKED

    breaker.failed("older still", 10.0, retry_after=5.0)
    assert breaker.open_until == 10.0 + LONGEST_ASKED


def test_success_is_forgotten_and_failure_remembered() -> None:
    breakers = Breakers()
    breakers.note_success("a", "m", "call")
    assert breakers.find("a", "m") is None

    breakers.note_failure("a", "m", "call", 0.0, None)
    assert breakers.find("a", "m") is not None
    assert breakers.find("a", "other") is breakers.find("b", "m") is None

    breakers.note_success("a", "m", "call")
    assert breakers.find("a", "m") is None


def test_failures_that_are_not_in_a_row_do_not_open_it() -> None:
    breakers = Breakers()
    for call in range(10 * FAILURES):
        breakers.note_failure("a", "m", call, 0.0, None)
        if call % (FAILURES - 1) == 0:
            breakers.note_success("a", "m", call)

    assert breakers.states(0.0) == {}


def test_the_end_of_an_older_call_does_not_close_it() -> None:
    breakers = Breakers()
    breakers.note_failure("a", "m", "call", 0.0, 30.0)

    breakers.note_success("a", "m", "an older call")
    assert breakers.states(1.0) == {("a", "m"): State.OPEN}

    breaker = breakers.find("a", "m")
    assert breaker is not None
    assert breaker.enter("probe", 31.0)
    breakers.note_success("a", "m", "probe")
    assert breakers.states(31.0) == {}


def test_however_many_names_clients_make_up_so_many_are_kept() -> None:
    breakers = Breakers()
    for number in range(MOST_BREAKERS + 10):
        breakers.note_failure("a", str(number), "call", 0.0, 30.0)

    assert len(breakers.states(0.0)) == MOST_BREAKERS
    assert breakers.find("a", "9") is None
