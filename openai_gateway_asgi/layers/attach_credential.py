"""The headers that go upstream: the client's harmless ones, who asks, and our credential."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from ..asgi import ASGIApp, RawHeaders, Receive, Scope, Send
from ..config import Settings
from ..errors import UpstreamCredentialError
from ..exchange import Exchange
from ..headers import AllowList
from ..hooks import Hook
from ..rewrites.azure import azure_headers
from ..upstream.credentials import Credentials
from ..upstream.identity import attribution, user_info
from ..users import User

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        credential = await self._attach(exchange)
        try:
            await self.app(scope, receive, send)
        except UpstreamCredentialError:
            if not self._credentials.after_refusal(exchange.upstream, credential):
                raise
            await self._attach(exchange)
            await self.app(scope, receive, send)

    async def _attach(self, exchange: Exchange) -> RawHeaders:
        upstream = exchange.upstream
        static = self._credentials.static(upstream)
        credential = list(static) if static is not None else await self._credentials.headers(upstream, exchange.caller)
        about = [*attribution(upstream, self._settings), *azure_headers(upstream)]
        if self._settings.forward_user_info:
            about += user_info(exchange.user, await self._facts(exchange), self._settings)
        exchange.upstream_headers = merged(self._allowed.select(exchange.headers), about, credential)
        return credential

    async def _facts(self, exchange: Exchange) -> Mapping[str, str]:
        if exchange.context is None:
            exchange.context = {} if self._context is None else await self._context(exchange.user, exchange.request)
        return exchange.context or {}


def merged(*groups: RawHeaders) -> RawHeaders:
    """All headers; where a later group has a name too, the earlier ones' are left out."""
    headers: RawHeaders = []
    for group in groups:
        if headers and group:
            taken = {name for name, _ in group}
            headers = [pair for pair in headers if pair[0] not in taken]
        headers += group
    return headers
