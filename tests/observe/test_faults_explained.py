"""The fault table once more: what can be told without sending anything, ``explain`` tells, and no secret is in it."""

from __future__ import annotations

import json

import pytest

from openai_gateway_asgi import Explanation, User
from tests.observe.faults import CANARY, GATEWAY, HEADERS, UPSTREAMS, Broken, Fault, broken
from tests.support.asgi import ask

ANN = User("ann")


async def explained(fault: Fault, b: Broken) -> Explanation:
    fault.before(b.gateway)
    headers = {name: value for name, value in {**HEADERS, **fault.headers}.items() if value}
    body = (
        fault.body if isinstance(fault.body, bytes) else b"" if fault.body is None else json.dumps(fault.body).encode()
    )
    told = await b.gateway.explain(ANN, fault.method, fault.path, headers, body)
    for shown in (str(told), repr(told), json.dumps(told.to_data())):
        assert CANARY not in shown
    return told


@pytest.mark.parametrize(
    "fault", [fault for fault in GATEWAY if fault.name != "nobody"], ids=lambda fault: fault.name
)  # who asks is given
async def test_what_the_gateway_refuses_is_explained(fault: Fault) -> None:
    async with broken(fault) as b:
        told = await explained(fault, b)
        assert b.records == []
    assert (told.outcome, told.status, told.reason) == ("refused", fault.status, fault.reason)
    assert told.decisions[-1].about == "outcome"
    assert told.decisions[-1].by != "the request"
    assert fault.reason is not None
    assert fault.reason in str(told)


@pytest.mark.parametrize("fault", UPSTREAMS, ids=lambda fault: fault.name)
async def test_an_upstream_that_will_fail_is_named_and_not_asked(fault: Fault) -> None:
    async with broken(fault) as b:
        told = await explained(fault, b)
        assert b.records == []
        assert b.gateway.health().upstreams["U"].last_failure is None
    assert told.outcome == "sent"
    [candidate] = told.candidates
    assert candidate.asked
    assert candidate.url.startswith(f"{b.upstream.base_url}/chat/completions")
    if fault.name == "no token of the user's":
        assert "ask oauth_token for a token for upstream U" in told.would_ask


async def test_an_upstream_that_is_left_alone_is_explained() -> None:
    fault = next(fault for fault in UPSTREAMS if fault.name == "overloaded")
    async with broken(fault) as b:
        for _ in range(5):
            await ask(b.gateway, fault.method, fault.path, json=fault.body, headers=HEADERS)
        [candidate] = (await explained(fault, b)).candidates
    assert candidate.asked  # there is nobody else
    assert "its breaker is open" in candidate.why
