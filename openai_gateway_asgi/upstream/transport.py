"""The streaming transport to upstreams: ``httpx.AsyncBaseTransport`` over aiohttp's connections and C parser.

From aiohttp come the pool, the connecting (DNS, happy eyeballs, TLS, proxies) and the parsing of answers. Its session
and its request and response classes are left out: they keep cookies, add headers, quote targets, repeat idempotent
requests when a kept-alive connection closes under them, and cost half of a call. ``request_head`` writes what goes out
and ``call`` sees one request and its answer through, on a connection as ``protocol`` has it.

Only connecting is timed here (``extensions["timeout"]["connect"]``, seconds): a timeout per read never fires on a drip,
so the deadlines of an answer are the caller's. ``extensions["fresh"]`` asks for a new connection, because a kept-alive
one may be closed by its upstream in the moment in which it is used. Failures leave as ``httpx`` exceptions and nothing
else:

    ConnectError, ConnectTimeout    DNS, TCP, TLS or the proxy: the request has not left
    LocalProtocolError              it could not be sent as one request
    UnsupportedProtocol             it is neither http nor https
    ReadError, WriteError           the connection broke
    RemoteProtocolError             closed without an answer, cut short, or not HTTP

while an exception of the caller's own request stream passes as it is.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any

import httpx
from aiohttp import (
    ClientConnectionError,
    ClientError,
    ClientHttpProxyError,
    ClientRequest,
    ClientTimeout,
    TCPConnector,
    encode_basic_auth,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.hdrs import HOST
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from ..hidden import HiddenList
from .call import ENGINE_ERRORS, Call
from .dns import resolver
from .lazy_headers import LazyHeaders
from .protocol import Protocol
from .request_head import Fields, Outgoing, outgoing

_NO_TRACES: list[Trace] = []
_FRESH: list[Trace] = []
"""In the place of traces, of which there are none: the connection is to be a new one."""

_CONNECT_ERRORS = (ClientError, OSError, ValueError, OverflowError)  # the last two: no such host, no such port


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends requests to upstreams over kept-alive connections, streaming both ways.

    An instance belongs to the event loop of its first request, and its idle connections close with that loop if nobody
    closed them before. ``keepalive`` is how long an idle connection may be used again, in seconds; ``proxy`` an http
    or https URL; ``ssl_context`` the trust for https: None and True mean the system's, False means unverified.
    """

    def __init__(
        self, *, keepalive: float, proxy: str | None = None, ssl_context: ssl.SSLContext | bool | None = None
    ) -> None:
        self._keepalive = keepalive
        self._proxy: URL | None = None
        self._proxy_fields: Fields = ()
        if proxy is not None:
            self._proxy, self._proxy_fields = _without_password(URL(proxy))
        trust = True if ssl_context is None else ssl_context
        route = functools.partial(_route, trust, self._proxy, self._proxy_fields)
        self._route = functools.lru_cache(maxsize=16)(route)
        self._connector: TCPConnector | None = None
        self._keeper: AsyncGenerator[None, None] | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request``; the answer's ``stream`` must be closed, and yields what each read of the socket gave."""
        prepared = self._prepare(request)
        connection = await self._connect(request)
        call = Call(connection)
        try:
            message = await call.perform(request, prepared)
        except ENGINE_ERRORS as error:
            call.end()
            raise call.failure(error) from error
        except BaseException:
            call.end()
            raise
        response = httpx.Response(message.code, stream=call)
        response.headers = LazyHeaders(list(message.raw_headers))
        return response

    def _prepare(self, request: httpx.Request) -> Outgoing:
        scheme = request.url.scheme
        if scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("An upstream is reached over http or https.")
        if self._proxy is None or scheme == "https":
            return outgoing(request)
        return outgoing(request, origin=b"http://" + request.url.netloc, extra=self._proxy_fields)

    async def _connect(self, request: httpx.Request) -> Connection:
        limit = (request.extensions.get("timeout") or {}).get("connect")
        try:
            connector = self._connector or await self._open()
            route = self._route(request.url.scheme, request.url.netloc)
            used = _NO_TRACES if "fresh" not in request.extensions else _FRESH
            return await connector.connect(route, used, _connect_limit(limit))
        except TimeoutError as error:
            raise httpx.ConnectTimeout("Connecting to the upstream took too long.") from error
        except ClientHttpProxyError as error:
            refused = httpx.ConnectError(f"The proxy refused with status {error.status}.")
        except _CONNECT_ERRORS as error:
            raise httpx.ConnectError("The upstream cannot be reached.") from error
        raise refused  # not from the engine's error, which holds what the proxy was sent

    async def _open(self) -> TCPConnector:
        if self._closed:
            raise ClientConnectionError("The transport is closed.")
        loop = asyncio.get_running_loop()
        # aiohttp never closes an idle connection that may live for no time at all
        keepalive = max(self._keepalive, 1e-3)
        self._connector = Connector(limit=0, keepalive_timeout=keepalive, resolver=resolver())
        protocol: Callable[..., ResponseHandler] = Protocol
        self._connector._factory = functools.partial(protocol, loop=loop)
        self._keeper = _close_with_loop(self._connector)
        await anext(self._keeper)
        return self._connector

    async def aclose(self) -> None:
        """Close every connection; a call still under way ends with ``ReadError`` or ``RemoteProtocolError``."""
        self._closed = True
        self._connector = None
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.aclose()

    def abandon(self) -> None:
        """Let go of an event loop that was closed without its asynchronous generators being shut down.

        Such a loop can close none of its transports, and Python warns of each one that it collects, so their sockets
        are closed here. Synchronous, and callable from any loop or none.
        """
        connector, self._connector, self._keeper, self._closed = self._connector, None, None, True
        if connector is None:
            return
        protocols = [*connector._acquired, *(protocol for idle in connector._conns.values() for protocol, _ in idle)]
        connector._close()  # what close() does before it awaits, which on a closed loop is to forget them
        for protocol in protocols:
            _close_socket(protocol.transport)


