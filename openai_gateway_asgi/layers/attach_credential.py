"""The headers that go upstream: the client's harmless ones, who asks, and our credential."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from ..config import Settings, Upstream
from ..errors import UpstreamCredentialError
from ..exchange import Exchange
from ..hidden import HiddenList
from ..host.facts import Context, asked_facts
from ..http.asgi import ASGIApp, RawHeaders, Receive, Scope, Send
from ..http.headers import AllowList
from ..rewrites.azure import azure_headers
from ..upstream.credentials import Credentials
from ..upstream.identity import UserInfo, attribution
from ..upstream.telling import names as told_names

MOST_KEPT = 1_024
"""Upstreams whose headers are kept ready."""


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
        self._context = context if settings.forward_user_info else None
        self._user_info = UserInfo(settings) if settings.forward_user_info else None
        self._kept: dict[int, _Ours] = {}
        self._changes = credentials.changes

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        ours = self._static(exchange.upstream)
        if ours is None or (self._context is not None and exchange.context is None):
            return self._ask_first(exchange, scope, receive, send)
        self._attach(exchange, ours)
        return self.app(scope, receive, send)

    async def _ask_first(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        if self._context is not None and exchange.context is None:
            exchange.context = await asked_facts(self._context, exchange.user, exchange.request())
        credential = await self._credentials.headers(exchange.upstream, exchange.caller)
        self._attach(exchange, self._ours(exchange.upstream, credential))
        try:
            await self.app(scope, receive, send)
        except UpstreamCredentialError:
            if not self._credentials.after_refusal(exchange.upstream, credential) or not exchange.repeatable:
                raise
            credential = await self._credentials.headers(exchange.upstream, exchange.caller)
            self._attach(exchange, self._ours(exchange.upstream, credential))
            await self.app(scope, receive, send)

    def _attach(self, exchange: Exchange, ours: _Ours) -> None:
        """Puts the headers together. Of headers of one name, ours are sent alone."""
        headers = self._allowed.select(exchange.headers, exchange.named)
        if not ours.barred.isdisjoint(exchange.named):
            headers = [pair for pair in headers if pair[0] not in ours.barred]
        upstream = exchange.upstream
        if self._user_info is not None:
            about = self._user_info.headers(exchange.user, exchange.context, signed=bool(upstream.identity))
            headers += about if ours.leaves_user_info else [pair for pair in about if pair[0] not in ours.names]
        if traced := exchange.attempt_headers:
            names = {name for name, _ in traced}
            headers = [pair for pair in headers if pair[0] not in names]
            headers += [pair for pair in traced if pair[1] and pair[0] not in ours.names]
        exchange.upstream_headers = headers + ours.headers
        if upstream.tells_user:
            exchange.upstream_headers += self._credentials.telling.headers(upstream, exchange.user, exchange.variables)

    def _static(self, upstream: Upstream) -> _Ours | None:
        """What is the same for every caller, kept ready; None where the credential has to be asked for."""
        if self._changes != self._credentials.changes:
            self._changes = self._credentials.changes
            self._kept.clear()
        ours = self._kept.get(id(upstream))
        if ours is None and (credential := self._credentials.static(upstream)) is not None:
            ours = self._ours(upstream, HiddenList(credential))
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[id(upstream)] = ours
        return ours

    def _ours(self, upstream: Upstream, credential: RawHeaders) -> _Ours:
        taken = {name for name, _ in credential}
        about = [*attribution(upstream, self._settings), *azure_headers(upstream)]
        headers = HiddenList([*(pair for pair in about if pair[0] not in taken), *credential])
        names = frozenset(name for name, _ in headers) | told_names(upstream)
        of_user = self._user_info.names if self._user_info is not None else frozenset()
        return _Ours(upstream, headers, names, names | of_user, names.isdisjoint(of_user))


@dataclass(frozen=True, slots=True)
class _Ours:
    """What the gateway itself sends to an upstream. Found by the upstream's id, which ``upstream`` keeps its own."""

    upstream: Upstream
    headers: RawHeaders
    names: frozenset[bytes]
    barred: frozenset[bytes]
    """What clients cannot send: these, and those that say who asks."""
    leaves_user_info: bool
    """Whether none of these stands for one of those that say who asks."""
