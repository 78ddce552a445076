"""Whom a call asks, by what came of each try; nothing is sent, and nothing waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from openai_gateway_asgi import Settings, Upstream
from openai_gateway_asgi.causes import Cause, Failure
from openai_gateway_asgi.errors import GatewayError, Headers, UpstreamError, UpstreamFull
from openai_gateway_asgi.models import Candidate
from openai_gateway_asgi.upstream import tries as tries_module
from openai_gateway_asgi.upstream.memory import Rest
from openai_gateway_asgi.upstream.tries import Tries


def failing(failure: Failure, headers: Headers = ()) -> UpstreamError:
    return UpstreamError("no", headers=headers).because(Cause("status"), failure)


def candidates(names: str) -> tuple[Candidate, ...]:
    return tuple(Candidate(Upstream(f"http://{name}.test/v1", name=name), "m") for name in names)


LATER: Headers = ((b"retry-after", b"20"),)

OUTCOMES: dict[str, Callable[[], GatewayError | Rest]] = {
    "500": lambda: failing(Failure.SERVER_ERROR),
    "503": lambda: failing(Failure.OVERLOADED),
    "429": lambda: failing(Failure.RATE_LIMITED),
    "429 later": lambda: failing(Failure.RATE_LIMITED, LATER),
    "cut": lambda: failing(Failure.CUT),
    "refused": lambda: failing(Failure.REFUSED),
    "silent": lambda: failing(Failure.TIMEOUT),
    "401": lambda: failing(Failure.CREDENTIAL),
    "404": lambda: failing(Failure.UNABLE),
    "too long": lambda: failing(Failure.CONTEXT_LENGTH),
    "content": lambda: failing(Failure.CONTENT),
    "400": lambda: failing(Failure.CALLER),
    "full": lambda: UpstreamFull("full"),
    "limited": lambda: Rest(7.2, limited=True),
    "left alone": lambda: Rest(3.0, limited=False),
}


def asked(
    routes: Sequence[str], outcomes: Mapping[str, str], *, once: bool = False, repeatable: bool = True, **settings: Any
) -> tuple[str, Tries]:
    """The names of those who were asked; ``outcomes`` says what each does, every time."""
    names = []
    tries = Tries(
        [(None, candidates(route)) for route in routes],
        Settings(**settings),
        repeatable=lambda: repeatable,
        once=lambda: once,
    )
    for this in tries:
        name = this.candidate.upstream.name
        outcome = OUTCOMES[outcomes[name]]()
        if isinstance(outcome, Rest):
            tries.passed_over(outcome)
            continue
        if not isinstance(outcome, UpstreamFull):
            names.append(name)
            tries.sending(gently=False)
        tries.failed(outcome)
    return "".join(names), tries


ORDERS = [
    # the candidates of the model and of its fallbacks, what each does, who is asked
    (["a"], {"a": "500"}, "aaa"),
    (["ab"], {"a": "500", "b": "500"}, "aaabbb"),
    (["a", "b"], {"a": "500", "b": "400"}, "aaab"),
    (["ab", "c"], {"a": "400", "b": "500", "c": "500"}, "a"),
    (["ab", "c"], {"a": "too long", "b": "500", "c": "too long"}, "ac"),
    (["ab", "c"], {"a": "content", "b": "500", "c": "500"}, "a"),
    (["ab", "c"], {"a": "401", "b": "404", "c": "silent"}, "abc"),
    (["ab", "c"], {"a": "429", "b": "429", "c": "429"}, "abbcc"),
    (["a", "c"], {"a": "429", "c": "500"}, "aaccc"),
    (["ab"], {"a": "429 later", "b": "429 later"}, "ab"),
    (["ab"], {"a": "limited", "b": "503"}, "bbb"),
    (["ab", "c"], {"a": "limited", "b": "left alone", "c": "400"}, "c"),
    (["ab"], {"a": "full", "b": "401"}, "b"),
    (["abcdef"], dict.fromkeys("abcdef", "500"), "aaabbb"),
    (["abcdef"], dict.fromkeys("abcdef", "401"), "abcdef"),
]


@pytest.mark.parametrize(("routes", "outcomes", "order"), ORDERS)
def test_who_is_asked_after_whom(routes: list[str], outcomes: dict[str, str], order: str) -> None:
    assert asked(routes, outcomes)[0] == order


def test_what_must_not_be_executed_twice_is_not_sent_again_once_it_may_have_been() -> None:
    assert asked(["ab", "c"], {"a": "500", "b": "500", "c": "500"}, once=True)[0] == "a"
    assert asked(["ab"], {"a": "refused", "b": "silent"}, once=True)[0] == "aaab"
    assert asked(["ab"], {"a": "429", "b": "cut"}, once=True)[0] == "ab"


def test_a_body_that_is_gone_is_not_sent_again() -> None:
    assert asked(["ab"], {"a": "500", "b": "500"}, repeatable=False)[0] == "a"


def test_trying_the_same_again_is_bounded_in_time_and_asking_another_is_not() -> None:
    assert asked(["ab"], {"a": "500", "b": "429"}, retry_time=0)[0] == "ab"


def test_one_that_is_asked_although_it_is_to_be_left_alone_is_asked_once() -> None:
    tries = Tries([(None, candidates("a"))], Settings(), repeatable=lambda: True, once=lambda: False)
    for this in tries:
        assert this.alone
        tries.sending(gently=True)
        tries.failed(failing(Failure.OVERLOADED))
    assert tries.made == 1
    assert tries.outcome().headers == ()


@pytest.mark.parametrize(("routes", "alone"), [(["a"], True), (["ab"], False), (["a", "b"], False)])
def test_alone_is_who_has_no_other_and_no_fallback_beside_it(routes: list[str], alone: bool) -> None:
    tries = Tries([(None, candidates(r)) for r in routes], Settings(), repeatable=lambda: True, once=lambda: False)
    assert next(iter(tries)).alone is alone


TOLD = [
    (["ab"], {"a": "limited", "b": "limited"}, 429, "rate_limit_exceeded", b"8"),
    (["a", "b"], {"a": "limited", "b": "limited"}, 429, "rate_limit_exceeded", b"8"),
    (["ab"], {"a": "limited", "b": "left alone"}, 503, "upstream_unavailable", b"3"),
    (["ab"], {"a": "left alone", "b": "left alone"}, 503, "upstream_unavailable", b"3"),
]


@pytest.mark.parametrize(("routes", "outcomes", "status", "code", "after"), TOLD)
def test_where_all_are_left_alone_it_is_said_until_when(
    routes: list[str], outcomes: dict[str, str], status: int, code: str, after: bytes
) -> None:
    error = asked(routes, outcomes)[1].outcome()
    assert (error.status, error.code, dict(error.headers)) == (status, code, {b"retry-after": after})


def test_what_really_failed_is_told_and_not_that_another_is_left_alone() -> None:
    error = asked(["abc"], {"a": "401", "b": "left alone", "c": "full"})[1].outcome()
    assert error.failure is Failure.CREDENTIAL


SPENT = [
    (["a"], {"a": "500"}, {}, True),
    (["a"], {"a": "silent"}, {}, True),
    (["a"], {"a": "429"}, {}, True),
    (["ab"], {"a": "500", "b": "cut"}, {}, True),
    (["a"], {"a": "500"}, {"retries": 0}, True),
    (["a"], {"a": "429 later"}, {}, False),  # beside a retry-after that the client can wait for
    (["a"], {"a": "400"}, {}, False),
    (["a"], {"a": "404"}, {}, False),
    (["a"], {"a": "full"}, {}, False),
    (["ab"], {"a": "500", "b": "left alone"}, {}, False),  # who was not asked now may answer then
    (["a"], {"a": "500"}, {"repeatable": False}, False),
    (["a"], {"a": "500"}, {"once": True}, True),
]


@pytest.mark.parametrize(("routes", "outcomes", "options", "spent"), SPENT)
def test_a_client_need_not_do_again_what_the_gateway_has_done(
    routes: list[str], outcomes: dict[str, str], options: dict[str, Any], spent: bool
) -> None:
    error = asked(routes, outcomes, **options)[1].outcome()
    assert ((b"x-should-retry", b"false") in error.headers) is spent


def test_what_the_upstream_said_of_it_is_replaced() -> None:
    tries = Tries([(None, candidates("a"))], Settings(retries=0), repeatable=lambda: True, once=lambda: False)
    next(iter(tries))
    tries.sending(gently=False)
    tries.failed(failing(Failure.SERVER_ERROR, ((b"x-should-retry", b"true"), (b"x-request-id", b"1"))))
    assert tries.outcome().headers == ((b"x-request-id", b"1"), (b"x-should-retry", b"false"))


def test_who_may_be_asked_after_it_is_named() -> None:
    a, b, c, d = candidates("abcd")
    tries = Tries([(None, (a, b)), (None, (c, d))], Settings(), repeatable=lambda: True, once=lambda: False)
    others = []
    for this in tries:
        others.append(this.others)
        tries.sending(gently=False)
        tries.failed(failing(Failure.TIMEOUT))
    assert others == [(b, c, d), (c, d), (d,), ()]


def test_the_time_of_streams_that_were_held_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now, held = [100.0], [0.0]
    monkeypatch.setattr(tries_module, "monotonic", lambda: now[0])
    (a,) = candidates("a")
    settings = Settings(retry_time=30, retries=2)
    tries = Tries([(None, (a,))], settings, repeatable=lambda: True, once=lambda: False, held=lambda: held[0])
    made = 0
    for _ in tries:
        made += 1
        now[0] += 50
        held[0] += 50 if made == 1 else 0
        tries.sending(gently=False)
        tries.failed(failing(Failure.CUT))
    assert made == 2


AFTER = [
    # the routes, and of each try in turn whether others, and whether the same, may be asked after it
    (["a"], {}, [(False, True), (False, True), (False, False)]),
    (["a"], {"retries": 0}, [(False, False)]),
    (["ab"], {"retries": 0}, [(True, False), (False, False)]),
    (["a", "b"], {"retries": 0}, [(True, False), (False, False)]),
    (["ab", "c"], {"retries": 0}, [(True, False), (True, False), (False, False)]),
    (["ab"], {"max_attempts": 2}, [(True, True), (False, False)]),
]


@pytest.mark.parametrize(("routes", "settings", "after"), AFTER)
def test_it_is_known_before_each_try_who_may_be_asked_after_it(
    routes: list[str], settings: dict[str, Any], after: list[tuple[bool, bool]]
) -> None:
    tries = Tries(
        [(None, candidates(r)) for r in routes], Settings(**settings), repeatable=lambda: True, once=lambda: False
    )
    known = []
    for this in tries:
        known.append((bool(this.others), this.again))
        tries.sending(gently=False)
        tries.failed(failing(Failure.SERVER_ERROR))
    assert known == after
