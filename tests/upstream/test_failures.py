from __future__ import annotations

import json

import pytest

from openai_gateway_asgi import errors
from openai_gateway_asgi.errors import GatewayError, Headers, UpstreamRefused, UpstreamTimeout, UpstreamUnavailable
from openai_gateway_asgi.upstream.failures import (
    ACTIONS,
    BACKOFF,
    MAY_HAVE_ACTED,
    Action,
    Failure,
    classify,
    wait_before_retry,
)


def refused(status: int, body: bytes = b"", headers: Headers = ()) -> UpstreamRefused:
    return UpstreamRefused(status, headers, body, content_type=b"application/json")


def said(message: str = "", code: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": None, "param": None, "code": code}}).encode()


def unreached(error: errors.UpstreamError) -> errors.UpstreamError:
    error.reached = False
    return error


AFTER = (b"retry-after", b"2")
LATER = (b"retry-after", b"3")

KINDS = [
    (refused(429), Failure.RATE_LIMITED),
    (refused(429, headers=(AFTER,)), Failure.RATE_LIMITED_BRIEFLY),
    (refused(429, headers=(LATER,)), Failure.RATE_LIMITED),
    (refused(429, headers=((b"retry-after", b"soon"),)), Failure.RATE_LIMITED),
    (refused(500), Failure.SERVER_ERROR),
    (refused(529), Failure.SERVER_ERROR),
    (errors.UpstreamError("wrong"), Failure.SERVER_ERROR),
    (UpstreamUnavailable("cut"), Failure.CUT),
    (unreached(UpstreamUnavailable("refused")), Failure.REFUSED),
    (UpstreamTimeout("silent"), Failure.TIMEOUT),
    (unreached(UpstreamTimeout("no connection")), Failure.UNREACHED),
    (errors.UpstreamCredentialError("no"), Failure.CREDENTIAL),
    (errors.GatewayBusy("busy"), Failure.BUSY),
    (refused(400, said(code="context_length_exceeded")), Failure.CONTEXT_LENGTH),
    (refused(413, said(code="context_length_exceeded")), Failure.CONTEXT_LENGTH),
    (refused(400, said("This model's maximum context length is 8192 tokens.")), Failure.CONTEXT_LENGTH),
    (refused(400, said("prompt is too long: 9 tokens > 8 maximum")), Failure.CONTEXT_LENGTH),
    (refused(400, said("The input exceeds the context window of this model.")), Failure.CONTEXT_LENGTH),
    (refused(400, said(code="content_filter")), Failure.CALLER),
    (refused(400, b"not JSON"), Failure.CALLER),
    (refused(400, b"\xff\xfe"), Failure.CALLER),
    (refused(400, b'"error"'), Failure.CALLER),
    (refused(400, b'{"error": "text"}'), Failure.CALLER),
    (refused(400, b"[" * 100_000), Failure.CALLER),
    (refused(404), Failure.CALLER),
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
    assert ACTIONS[Failure.CALLER] == Action()
    assert ACTIONS[Failure.CONTEXT_LENGTH] == Action(fallback=True)


def test_a_silent_upstream_is_never_asked_twice() -> None:
    assert not ACTIONS[Failure.TIMEOUT].same
    assert not ACTIONS[Failure.UNREACHED].same


def test_only_a_request_that_arrived_may_have_been_executed() -> None:
    assert MAY_HAVE_ACTED == {Failure.SERVER_ERROR, Failure.CUT, Failure.TIMEOUT}


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_waits_are_drawn_from_an_interval_that_doubles(tries: int) -> None:
    waits = [wait_before_retry(refused(500), tries) for _ in range(200)]

    longest = max(wait for wait in waits if wait is not None)
    assert None not in waits
    assert BACKOFF * 2**tries * 0.9 < longest <= BACKOFF * 2**tries
    assert len(set(waits)) > 190


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ((AFTER,), 2.0, 2.0),
        (((b"retry-after-ms", b"1500"),), 1.5, 1.5),
        (((b"retry-after", b"0"),), 0.0, 2 * BACKOFF),
    ],
)
def test_a_short_retry_after_is_waited_for(headers: Headers, least: float, most: float) -> None:
    wait = wait_before_retry(refused(429, headers=headers), 1)
    assert wait is not None
    assert least <= wait <= most


@pytest.mark.parametrize("headers", [(LATER,), ((b"x-should-retry", b"false"),)])
def test_one_that_asks_to_be_left_alone_is(headers: Headers) -> None:
    assert wait_before_retry(refused(503, headers=headers), 1) is None
