"""The gateway's answer as the return value of a host's own route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from ..errors import BodyAlreadyRead
from ..http.asgi import Message, PrivateScope, Receive, Scope, Send
from .users import User

Serve = Callable[[PrivateScope, Receive, Send, User | None, bool], Awaitable[None]]


class HostRoute(Response):
    """What ``Gateway.response`` returns: the call runs when the host sends the response."""

    def __init__(
        self, serve: Serve, user: User, prefix: str | None, request: Request | None, checked_origin: bool
    ) -> None:
        if not isinstance(user, User):
            raise TypeError(f"gateway.response() takes a User, got {type(user).__name__}; write User(id=...)")
        if not isinstance(request, Request | None):
            raise TypeError(f"gateway.response(request=...) takes Starlette's Request, got {type(request).__name__}")
        super().__init__()
        self._serve = serve
        self._user = user
        self._prefix = prefix
        self._request = request
        self._checked_origin = checked_origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = PrivateScope(scope)
        scope["root_path"] = self._mount(scope)
        again = receive if self._request is None else _from_the_beginning(self._request, receive)
        await self._serve(scope, again, send, self._user, self._checked_origin)
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


def _from_the_beginning(request: Request, receive: Receive) -> Receive:
    """``receive`` as it was before the application read the body, as far as the request has kept it."""
    kept: bytes | None = getattr(request, "_body", None)
    if kept is None and (request.method in ("GET", "HEAD") or not getattr(request, "_stream_consumed", False)):
        return receive
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        if kept is None:
            raise BodyAlreadyRead("The application has read the body of this request, and nothing of it is left.")
        return {"type": "http.request", "body": kept, "more_body": False}

    return again
