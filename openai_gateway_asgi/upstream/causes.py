"""What made a request to an upstream fail, read off the exception that the transport raised."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator

import httpx

from ..causes import Cause, one_line

_ENGINE = frozenset({f"{__package__}.{name}" for name in ("call", "request_head", "transport")})
_DEPTH = 8
"""Exceptions that are looked at, each the cause of the one before."""


def cause_of(error: BaseException) -> Cause:
    """The deepest exception that says something: the resolver's, the TLS library's, the operating system's."""
    chain = tuple(_chain(error))
    for each in reversed(chain):
        if isinstance(each, ssl.SSLError):
            said = getattr(each, "verify_message", "") or each.reason or str(each)
            return _cause("tls", each, said)
        if isinstance(each, socket.gaierror):
            return _cause("dns", each, each.strerror or str(each))
    if any(isinstance(each, httpx.TimeoutException | asyncio.TimeoutError) for each in chain):
        return _cause("connect_timeout" if isinstance(error, httpx.ConnectTimeout) else "timeout", chain[-1], "")
    connecting = isinstance(error, httpx.ConnectError)
    for each in reversed(chain):
        if isinstance(each, OSError) and each.errno is not None:
            return _cause("connect" if connecting else "network", each, _in_words(each, each.errno))
    return _cause("connect" if connecting else "http", chain[-1], str(error) if _is_our_own(error) else "")


def _is_our_own(error: BaseException) -> bool:
    """Whether the engine here raised it: what a host's transport says may be anything, its keys included."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") in _ENGINE


def _in_words(error: OSError, number: int) -> str:
    """The system's own words, and the address where asyncio has put it into its."""
    words = os.strerror(number)
    return words if error.strerror in (None, words) else f"{words}: {error.strerror}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those that it came from; some libraries keep the operating system's in a field of their own."""
    for _ in range(_DEPTH):
        if error is None:
            return
        yield error
        error = error.__cause__ or getattr(error, "os_error", None) or error.__context__


def _cause(what: str, error: BaseException, message: str) -> Cause:
    errno = error.errno if isinstance(error, OSError) else None
    return Cause(what, error=type(error).__name__, errno=errno, message=one_line(message))
