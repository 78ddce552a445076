from __future__ import annotations

import pytest

from openai_gateway_asgi.errors import LoopDetected
from openai_gateway_asgi.http.loop_guard import MOST_HOPS, NAME, LoopGuard


def test_a_call_that_was_here_before_is_refused() -> None:
    guard = LoopGuard()
    with pytest.raises(LoopDetected):
        guard.check(dict([guard.header({})]))


def test_a_call_of_another_gateway_is_passed_on_with_both_names() -> None:
    ours, theirs = LoopGuard(), LoopGuard()
    came = dict([theirs.header({})])
    ours.check(came)

    sent = dict([ours.header(came)])

    for guard in (ours, theirs):
        with pytest.raises(LoopDetected):
            guard.check(sent)


def test_a_chain_of_many_gateways_has_an_end() -> None:
    headers = dict([LoopGuard().header({})])
    for _ in range(MOST_HOPS - 1):
        LoopGuard().check(headers)
        headers = dict([LoopGuard().header(headers)])
    with pytest.raises(LoopDetected):
        LoopGuard().check(headers)


@pytest.mark.parametrize("value", [b"x" * 10_000, b"", b"a\0b", b"0123456789abcdef,", b",0123456789abcdef", b"\xff"])
def test_what_a_client_writes_there_goes_no_further(value: bytes) -> None:
    guard = LoopGuard()
    guard.check({NAME: value})
    assert guard.header({NAME: value}) == guard.header({})
