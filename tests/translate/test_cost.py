"""What a translated call costs more than one that goes as it is: whole calls of the bench, counted in instructions.

A small call may cost 30 microseconds more, an event 6. An instruction of a small call takes some thirty nanoseconds, one
of a stream, whose code is warm, a third of that.
"""

from __future__ import annotations

from typing import Any

import pytest

from openai_gateway_asgi import Upstream
from openai_gateway_asgi.bodies.payload import Payload
from openai_gateway_asgi.translate.dialect import Dialect
from openai_gateway_asgi.translate.translation import to_chat, to_responses
from openai_gateway_asgi.translate.wire import encode
from tests.support.call_costs import EVENTS, cost_of
from tests.support.operations import operations

PAIRS = [("plain", "to-responses", 560, 250), ("plain-responses", "to-chat", 750, 180)]
"""The profile that is not translated, the one that is, and how many instructions a small call and an event may have
more."""


@pytest.mark.parametrize(("as_it_is", "translated", "most", "_"), PAIRS)
def test_a_small_call(as_it_is: str, translated: str, most: int, _: int) -> None:
    assert cost_of(translated, stream=False) - cost_of(as_it_is, stream=False) < most


@pytest.mark.parametrize(("as_it_is", "translated", "_", "most"), PAIRS)
def test_an_event(as_it_is: str, translated: str, _: int, most: int) -> None:
    costs = [
        cost_of(profile, stream=True, user="a long one") - cost_of(profile, stream=True)
        for profile in (translated, as_it_is)
    ]
    assert (costs[0] - costs[1]) / EVENTS < most


def test_what_is_not_translated_costs_nothing_more() -> None:
    """Of an upstream of which nothing is known, as of nearly all, the question does not arise; of one that has the
    client's own API it is answered at once."""
    assert cost_of("own-api", stream=False) - cost_of("plain", stream=False) < 30


def function(number: int) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}
    return {"name": f"f{number}", "description": "What it does.", "parameters": schema, "strict": False}


def with_tools(said_in: str, count: int) -> Payload:
    functions = [function(number) for number in range(count)]
    flat = [{"type": "function", **each} for each in functions]
    nested = [{"type": "function", "function": each} for each in functions]
    body = {"model": "m", said_in: [{"role": "user", "content": "hi"}], "tools": flat if said_in == "input" else nested}
    return Payload.parse(encode(body))


@pytest.mark.parametrize("said_in", ["input", "messages"])
def test_a_tool(said_in: str) -> None:
    """An agent has dozens. What a function is called and takes is not looked into."""
    upstream = Upstream("http://models.test/v1")
    dialect = Dialect.of(upstream)

    def cost_of_tools(count: int) -> int:
        payload = with_tools(said_in, count)
        if said_in == "input":
            return operations(lambda: to_chat(payload, upstream, "m", dialect))
        return operations(lambda: to_responses(payload, upstream, "m"))

    assert (cost_of_tools(24) - cost_of_tools(8)) / 16 < 110
