"""Who is asking."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from time import monotonic

from starlette.requests import Request

from ..config import Upstream
from ..errors import HostFailure, Unauthenticated
from ..exchange import Exchange
from ..hidden import HiddenText
from ..host.hooks import Hook, logger
from ..host.roles import FAMILIAR, Roles
from ..host.users import User
from ..http.arrival import Arrival
from ..http.asgi import ASGIApp, Receive, Scope, Send
from ..upstream.credentials import Caller

ResolveUser = Hook[[Request], User | None]
SessionToken = Callable[[User, Request], Awaitable[str | None]]

CREDENTIALS = (b"authorization", b"api-key", b"x-api-key", b"cookie")
NO_CALLABLE = "this gateway has no resolve_user, so that users come with gateway.response(user) only; others are a 401."
KNOWS_NOBODY = (
    "resolve_user has returned None for every request so far, and each was a 401; look at how it reads the request."
)


class Authenticate:
    """Asks the host's ``resolve_user``; no user is a 401. Also remembers what of the caller could be a credential.

    Until somebody has been recognised every 401 is noted for the host, because then it may be its own mistake.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        resolve_user: ResolveUser | None,
        oauth_token: Hook[[User, Request, Upstream], str | None] | None = None,
        session_token: SessionToken | None = None,
        roles: Roles,
    ) -> None:
        self.app = app
        self._roles = roles
        self._knows_anyone = False
        self._resolve_user = resolve_user
        self._oauth_token = oauth_token
        self._session_token = session_token

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = Exchange.of(scope)
        exchange.admitting = -monotonic()
        user = exchange.given_user
        if user is None and self._resolve_user is not None:
            if self._resolve_user.is_async:
                return self._wait(self._resolve_user, scope, receive, send)
            user = self._resolve_user.now(exchange.request())
        self._take(exchange, user)
        if self._session_token is not None and exchange.config.uses_sessions:
            return self._with_token(self._session_token, scope, receive, send)
        return self.app(scope, receive, send)

    async def _with_token(self, session_token: SessionToken, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        with Arrival(receive, exchange.clock) as arrival:
            await self._take_token(session_token, exchange, arrival)
            await self.app(scope, arrival.onward, send)

    async def _take_token(self, session_token: SessionToken, exchange: Exchange, arrival: Arrival) -> None:
        """The host's word for the caller's own token; where it has none, the caller's bearer token stays."""
        exchange.admitting -= monotonic()
        token = await arrival.awaited(session_token(exchange.user, exchange.request()))
        exchange.admitting += monotonic()
        if token is not None and not isinstance(token, str):
            logger.error("session_token returned %s; return a token, or None", type(token).__name__)
            raise HostFailure("The application failed while it handled this request.")
        if token:
            exchange.caller = replace(exchange.caller, authorization=HiddenText(token))

    async def _wait(self, resolve_user: ResolveUser, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        with Arrival(receive, exchange.clock) as arrival:
            self._take(exchange, await arrival.awaited(resolve_user(exchange.request())))
            if self._session_token is not None and exchange.config.uses_sessions:
                await self._take_token(self._session_token, exchange, arrival)
            await self.app(scope, arrival.onward, send)

    def _take(self, exchange: Exchange, user: User | None) -> None:
        if user is None:
            raise self._nobody(exchange)
        if not isinstance(user, User):
            logger.error("resolve_user returned %s; return a User, or None", type(user).__name__)
            raise HostFailure("The application failed while it handled this request.")
        self._knows_anyone = True
        if user.role not in FAMILIAR:
            self._roles.see(user.role)
        named = exchange.named
        exchange.user = user
        exchange.admitting += monotonic()
        exchange.caller = Caller(
            user,
            authorization=_bearer_token(named.get(b"authorization")),
            cookies=exchange.request().cookies if b"cookie" in named else {},
            oauth=self._bound_oauth(user, exchange),
        )

    def _nobody(self, exchange: Exchange) -> Unauthenticated:
        error = Unauthenticated(
            "You are not signed in, or your credentials are not valid; sign in, or send the credential that this "
            "application gave you."
        )
        if not self._knows_anyone:
            error.host_advice = NO_CALLABLE if self._resolve_user is None else KNOWS_NOBODY
            sent = [name.decode() for name in CREDENTIALS if name in exchange.named]
            error.seen = ", ".join(sent) or "no credential"
        return error

    def _bound_oauth(self, user: User, exchange: Exchange) -> Callable[[Upstream], Awaitable[str | None]] | None:
        if self._oauth_token is None:
            return None
        hook, request = self._oauth_token, exchange.request()

        async def token(upstream: Upstream) -> str | None:
            return await hook(user, request, upstream)

        return token


def _bearer_token(value: bytes | None) -> HiddenText | None:
    """The token of ``Authorization: Bearer ...`` (RFC 6750, 2.1)."""
    if value is None or value[:7].lower() != b"bearer ":
        return None
    token = HiddenText(value[7:].strip(), "latin-1")
    return token or None
