"""What limits and prices add to a call, in instructions of the interpreter; `bench/README.md` has microseconds."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from bench import in_process
from openai_gateway_asgi import Gateway, Limit, Price, Upstream, User, everyone
from tests.support.operations import operations

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 60, "completion_tokens": 40, "total_tokens": 100},
}
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.7}'
LIMITS = [
    Limit(requests=10**6, per="minute", by="user"),
    Limit(tokens=10**9, per="minute", by=("user", "model")),
    Limit(concurrent=100, by="user"),
]
PRICES = {f"m{number}": Price(input="2.50", output="10", cached="1.25") for number in range(100)} | {
    "m": Price(input="2.50", output="10", cached="1.25")
}


def cost_of(users: int = 1, **options: Any) -> int:
    """Of a small call that is recorded, after calls of others. At its least: some calls begin something anew."""
    asked = iter([f"u{number}" for number in range(users)] + ["ann"] * 20)
    loop = asyncio.new_event_loop()
    gateway = Gateway(
        [Upstream("http://up.test/v1", api_key="k", model_ids=["m"])],
        resolve_user=lambda request: User(next(asked)),
        authorize_model=everyone,
        record_usage=lambda record: None,
        transport=httpx.MockTransport(lambda request: httpx.Response(200, json=ANSWER)),
        **options,
    )
    try:
        for _ in range(users + 3):
            loop.run_until_complete(in_process._call(gateway, BODY))
        return min(operations(lambda: loop.run_until_complete(in_process._call(gateway, BODY))) for _ in range(5))
    finally:
        loop.run_until_complete(gateway.aclose())
        loop.close()


@pytest.mark.parametrize(("options", "most"), [({"limits": LIMITS}, 700), ({"prices": PRICES}, 150)])
def test_a_call_costs_little_more_where_it_is_limited_or_priced(options: dict[str, Any], most: int) -> None:
    """As counted on Python 3.11: 620 and 120."""
    assert cost_of(**options) - cost_of() < most


def test_no_call_costs_more_for_many_users_with_accounts() -> None:
    """Accounts and plans are found by their keys."""
    assert cost_of(users=200, limits=LIMITS) == pytest.approx(cost_of(users=2, limits=LIMITS), abs=20)
