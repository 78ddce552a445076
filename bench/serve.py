"""Serves one target's ``app`` as the bench does: ``python -m bench.serve <module> <port>``.

uvicorn with uvloop and httptools, one worker, no access log. SIGUSR1 starts a watch over the event loop, SIGUSR2 ends
it and prints the longest stall, in milliseconds, as one line.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import signal
import sys

import uvicorn

BEAT = 0.005


class StallWatch:
    """A heartbeat; how late its latest beat came is how long the loop served nobody."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._beat: asyncio.TimerHandle | None = None
        self._longest = 0.0

    def start(self) -> None:
        self._longest = 0.0
        self._expect_beat()

    def stop(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
        print(f"{self._longest * 1000:.3f}", flush=True)

    def _expect_beat(self) -> None:
        due = self._loop.time() + BEAT
        self._beat = self._loop.call_at(due, self._on_beat, due)

    def _on_beat(self, due: float) -> None:
        self._longest = max(self._longest, self._loop.time() - due)
        self._expect_beat()


async def serve(module: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    watch = StallWatch(loop)
    loop.add_signal_handler(signal.SIGUSR1, watch.start)
    loop.add_signal_handler(signal.SIGUSR2, watch.stop)
    app = importlib.import_module(module).app
    # What was imported lives as long as the process: every target's collections are spared going through it again.
    gc.collect()
    gc.freeze()
    # With thousands of streams open a full collection takes tens of milliseconds, and finds nothing.
    gc.set_threshold(10_000, 50, 100)
    config = uvicorn.Config(
        app, port=port, http="httptools", lifespan="off", access_log=False, log_level="warning", backlog=4096
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