class Connector(TCPConnector):
    """aiohttp's connector, which can be asked for a connection that no call has used before."""

    def _get(self, key: ConnectionKey, traces: list[Trace]) -> Coroutine[Any, Any, Connection | None]:
        return _none() if traces is _FRESH else super()._get(key, traces)


async def _none() -> None:
    return None


class _ProxyHeaders(CIMultiDict[str]):
    """What a proxy gets with its CONNECT."""

    def __repr__(self) -> str:
        return f"<{len(self)} headers for the proxy>"


def _route(
    trust: ssl.SSLContext | bool, proxy: URL | None, proxy_fields: Fields, scheme: str, netloc: bytes
) -> ClientRequest:
    """What the connector needs to know of an origin; never sent."""
    url = URL.build(scheme=scheme, authority=netloc.decode("ascii"), path="/", encoded=True)
    request = ClientRequest("GET", url, ssl=trust, proxy=proxy)
    if proxy_fields and scheme == "https":
        headers = _ProxyHeaders((name.decode(), value.decode()) for name, value in proxy_fields)
        headers[HOST] = request.headers[HOST]  # as the connector adds it: its pools go by these headers
        request.proxy_headers = headers
    return request


@functools.lru_cache(maxsize=32)
def _connect_limit(seconds: float | None) -> ClientTimeout:
    # aiohttp takes a limit of zero or less for none, and rounds a long one up to whole seconds
    return ClientTimeout(connect=None if seconds is None else max(seconds, 1e-3), ceil_threshold=float("inf"))


def _without_password(proxy: URL) -> tuple[URL, Fields]:
    """The proxy's address, which the engine shows in its errors, and the header that its user and password make."""
    if proxy.user is None:
        return proxy, ()
    credential = encode_basic_auth(proxy.user, proxy.password or "").encode()
    return proxy.with_user(None), HiddenList([(b"Proxy-Authorization", credential)])


async def _close_with_loop(connector: TCPConnector) -> AsyncGenerator[None, None]:
    """Close ``connector`` when its event loop ends: a loop shuts down its asynchronous generators before it closes."""
    try:
        yield
    finally:
        await connector.close()


def _close_socket(transport: Any) -> None:
    """Do at once what asyncio would have had the closed event loop do."""
    wire = getattr(getattr(transport, "_ssl_protocol", None), "_transport", transport)
    close = getattr(wire, "_call_connection_lost", None)  # None where the loop closed it already, as uvloop's do
    if close is not None:
        with suppress(RuntimeError):  # "Event loop is closed", from those who are told; the socket is closed then
            close(None)
