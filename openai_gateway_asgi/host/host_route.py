"""The gateway's answer as the return value of a host's own route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from ..http.asgi import Receive, Scope, Send
from .users import User

Serve = Callable[[Scope, Receive, Send, User | None], Awaitable[None]]


class HostRoute(Response):
    """What ``Gateway.response`` returns: the call runs when the host sends the response."""

    def __init__(self, serve: Serve, user: User, prefix: str | None) -> None:
        if not isinstance(user, User):
            raise TypeError(f"gateway.response() takes a User, got {type(user).__name__}; write User(id=...)")
        super().__init__()
        self._serve = serve
        self._user = user
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        mounted = dict(scope)
        mounted["root_path"] = self._mount(scope)
        await self._serve(mounted, receive, send, self._user)
        if self.background is not None:
            await self.background()

    def _mount(self, scope: Scope) -> str:
        path: str = scope["path"]
        if self._prefix is not None:
            return str(scope.get("root_path", "")) + self._prefix.rstrip("/")
        for value in reversed(scope.get("path_params", {}).values()):
            rest = "/" + str(value).lstrip("/")
            if path.endswith(rest):
                return path[: -len(rest)]
        raise RuntimeError(
            "gateway.response() needs to know where the API's path begins: declare the route with a path parameter, "
            "such as '/openai/{path:path}', or pass prefix='/openai'"
        )
