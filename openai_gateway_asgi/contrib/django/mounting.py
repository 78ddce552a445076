"""The gateway's place in the site's ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from django.core.exceptions import ImproperlyConfigured

from ...errors import ClientDisconnected, InvalidRequest
from ...host.notices import Notices, shown
from ...http.asgi import ASGIApp, Message, PrivateScope, Receive, Scope, Send
from ...http.lifespan import refuse_websocket
from ...http.whole_answers import respond
from .allowed_hosts import refused_host
from .orm import own_threads
from .orm_threads import OrmThreads

SEND_TIMEOUT = 60.0
"""Seconds that a client may take no bytes of a refusal."""


class Mounted:
    """What ``mount`` returns: an ASGI application."""

    def __init__(self, gateway: ASGIApp, prefix: str, inside: ASGIApp, threads: OrmThreads | None) -> None:
        self.gateway = gateway
        self.threads = threads
        self._prefix = prefix
        self._inside = inside
        self._notices = Notices()

    def takes(self, scope: Scope) -> bool:
        """Whether the gateway answers this request."""
        below = _below(scope)
        return below == self._prefix or below.startswith(self._prefix + "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif not self.takes(scope):
            await self._inside(scope, receive, send)
        else:
            scope = PrivateScope(scope)
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.threads is None:
            await self.answer(scope, receive, send)
            return
        token = own_threads.set(self.threads)
        try:
            await self.answer(scope, receive, send)
        finally:
            own_threads.reset(token)

    def answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """The gateway's answer, with the ORM in Django's own thread: to a request that ``takes`` is true of."""
        host = refused_host(scope)
        if host is not None:
            return self._refuse(host, scope, receive, send)
        # As Starlette's Mount does it: behind a proxy that strips its own prefix, `path` comes without `root`.
        root = scope.get("root_path", "")
        outer = scope.get("app_root_path", root)
        mounted = PrivateScope(scope)
        mounted.update(app_root_path=outer, root_path=root + self._prefix)
        return self.gateway(mounted, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def closing(message: Message) -> None:
            """What is to be closed is closed before the server is told that it may end the process."""
            if message["type"].startswith("lifespan.shutdown") and self.threads is not None:
                await asyncio.to_thread(self.threads.close)
            await send(message)

        await self.gateway(scope, receive, closing)

    async def _refuse(self, host: str, scope: Scope, receive: Receive, send: Send) -> None:
        seen = shown(host)
        self._notices.warn(
            "disallowed_host",
            "a request came under a name that ALLOWED_HOSTS does not have; if it is the site's, add it there.",
            seen=seen,
        )
        if scope["type"] == "websocket":
            await refuse_websocket(receive, send)
            return
        refusal = InvalidRequest(
            f"This site is not served under the name {seen!r}; its ALLOWED_HOSTS would have to list it.",
            param="host",
            code="disallowed_host",
        )
        with suppress(ClientDisconnected):
            head = scope["method"] == "HEAD"
            await respond(send, refusal.status, refusal.body(), within=SEND_TIMEOUT, head=head)


def mount(gateway: ASGIApp, path: str, *, inside: ASGIApp, orm_threads: int = 1) -> Mounted:
    """An ASGI application that gives ``path`` and everything below it to ``gateway`` and all else to ``inside``.

    The gateway is served under the names in ``ALLOWED_HOSTS`` only, as Django is. It also answers the lifespan scope,
    which Django refuses, and closes its connections at shutdown.

    ``orm_threads``: how many ``orm_safe`` callables, ``resolve_django_user`` among them, run side by side. One is
    Django's own thread for synchronous code; more are threads of the gateway's, each with connections of its own that
    stay open while it has work. Callables then run at the same time, which their code must allow.

    Raises ``ImproperlyConfigured`` for a path that would leave nothing to Django, and for a number below one.
    """
    prefix = "/" + path.strip("/")
    if prefix == "/":
        raise ImproperlyConfigured("mount() needs a path of its own for the gateway, such as '/openai'")
    if type(orm_threads) is not int or orm_threads < 1:
        raise ImproperlyConfigured("mount(orm_threads=...) takes a whole number of at least 1")
    return Mounted(gateway, prefix, inside, OrmThreads(orm_threads) if orm_threads > 1 else None)


def _below(scope: Scope) -> str:
    """The path below the application's own root; some proxies leave that in, others strip it."""
    root, asked = scope.get("root_path", ""), scope["path"]
    below: str = asked.removeprefix(root) if asked.startswith(root + "/") else asked
    return below
