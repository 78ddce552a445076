"""A server in a thread of its own, for tests that have no event loop, and for clients in other loops."""

from __future__ import annotations

import asyncio
import threading

from .server import Server

PATIENCE = 5.0
"""Seconds after which waiting for the upstream's side of things is a failure."""


class ServingThread:
    """Serves from its making until ``stop``."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-upstream", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(server.open(), self._loop).result(PATIENCE)

    def stop(self, *, quietly: bool) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._server.aclose(quietly=quietly), self._loop).result(PATIENCE)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
