from __future__ import annotations

import pytest

from openai_gateway_asgi import errors
from openai_gateway_asgi.causes import Cause, Failure
from openai_gateway_asgi.errors import GatewayError, Headers, UpstreamRefused, UpstreamTimeout, UpstreamUnavailable
from openai_gateway_asgi.upstream.failures import (
    ACTIONS,
    BACKOFF,
    MAY_HAVE_ACTED,
    Action,
    Again,
    Remembered,
    classify,
    wait_before_retry,
)

CAUSE = Cause("status")


def refused(failure: Failure = Failure.CALLER, headers: Headers = (), status: int = 429) -> UpstreamRefused:
    error = UpstreamRefused(status, headers, b"", content_type=b"application/json")
    error.because(CAUSE, failure)
    return error


AFTER = (b"retry-after", b"2")
LATER = (b"retry-after", b"3")

KINDS = [
    (refused(Failure.RATE_LIMITED), Failure.RATE_LIMITED),
    (refused(Failure.RATE_LIMITED, (AFTER,)), Failure.RATE_LIMITED_BRIEFLY),
    (refused(Failure.RATE_LIMITED, ((b"retry-after", b"0"),)), Failure.RATE_LIMITED_BRIEFLY),
    (refused(Failure.RATE_LIMITED, (LATER,)), Failure.RATE_LIMITED_LONGER),
    (refused(Failure.RATE_LIMITED, ((b"retry-after", b"soon"),)), Failure.RATE_LIMITED),
    (refused(Failure.OVERLOADED, (LATER,)), Failure.OVERLOADED),
    (refused(), Failure.CALLER),
    (errors.UpstreamError("wrong"), Failure.SERVER_ERROR),
    (UpstreamUnavailable("cut"), Failure.CUT),
    (UpstreamUnavailable("refused").because(CAUSE, Failure.REFUSED), Failure.REFUSED),
    (UpstreamTimeout("silent"), Failure.TIMEOUT),
    (UpstreamTimeout("no connection").because(CAUSE, Failure.UNREACHED), Failure.UNREACHED),
    (errors.UpstreamCredentialError("none"), Failure.NO_CREDENTIAL),
    (errors.UpstreamAccountError("unpaid"), Failure.ACCOUNT),
    (errors.GatewayBusy("busy"), Failure.BUSY),
    (errors.UpstreamFull("full"), Failure.BUSY),
    (errors.GatewayDraining("stop"), Failure.CALLER),
    (errors.HostFailure("oops"), Failure.CALLER),
    (errors.Unauthenticated("no token"), Failure.CALLER),
]


@pytest.mark.parametrize(("error", "kind"), KINDS)
def test_each_error_is_of_one_kind(error: GatewayError, kind: Failure) -> None:
    assert classify(error) is kind


def test_every_kind_has_its_line_in_the_table() -> None:
    assert ACTIONS.keys() == set(Failure)


def test_what_the_caller_did_is_neither_repeated_nor_counted() -> None:
    assert ACTIONS[Failure.CALLER] == ACTIONS[Failure.CONTENT] == Action()
    assert ACTIONS[Failure.CONTEXT_LENGTH] == Action(fallback=True)


def test_what_costs_time_is_never_asked_for_twice() -> None:
    for kind in (Failure.TIMEOUT, Failure.UNREACHED, Failure.SLOW):
        assert ACTIONS[kind].again is Again.NO


def test_what_is_the_credentials_is_held_against_the_credential_alone() -> None:
    held = {kind for kind, action in ACTIONS.items() if action.remembered is Remembered.CREDENTIAL}
    assert held == {Failure.RATE_LIMITED, Failure.RATE_LIMITED_LONGER, Failure.CREDENTIAL, Failure.ACCOUNT}


def test_only_a_request_that_arrived_may_have_been_executed() -> None:
    assert not {Failure.REFUSED, Failure.UNREACHED, Failure.RATE_LIMITED, Failure.BUSY} & MAY_HAVE_ACTED
    assert {Failure.SERVER_ERROR, Failure.OVERLOADED, Failure.CUT, Failure.TIMEOUT, Failure.SLOW} == MAY_HAVE_ACTED


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_waits_are_drawn_from_an_interval_that_doubles(tries: int) -> None:
    waits = [wait_before_retry(refused(Failure.SERVER_ERROR), tries) for _ in range(200)]

    longest = max(wait for wait in waits if wait is not None)
    assert None not in waits
    assert BACKOFF * 2**tries * 0.9 < longest <= BACKOFF * 2**tries
    assert len(set(waits)) > 190


def test_a_429_that_says_nothing_is_waited_out_for_half_a_second_or_a_little_more() -> None:
    waits = [wait_before_retry(refused(Failure.RATE_LIMITED), 1) or 0.0 for _ in range(200)]
    assert 0.5 <= min(waits) < 0.52
    assert 0.98 < max(waits) <= 1.0


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ((AFTER,), 2.0, 2.0),
        (((b"retry-after-ms", b"1500"),), 1.5, 1.5),
        (((b"retry-after", b"0"),), 0.0, 2 * BACKOFF),
    ],
)
def test_a_short_retry_after_is_waited_for(headers: Headers, least: float, most: float) -> None:
    wait = wait_before_retry(refused(Failure.RATE_LIMITED, headers), 1)
    assert wait is not None
    assert least <= wait <= most


@pytest.mark.parametrize("headers", [(LATER,), ((b"x-should-retry", b"false"),)])
def test_one_that_asks_to_be_left_alone_is(headers: Headers) -> None:
    assert wait_before_retry(refused(Failure.OVERLOADED, headers), 1) is None
