"""What a small call costs over a socket, and in process through ``gateway.openai``: CPU time of one process.

``python -m bench.host_calls [--rounds N]``: the gateway, uvicorn with httptools and the client share one event loop, so
that the time of the process is all that a call costs. A model of the host's own answers, the same on both ways, and the
least of all rounds counts. First a bare HTTP client, then the OpenAI SDK, whose own work is the same on both ways.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from openai_gateway_asgi import Gateway, HostModel, ModelCall, User, everyone

CALLS = 200
ADA = User(id="ada")
BODY: dict[str, Any] = {"model": "mine", "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"content-type": "application/json", "authorization": "Bearer any"}

Call = Callable[[], Awaitable[object]]


async def answers(call: ModelCall) -> str:
    return "Hello."


@asynccontextmanager
async def served(gateway: Gateway) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(gateway, http="httptools", loop="none", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        server.should_exit = True
        await running


def bare(client: Any, url: str) -> Call:
    content = json.dumps(BODY).encode()

    async def call() -> None:
        answer = await client.post(f"{url}/chat/completions", content=content, headers=HEADERS)
        assert answer.status_code == 200

    return call


def by_sdk(client: AsyncOpenAI) -> Call:
    return lambda: client.chat.completions.create(**BODY)


async def cost(call: Call) -> float:
    """Microseconds."""
    began = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - began) / CALLS * 1e6


async def measure(rounds: int) -> dict[str, tuple[float, float]]:
    gateway = Gateway(
        [], resolve_user=lambda request: ADA, authorize_model=everyone, host_models=[HostModel("mine", answers)]
    )
    inside = gateway.openai(ADA)
    async with served(gateway) as url, DefaultAsyncHttpxClient(trust_env=False) as http:
        outside = AsyncOpenAI(base_url=url, api_key="any", http_client=http)
        ways = {
            "HTTP client": (bare(http, url), bare(inside._client, "http://gateway.invalid/v1")),
            "OpenAI SDK": (by_sdk(outside), by_sdk(inside)),
        }
        found: dict[str, tuple[float, float]] = {}
        for _ in range(rounds):
            for name, calls in ways.items():
                seen = [await cost(call) for call in calls]
                before = found.get(name, (float("inf"), float("inf")))
                found[name] = (min(before[0], seen[0]), min(before[1], seen[1]))
    await gateway.aclose()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    found = asyncio.run(measure(parser.parse_args().rounds))
    print(f"{'':12} {'socket':>9} {'in process':>11} {'ratio':>6}")
    for name, (outside, inside) in found.items():
        print(f"{name:12} {outside:6.0f} us {inside:8.0f} us {inside / outside:6.2f}")


if __name__ == "__main__":
    main()
