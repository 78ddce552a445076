"""What an upstream's answer gives, read by read, and what its failures mean."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from itertools import chain
from types import AsyncGeneratorType

import httpx

from ..causes import Cause, Failure
from ..errors import ClientDisconnected, GatewayBusy, GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from .causes import cause_of

_NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)

PIECES = 8
"""Pieces of what was compressed that are given between two turns for others."""

Inflate = Callable[[bytes], Iterable[bytes]]

logger = logging.getLogger("openai_gateway_asgi")


class Reads:
    """What an upstream's socket gives, read by read.

    With ``inflate`` each read comes in pieces of bounded size.
    """

    __slots__ = ("_given", "_inflate", "_pieces", "_source", "_stream")

    def __init__(self, response: httpx.Response, inflate: Inflate | None = None) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._source = response.stream
        self._stream: AsyncIterator[bytes] = self._source.__aiter__()
        self._inflate = inflate
        self._pieces: Iterator[bytes] | None = None
        self._given = 0

    def pulling(self) -> Callable[[], Awaitable[bytes]]:
        """The next read, nothing around it, for one who does nothing else from now on: raises ``StopAsyncIteration`` at
        the end, and what the transport raises."""
        return self._piece if self._pieces is not None or self._inflate is not None else self._stream.__anext__

    async def next(self) -> bytes | None:
        """The next read, None at the end."""
        try:
            plain = self._pieces is None and self._inflate is None
            return await (self._stream.__anext__() if plain else self._piece())
        except StopAsyncIteration:
            return None
        except (GatewayError, ClientDisconnected):
            raise  # what the request's own body failed with, while it was still being sent
        except Exception as error:
            raise upstream_failure(error) from error

    async def aclose(self) -> None:
        """Nothing more is read. What iterates a host's own stream is mostly a generator: left open, it would take a
        task of its own to be closed in."""
        if isinstance(self._stream, AsyncGeneratorType):
            await self._stream.aclose()
        await self._source.aclose()

    def put_back(self, pieces: Iterable[bytes]) -> None:
        """Gives these again, before what is still to come."""
        self._pieces = chain(pieces, self._pieces or ())

    async def _piece(self) -> bytes:
        while True:
            for piece in self._pieces or ():
                self._given += 1
                if self._given % PIECES == 0:  # a read of some KiB may hold many MiB, for which nobody has to wait
                    await asyncio.sleep(0)
                return piece
            self._pieces = None
            read = await self._stream.__anext__()
            if self._inflate is None:
                return read
            self._pieces = iter(self._inflate(read))


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
