"""``fake-upstream``: a provider for a first try, which needs no key and no network."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from typing import Any

from ..testing import FakeUpstream

MODELS = ("gpt-4o-mini", "gpt-4o")


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "fake-upstream", help="serve a provider for a first try: it needs no key and says the same to everybody"
    )
    parser.add_argument("--port", type=int, default=9101, help="the port on 127.0.0.1 (default: 9101)")
    parser.add_argument("--model", action="append", help=f"a model that it lists; default: {', '.join(MODELS)}")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves until it is interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.port, options.model or list(MODELS)))
    return 0


async def _serve(port: int, models: list[str]) -> None:
    stop = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows has no such handlers, and interrupts
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with FakeUpstream(list(models), port=port) as fake:
        fake.script(event_every=0.2)
        print(f"A fake upstream with the models {', '.join(models)} is at {fake.url}/v1", flush=True)
        await stop.wait()
