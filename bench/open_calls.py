"""Calls that stay open while others are measured: their upstream keeps them waiting for its first event."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from .processes import BenchError

PATIENCE = 30.0
"""Seconds until all of them must have reached the upstream."""


@contextmanager
def open_calls(port: int, request: bytes, count: int, arrived: Callable[[], int]) -> Iterator[None]:
    """Holds ``count`` calls of ``request`` open at ``port``; ``arrived`` tells how many the upstream has had."""
    with ExitStack() as stack:
        before = arrived()
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
            connection.sendall(request)
        deadline = time.monotonic() + PATIENCE
        while count and arrived() - before < count:
            if time.monotonic() > deadline:
                raise BenchError(f"not all of {count} calls have reached the upstream within {PATIENCE:.0f} s")
            time.sleep(0.05)
        yield
