"""The headers that go upstream: the client's harmless ones, who asks, and our credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from ..asgi import ASGIApp, RawHeaders, Receive, Scope, Send
from ..config import Settings, Upstream
from ..errors import UpstreamCredentialError
from ..exchange import Exchange
from ..headers import AllowList
from ..hooks import Hook
from ..rewrites.azure import azure_headers
from ..upstream.credentials import Credentials
from ..upstream.identity import attribution, user_info
from ..users import User

MOST_KEPT = 1_024
"""Upstreams whose headers are kept ready."""

Context = Hook[[User, Request], Mapping[str, str]]


class AttachCredential:
    """Picks what may cross of the client's headers, then adds ours, so that no client can nominate ours away.

    A credential that the upstream refuses and that can be had anew is fetched anew, once.
    """

    def __init__(
        self, app: ASGIApp, *, credentials: Credentials, settings: Settings, context: Context | None = None
    ) -> None:
        self.app = app
        self._credentials = credentials
        self._settings = settings
        self._allowed = AllowList(settings.forwarded_headers)
        self._context = context
        self._ours: dict[int, _Ours] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        credential = await self._attach(exchange)
        try:
            await self.app(scope, receive, send)
        except UpstreamCredentialError:
            if not self._credentials.after_refusal(exchange.upstream, credential) or not exchange.repeatable:
                raise
            await self._attach(exchange)
            await self.app(scope, receive, send)

    async def _attach(self, exchange: Exchange) -> RawHeaders:
        """Puts the headers together; gives back ours. Of headers of one name, ours are sent alone."""
        upstream = exchange.upstream
        ours = self._ours.get(id(upstream)) or await self._new_ours(upstream, exchange)
        theirs = self._allowed.select(exchange.headers)
        if self._settings.forward_user_info:
            asks = user_info(exchange.user, await self._facts(exchange), self._settings)
            said = {name for name, _ in asks}
            theirs = [pair for pair in theirs if pair[0] not in said] + asks
        names = ours.names
        exchange.upstream_headers = [pair for pair in theirs if pair[0] not in names]
        exchange.upstream_headers += ours.headers
        return ours.headers

    async def _new_ours(self, upstream: Upstream, exchange: Exchange) -> _Ours:
        static = self._credentials.static(upstream)
        credential = list(static) if static is not None else await self._credentials.headers(upstream, exchange.caller)
        taken = {name for name, _ in credential}
        about = [*attribution(upstream, self._settings), *azure_headers(upstream)]
        headers = [*(pair for pair in about if pair[0] not in taken), *credential]
        ours = _Ours(upstream, headers, frozenset(name for name, _ in headers))
        if static is not None:
            if len(self._ours) >= MOST_KEPT:
                self._ours.clear()
            self._ours[id(upstream)] = ours
        return ours

    async def _facts(self, exchange: Exchange) -> Mapping[str, str]:
        if exchange.context is None:
            exchange.context = {} if self._context is None else await self._context(exchange.user, exchange.request())
        return exchange.context or {}


@dataclass(frozen=True, slots=True)
class _Ours:
    """What the gateway itself sends to an upstream. Found by the upstream's id, which ``upstream`` keeps its own."""

    upstream: Upstream
    headers: RawHeaders
    names: frozenset[bytes]
