"""Whether this user may touch this kind of stored object."""

from __future__ import annotations

from collections.abc import Awaitable

from ..api.endpoints import unknown_path
from ..exchange import Exchange
from ..host.groups import Groups
from ..http.arrival import Arrival
from ..http.asgi import ASGIApp, Receive, Scope, Send


class GuardGroup:
    """What is closed to the user looks like a path that does not exist; before the body is read, which may be large."""

    def __init__(self, app: ASGIApp, *, groups: Groups) -> None:
        self.app = app
        self._groups = groups

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if Exchange.of(scope).match.endpoint.group:
            return self._guarded(scope, receive, send)
        return self.app(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        with Arrival(receive, exchange.clock) as arrival:
            if not await arrival.awaited(self._groups.allows(exchange.user, exchange.match.endpoint.group)):
                raise unknown_path().noted("group_closed")
            await self.app(scope, arrival.onward, send)
