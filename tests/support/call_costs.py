"""What one call of the bench's in-process profiles costs, in instructions of the interpreter.

``bench/README.md`` has the same in microseconds.
"""

from __future__ import annotations

import asyncio

from bench import in_process
from tests.support.operations import operations

EVENTS = len(in_process.LONG_STREAM) - len(in_process.STREAM)
"""By how many events the stream for the user "a long one" is longer than any other."""


def cost_of(profile: str, *, stream: bool = False, user: str = "someone") -> int:
    """At its least: some calls begin something anew, and now and then a timer ends in between."""
    body = in_process._body(stream=stream, user=user, said=in_process.SAID_IN.get(profile, "messages"))
    gateway = in_process.profiles()[profile]()
    with asyncio.Runner() as runner:

        def call() -> None:
            runner.run(in_process._call(gateway, body))

        for _ in range(20):
            call()
        least = min(operations(call) for _ in range(4))
        runner.run(gateway.aclose())
    return least
