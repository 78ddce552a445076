"""Whether this user may touch this kind of stored object."""

from __future__ import annotations

from ..asgi import ASGIApp, Receive, Scope, Send
from ..endpoints import unknown_path
from ..exchange import Exchange
from ..groups import Groups


class GuardGroup:
    """What is closed to the user looks like a path that does not exist; before the body is read, which may be large."""

    def __init__(self, app: ASGIApp, *, groups: Groups) -> None:
        self.app = app
        self._groups = groups

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange.of(scope)
        group = exchange.match.endpoint.group
        if group and not await self._groups.allows(exchange.user, group):
            raise unknown_path()
        await self.app(scope, receive, send)
