"""What an upstream's answer gives, read by read, and what its failures mean."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from time import monotonic

import httpx

from ..causes import Cause, Failure
from ..errors import ClientDisconnected, GatewayBusy, GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from .causes import cause_of

_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)

Inflate = Callable[[bytes], Iterable[bytes]]

logger = logging.getLogger("openai_gateway_asgi")


class Reads:
    """What an upstream's socket gives, read by read.

    With ``inflate`` each read comes in pieces of bounded size.
    """

    __slots__ = ("_inflate", "_pending", "_pieces", "_stream")

    def __init__(self, response: httpx.Response, inflate: Inflate | None = None) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream: AsyncIterator[bytes] = response.stream.__aiter__()
        self._inflate = inflate
        self._pieces: Iterable[bytes] = ()
        self._pending: asyncio.Task[bytes] | None = None

    def pull(self) -> Awaitable[bytes]:
        """The next read, nothing around it: raises ``StopAsyncIteration`` at the end, and what the transport raises."""
        if self._pending is None:
            return self._read()
        pending, self._pending = self._pending, None
        return pending

    def pulling(self) -> Callable[[], Awaitable[bytes]]:
        """``pull`` for one who does nothing else from now on."""
        return self.pull if self._pending is not None or self._inflate is not None else self._stream.__anext__

    async def next(self) -> bytes | None:
        """The next read, None at the end."""
        try:
            return await self.pull()
        except StopAsyncIteration:
            return None
        except (GatewayError, ClientDisconnected):
            raise  # what the request's own body failed with, while it was still being sent
        except Exception as error:
            raise upstream_failure(error) from error

    async def next_before(self, at: float) -> bytes | None:
        """As ``next``, but empty when nothing comes before ``at``; the read goes on meanwhile."""
        loop = asyncio.get_running_loop()
        if self._pending is None:
            self._pending = loop.create_task(self._as_task())
        await asyncio.wait({self._pending}, timeout=max(0.0, at - monotonic()))
        return await self.next() if self._pending.done() else b""

    @property
    def under_way(self) -> bool:
        return self._pending is not None

    async def settle(self) -> None:
        """Ends a read that nobody waits for any more: a stream must not be closed while it is being read."""
        assert self._pending is not None
        self._pending.cancel()
        await asyncio.gather(self._pending, return_exceptions=True)

    def _read(self) -> Awaitable[bytes]:
        return self._stream.__anext__() if self._inflate is None else self._piece(self._inflate)

    async def _as_task(self) -> bytes:
        return await self._read()

    async def _piece(self, inflate: Inflate) -> bytes:
        while True:
            for piece in self._pieces:
                return piece
            self._pieces = iter(inflate(await self._stream.__anext__()))


def upstream_failure(error: Exception) -> GatewayError:
    """What a transport's exception means."""
    if isinstance(error, UpstreamError):
        return error
    if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_DESCRIPTOR:  # no fault of the upstream's
        return GatewayBusy("The gateway has no connection left; try again shortly.", headers=((b"retry-after", b"1"),))
    if not isinstance(error, httpx.HTTPError | OSError):
        logger.error("the transport to an upstream raised %s", type(error).__name__, exc_info=error)
    connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    if isinstance(error, httpx.TimeoutException):
        return too_late().because(cause_of(error), Failure.UNREACHED if connecting else Failure.TIMEOUT)
    failure = UpstreamUnavailable("The upstream could not be reached, or broke off.")
    return failure.because(cause_of(error), Failure.REFUSED if connecting else Failure.CUT)


def too_late() -> UpstreamTimeout:
    return UpstreamTimeout("The upstream did not answer in time.").because(Cause("timeout"))
