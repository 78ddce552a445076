"""The streaming transport: the last of the chain."""

from __future__ import annotations

import asyncio
import logging

import httpx

from ..answers.finishing import Finishing, Lease
from ..answers.relay import Relay
from ..bodies.multipart.upload import KEPT
from ..causes import Failure
from ..config import Settings, Timeouts
from ..errors import ClientDisconnected, GatewayError, InvalidRequest, UpstreamError
from ..exchange import Exchange
from ..http.asgi import Receive, Scope, Send
from ..http.cancellation import Deadline
from ..http.loop_guard import LoopGuard
from ..upstream.connections import INSIDE, Connections, Pool
from ..upstream.request_body import NO_BODY, Body, Streamed
from ..upstream.requests import PreparedRequest
from ..upstream.response_reads import upstream_failure
from ..upstream.sent_secrets import Secrets

CLOSING = 5.0
"""Seconds."""

logger = logging.getLogger("openai_gateway_asgi")


class Forward:
    """Sends the request to the upstream at hand and relays its answer; whatever was opened is closed."""

    def __init__(self, *, connections: Connections, loops: LoopGuard, settings: Settings, finishing: Finishing) -> None:
        self._finishing = finishing
        self._connections = connections
        self._loops = loops
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        timeouts = exchange.upstream.timeouts or self._settings.timeouts
        pool = self._connections.lease(exchange.upstream, exchange.clock.loop)
        try:
            with Deadline(exchange.clock) as deadline:
                relay = Relay(exchange, send, deadline, self._settings, timeouts)
                finishes = self._finishing.may_take(exchange)
                if finishes:
                    asking = self._ask(pool, exchange, relay, timeouts)
                    response = await self._finishing.head(exchange, asking, _lease(pool))
                    del asking
                else:
                    response = await self._ask(pool, exchange, relay, timeouts)
                assert isinstance(response.stream, httpx.AsyncByteStream)
                try:
                    await relay.answer(response)
                except BaseException as error:
                    if not finishes or not self._finishing.takes_over(
                        exchange, error, response, relay.reads, _lease(pool)
                    ):
                        await _close(response.stream)
                    raise
                if (let_go := getattr(response.stream, "let_go", None)) is not None:
                    let_go()
                else:
                    assert relay.reads is not None
                    await relay.reads.aclose()
        finally:
            pool.release()

    async def _ask(self, pool: Pool, exchange: Exchange, relay: Relay, timeouts: Timeouts) -> httpx.Response:
        try:
            return await pool.transport.handle_async_request(self._request(pool, exchange, relay, timeouts))
        except (GatewayError, ClientDisconnected):
            raise  # what the request's own body failed with
        except (httpx.LocalProtocolError, httpx.InvalidURL) as error:
            raise InvalidRequest(
                "A header or the query of this request cannot be sent on: names of headers are letters, digits and "
                "hyphens, and their values, like the query, have no line breaks and no control characters.",
                code="invalid_header",
            ) from error
        except Exception as error:
            raise _failure(error, exchange) from error

    def _request(self, pool: Pool, exchange: Exchange, relay: Relay, timeouts: Timeouts) -> httpx.Request:
        body = exchange.upstream_body
        path, query = exchange.upstream_path, exchange.upstream_query
        fixed = "{" not in exchange.match.endpoint.template
        url = pool.url(path, query, keep=fixed)
        # Below nothing is raised: the headers hold the credential.
        headers = [
            (b"host", pool.host),
            (b"accept-encoding", b"identity"),
            *exchange.upstream_headers,
            self._loops.header(exchange.named),
        ]
        stream: Body | Streamed
        if isinstance(body, Body):
            stream = body
            if body is not NO_BODY:
                headers.append((b"content-length", b"%d" % body.length))
        else:
            assert exchange.upload is not None
            headers = [pair for pair in headers if pair[0] != b"content-type"]
            headers.append((b"content-type", exchange.upload.content_type))
            headers.append((b"transfer-encoding", b"chunked"))  # a host's own transport would not know
            stream = Streamed(body, relay.wait_anew)
        request = PreparedRequest(exchange.method, url, headers, stream, timeouts.connect)
        if pool.inside:
            request.extensions[INSIDE] = exchange
        if exchange.is_job or (exchange.tries and _was_severed(exchange)) or _is_large(exchange):
            request.extensions["fresh"] = True
        if query or not fixed:
            # As it was sent: a URL object would quote some characters again.
            request.extensions["target"] = pool.target(path, query)
        return request


def _lease(pool: Pool) -> Lease:
    return lambda: pool.lease().release


async def _close(stream: httpx.AsyncByteStream) -> None:
    """A cancelled request closes its connection all the same, and to the end; a host's own transport may hang in it."""
    closing = asyncio.ensure_future(stream.aclose())
    _, late = await asyncio.wait((closing,), timeout=CLOSING)
    if late:
        closing.cancel()
        logger.error("the stream of a transport did not close within %.0f s", CLOSING)
    else:
        closing.result()


def _was_severed(exchange: Exchange) -> bool:
    """Whether the attempt before went on a connection that gave no answer: those kept beside it may be as dead."""
    last = exchange.tries[-1]
    return last.failure is Failure.CUT and last.answered is None


def _is_large(exchange: Exchange) -> bool:
    """Whether so much of a form may have gone when a kept-alive connection turns out dead that it cannot go again."""
    if exchange.upload is None:
        return False
    length = exchange.named.get(b"content-length", b"")
    return not length.isdigit() or int(length) > KEPT


def _failure(error: Exception, exchange: Exchange) -> GatewayError:
    """Made here, because a frame that raises it and knows it as well would be a cycle: it would keep the body."""
    failure = upstream_failure(error)
    if isinstance(failure, UpstreamError):
        Secrets.sent(exchange.upstream, exchange.upstream_headers).cut_out_of_cause(failure)
    return failure
