"""What is held against whom, over a clock of the tests' own."""

from __future__ import annotations

import pytest

from openai_gateway_asgi.causes import Cause, Failure
from openai_gateway_asgi.errors import Headers, UpstreamError
from openai_gateway_asgi.upstream.breaker import FAILURES, State
from openai_gateway_asgi.upstream.memory import MOST, Blame, Memory, Place, Places, Rest


def at(user: str = "", model: str = "m", upstream: str = "a") -> Places:
    return Place(upstream, model, None), Place(upstream, model, user)


class Calls:
    """Calls that begin and end in one moment."""

    def __init__(self) -> None:
        self.memory = Memory()

    def fail(
        self,
        failure: Failure,
        places: Places,
        *,
        times: int = 1,
        now: float = 1.0,
        user: int = 1,
        body: int = 1,
        headers: Headers = (),
    ) -> None:
        for _ in range(times):
            error = UpstreamError("no", headers=headers).because(Cause("status"), failure)
            self.memory.failed(places, object(), error, now, now, blame=lambda: Blame(user, body), counted=set())

    def rest(self, places: Places, now: float = 1.0, *, alone: bool = False) -> Rest | None:
        return self.memory.enter(places, object(), now, alone=alone)


@pytest.fixture
def calls() -> Calls:
    return Calls()


LATER: Headers = ((b"retry-after", b"20"),)

WHOSE = [
    (Failure.RATE_LIMITED, "credential"),
    (Failure.CREDENTIAL, "credential"),
    (Failure.OVERLOADED, "everybody"),
    (Failure.CUT, "everybody"),
    (Failure.REFUSED, "everybody"),
    (Failure.TIMEOUT, "everybody"),
    (Failure.UNREACHED, "everybody"),
    (Failure.UNABLE, "nobody"),
    (Failure.SLOW, "nobody"),
    (Failure.CONTENT, "nobody"),
    (Failure.CALLER, "nobody"),
    (Failure.NO_CREDENTIAL, "nobody"),
    (Failure.BUSY, "nobody"),
]


@pytest.mark.parametrize(("failure", "whose"), WHOSE, ids=lambda value: str(value))
def test_each_kind_is_held_against_those_whom_it_tells_of(calls: Calls, failure: Failure, whose: str) -> None:
    calls.fail(failure, at("ann"), times=FAILURES)

    assert (calls.rest(at("ann")) is not None) == (whose != "nobody")
    assert (calls.rest(at("bob")) is not None) == (whose == "everybody")
    assert calls.rest(at("ann", model="other")) is None
    assert calls.rest(at("ann", upstream="b")) is None
    assert bool(calls.memory) == (whose != "nobody")


def test_a_limit_that_says_until_when_is_kept_at_once_and_says_how_long(calls: Calls) -> None:
    calls.fail(Failure.RATE_LIMITED, at("ann"), headers=LATER)

    assert calls.rest(at("ann"), 6.0) == Rest(15.0, limited=True)
    assert calls.rest(at("bob"), 6.0) is None
    assert calls.rest(at("ann"), 21.0) is None


def test_what_the_attempts_of_one_request_fail_with_counts_once(calls: Calls) -> None:
    counted = set[Place]()
    for _ in range(10):
        error = UpstreamError("no").because(Cause("status"), Failure.OVERLOADED)
        calls.memory.failed(at(), "call", error, 1.0, 1.0, blame=lambda: Blame(1, 1), counted=counted)
    calls.fail(Failure.OVERLOADED, at(), times=FAILURES - 2)
    assert calls.rest(at()) is None
    calls.fail(Failure.OVERLOADED, at())
    assert calls.rest(at()) is not None


@pytest.mark.parametrize("failure", [Failure.SERVER_ERROR, Failure.ACCOUNT])
def test_what_may_be_one_callers_fault_is_not_held_against_others(calls: Calls, failure: Failure) -> None:
    calls.fail(failure, at(), times=100)
    assert calls.rest(at()) is None

    calls.fail(failure, at(), user=2, times=FAILURES - 1)
    assert calls.rest(at()) is not None


def test_one_caller_with_five_bodies_is_enough(calls: Calls) -> None:
    for body in range(FAILURES):
        assert calls.rest(at()) is None
        calls.fail(Failure.SERVER_ERROR, at(), body=body)
    assert calls.rest(at()) is not None


def test_a_success_in_between_is_all_forgiven(calls: Calls) -> None:
    for _ in range(10):
        calls.fail(Failure.CUT, at(), times=FAILURES - 1)
        calls.memory.succeeded(at(), object(), 1.0)
    assert not calls.memory


def test_the_end_of_an_older_call_does_not_close_it(calls: Calls) -> None:
    calls.fail(Failure.CUT, at(), times=FAILURES, now=5.0)
    calls.memory.succeeded(at(), "an older call", 4.0)
    assert calls.memory.states(5.0) == {("a", "m"): State.OPEN}

    probe = object()
    assert calls.memory.enter(at(), probe, 31.0, alone=False) is None
    assert calls.memory.probed_by(at(), probe)
    calls.memory.succeeded(at(), probe, 31.0)
    assert calls.memory.states(31.0) == {}


def test_a_probe_that_is_refused_for_its_credential_gives_its_place_back(calls: Calls) -> None:
    calls.fail(Failure.CUT, at("ann"), times=FAILURES)
    calls.fail(Failure.RATE_LIMITED, at("ann"), headers=LATER)

    assert calls.rest(at("ann"), 3.0) is not None
    assert calls.memory.enter(at("bob"), "bob's", 3.0, alone=False) is None


def test_a_change_or_a_check_forgets_all_of_an_upstream(calls: Calls) -> None:
    calls.fail(Failure.CUT, at("ann"), times=FAILURES)
    calls.fail(Failure.RATE_LIMITED, at("ann"), headers=LATER)
    calls.fail(Failure.CUT, at(upstream="b"), times=FAILURES)

    calls.memory.forget({"a"})

    assert calls.rest(at("ann")) is None
    assert calls.rest(at(upstream="b")) is not None


def test_administrators_see_what_is_everybodys_and_no_users(calls: Calls) -> None:
    calls.fail(Failure.RATE_LIMITED, at("ann", "x"), headers=LATER)
    calls.fail(Failure.RATE_LIMITED, at("", "y"), headers=LATER)
    calls.fail(Failure.CUT, at("ann", "z"), times=FAILURES)

    assert calls.memory.states(1.5) == {("a", "y"): State.OPEN, ("a", "z"): State.OPEN}
    assert calls.memory.states(12.0) == {("a", "y"): State.OPEN, ("a", "z"): State.HALF_OPEN}


def test_however_many_callers_and_models_there_are_so_many_are_kept(calls: Calls) -> None:
    for number in range(MOST + 10):
        calls.fail(Failure.RATE_LIMITED, at(str(number), str(number)), headers=LATER)

    assert len(calls.memory._breakers) == MOST
    assert calls.rest(at("9", "9")) is None
    assert calls.rest(at("10", "10")) is not None
