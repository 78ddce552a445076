"""A small agent, as a model: it lets another model decide, does what that asks for, and streams the answer.

python -m examples.host_code.small_agent
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from openai_gateway_asgi import Gateway, HostModel, ModelCall, Reasoning, Upstream, User, everyone
from openai_gateway_asgi.testing import FakeUpstream, Script

STOCK = {"apples": 12, "pears": 0}

TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "in_stock",
            "description": "How many of something are in stock.",
            "parameters": {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
        },
    }
]
MOST_STEPS = 5


def in_stock(what: str) -> str:
    return f"{STOCK.get(what, 0)} {what}"


async def shop(call: ModelCall) -> AsyncIterator[object]:
    """Asks as the user who asks; each step is on record as a part of this call."""
    messages: list[Any] = [{"role": "system", "content": "You are a shop."}, *call.messages]
    for _ in range(MOST_STEPS):
        step = await call.ask.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=TOOLS)
        said = step.choices[0].message
        if not said.tool_calls:
            yield said.content or ""
            return
        messages.append(said.to_dict())
        for wanted in said.tool_calls:
            assert wanted.type == "function"
            yield Reasoning(f"Looking up {wanted.function.arguments}. ")
            result = in_stock(**json.loads(wanted.function.arguments))
            messages.append({"role": "tool", "tool_call_id": wanted.id, "content": result})
    yield "That was too much for me."


def provider() -> FakeUpstream:
    """Stands in for a provider, so that this runs offline: first it wants the tool, then it answers."""
    fake = FakeUpstream(["gpt-4o-mini"])
    fake.script("gpt-4o-mini", Script(tool_calls=[("in_stock", {"what": "apples"})]), Script(text="We have 12 apples."))
    return fake


def create_gateway(upstream: FakeUpstream) -> Gateway:
    return Gateway(
        [Upstream("https://models.test/v1", api_key="sk-local")],
        authorize_model=everyone,
        host_models=[HostModel("shop", shop, name="The shop")],
        transport=upstream.transport(),
    )


async def main() -> None:
    gateway = create_gateway(provider())
    async with gateway.lifespan():
        client = gateway.openai(User(id="ada"))
        stream = await client.chat.completions.create(
            model="shop", messages=[{"role": "user", "content": "Have you apples?"}], stream=True
        )
        async for chunk in stream:
            delta = chunk.choices[0].delta
            print(getattr(delta, "reasoning_content", None) or delta.content or "", end="")
        print()


if __name__ == "__main__":
    asyncio.run(main())
