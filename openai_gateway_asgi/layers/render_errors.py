"""Failures as the client can read them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable
from time import monotonic
from urllib.parse import quote

from ..answers.refusal import detail_of
from ..errors import ClientDisconnected, GatewayError, ResponseAborted, UpstreamError
from ..exchange import Exchange
from ..host.notices import Notices, shown
from ..http.asgi import ASGIApp, Message, RawHeaders, Receive, Scope, Send
from ..http.headers import for_one_user
from ..http.sse import error_event
from ..http.stages import next_number
from ..http.whole_answers import respond
from ..observe.call_log import Users, log_refusal

logger = logging.getLogger("openai_gateway_asgi")

CORP = (b"cross-origin-resource-policy", b"same-origin")
"""Answers are for the host's own pages: no other site's may embed them (Fetch, Cross-Origin-Resource-Policy)."""

CHALLENGE = (b"www-authenticate", b'Bearer realm="OpenAI API"')
"""As the API itself says it (RFC 6750, 3)."""


class RenderErrors:
    """``GatewayError`` becomes OpenAI's JSON, or an SSE error event once the answer has begun.

    Where neither can be read any more the framing is broken by raising, so that truncation never looks like success.
    Also notes, for all layers, when the answer begins and when it is complete.
    """

    def __init__(
        self, app: ASGIApp, *, show_routing: str, log_users: Users, send_timeout: float, notices: Notices
    ) -> None:
        self.app = app
        self._notices = notices
        self._show_routing = show_routing
        self._log_users = log_users
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)

        def noting(message: Message) -> Awaitable[None]:
            if message["type"] != "http.response.body":
                self._note_start(message, exchange)
            elif not message.get("more_body", False):
                exchange.finished = True
            return send(message)

        try:
            await self.app(scope, receive, noting)
        except ClientDisconnected:
            return
        except GatewayError as error:
            await self._render(error, exchange, noting)
        except ResponseAborted:
            raise
        except Exception as error:
            logger.exception("unexpected failure in request %s", exchange.request_id)
            failure = GatewayError("The gateway failed.", code="internal_error")
            await self._render(failure, exchange, noting, cause=error)

    async def _render(
        self, error: GatewayError, exchange: Exchange, send: Send, *, cause: BaseException | None = None
    ) -> None:
        """A client that takes no bytes does not take its error either, and is cut off."""
        if not exchange.recorded:
            log_refusal(exchange, error, self._log_users)
        if error.host_advice:
            call = shown(f"{exchange.method} {exchange.scope['path']}")
            seen = f"{call} with {error.seen}" if error.seen else call
            self._notices.warn(error.code or error.type, error.host_advice, seen=seen)
        try:
            async with asyncio.timeout(self._send_timeout):
                await _render(error, exchange, send, within=self._send_timeout, cause=cause)
        except (TimeoutError, ClientDisconnected) as late:
            raise ResponseAborted(f"request {exchange.request_id}: {error.code}") from late

    def _note_start(self, message: Message, exchange: Exchange) -> None:
        exchange.status = message["status"]
        exchange.head_sent, now = True, monotonic()
        if not exchange.sse:
            exchange.first_byte = now
        message["headers"] = _identified(message.get("headers", ()), exchange)
        if self._shows_routing(exchange):
            message["headers"].append((b"server-timing", server_timing(exchange, now)))
            if exchange.attempts and not exchange.early:
                message["headers"] += _routing(exchange)

    def _shows_routing(self, exchange: Exchange) -> bool:
        if self._show_routing == "admins":
            return hasattr(exchange, "user") and exchange.user.is_admin
        return self._show_routing == "all"


async def _render(
    error: GatewayError, exchange: Exchange, send: Send, *, within: float, cause: BaseException | None
) -> None:
    if not exchange.head_sent:
        headers: Iterable[tuple[bytes, bytes]] = error.headers
        if exchange.reservation is not None and isinstance(error, UpstreamError):
            headers = exchange.reservation.told_in(headers)
        await respond(
            send, error.status, error.body(), headers,
            within=within, clock=exchange.clock, content_type=error.content_type, head=exchange.method == "HEAD",
        )  # fmt: skip
    elif exchange.finished:
        return
    elif exchange.sse and exchange.at_boundary:
        event = error_event(detail_of(error), next_number(getattr(exchange, "stages", ()), exchange.tail))
        await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        raise ResponseAborted(f"request {exchange.request_id}: {error.code}") from (cause or error)


def _identified(headers: Iterable[tuple[bytes, bytes]], exchange: Exchange) -> RawHeaders:
    """The gateway's own id on every answer; as ``x-request-id`` too where no upstream gave one. And whose it is.

    Every 401 says how to prove who asks (RFC 9110, 15.5.2), in the API's own way where the host says nothing.
    """
    own = exchange.request_id.encode()
    known = [*headers, (b"x-gateway-request-id", own)]
    names = dict(known)
    if CORP[0] not in names:
        known.append(CORP)
    if b"x-request-id" not in names:
        known.append((b"x-request-id", own))
    if exchange.status == 401 and b"www-authenticate" not in names:
        known.append(CHALLENGE)
    known += for_one_user(names)
    return known


def server_timing(exchange: Exchange, now: float) -> bytes:
    """Where the time went until the answer begins, in milliseconds (W3C Server Timing)."""
    upstream = exchange.upstream_seconds
    if exchange.attempt_began is not None:
        upstream += now - exchange.attempt_began
    auth = exchange.admitting if exchange.admitting >= 0 else exchange.admitting + now  # who asks was not found out
    gateway = max(0.0, now - exchange.arrived - exchange.queued - auth - upstream)
    return b"queue;dur=%.1f, auth;dur=%.1f, upstream;dur=%.1f, gateway;dur=%.1f" % (
        exchange.queued * 1000, auth * 1000, upstream * 1000, gateway * 1000
    )  # fmt: skip


def _routing(exchange: Exchange) -> RawHeaders:
    """Which upstream answered, as which model, after how many attempts."""
    routing = [
        (b"x-gateway-upstream", exchange.upstream.name.encode("ascii", "replace")),
        (b"x-gateway-attempts", b"%d" % exchange.attempts),
    ]
    if exchange.served is not None:
        routing.append((b"x-gateway-model", quote(exchange.served.id, safe=":/").encode("ascii")))
    return routing
