"""For what comes to the gateway's path through Django itself: Django's test client, and a server that is WSGI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from ...errors import NotServed
from ...http.asgi import Message, Scope
from ...http.headers import EVENT_STREAM, media_type
from . import installed
from .mounting import Mounted

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


@sync_and_async_middleware  # type: ignore[untyped-decorator]  # Django ships no types
def gateway_middleware(get_response: GetResponse) -> GetResponse:
    """Answers what is below the gateway's path; to be listed first in ``MIDDLEWARE``.

    Behind an ASGI server ``mount`` takes those requests before Django sees them. Django's ``AsyncClient`` does not know
    the site's ASGI application: its requests come here, and the gateway answers them, with ``orm_safe`` callables in
    Django's own thread, so that they see what a ``TestCase`` has written. A request that comes through WSGI gets a 501
    that says which kind of server is needed.
    """
    if iscoroutinefunction(get_response):

        async def serve(request: HttpRequest) -> HttpResponseBase:
            mounted = _in_charge(request)
            return await (get_response(request) if mounted is None else _answer(mounted, request))

        return serve

    def serve_from_a_thread(request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Where any other middleware is a plain function, Django calls this one so, too."""
        mounted = _in_charge(request)
        return get_response(request) if mounted is None else async_to_sync(_answer)(mounted, request)

    return serve_from_a_thread


async def _answer(mounted: Mounted, request: HttpRequest) -> HttpResponseBase:
    if isinstance(request, ASGIRequest):
        return await _Call(mounted, request).response()
    refusal = NotServed(
        "Models are served over ASGI, and this server is WSGI, as `manage.py runserver` is. Run the site with an ASGI "
        "server, such as `uvicorn mysite.asgi:application`; in tests use Django's AsyncClient."
    )
    return HttpResponse(refusal.body(), status=refusal.status, content_type="application/json")


def _in_charge(request: HttpRequest) -> Mounted | None:
    mounted = installed.mounted()
    path = {"path": request.path, "root_path": request.META.get("SCRIPT_NAME", "")}
    return mounted if mounted is not None and mounted.takes(path) else None


class _Call:
    """One request of Django's, answered by an ASGI application; what is left of its body can be iterated over."""

    def __init__(self, mounted: Mounted, request: HttpRequest) -> None:
        self._arriving: list[Message] = [{"type": "http.request", "body": request.read(), "more_body": False}]
        self._message: Message | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._over = False
        self._loop = asyncio.get_running_loop()
        answer = mounted.answer(_scope(request), self._receive, self._send)
        self._task = asyncio.ensure_future(answer)
        self._task.add_done_callback(lambda _: self._news.set())

    async def response(self) -> HttpResponseBase:
        start = await self._next()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        if media_type(headers.get("content-type", "").encode("latin-1")) == EVENT_STREAM:
            return StreamingHttpResponse(self, status=start["status"], headers=headers)
        body = b"".join([piece async for piece in self])
        return HttpResponse(body, status=start["status"], headers=headers)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._over:
            message = await self._next()
            self._over = not message.get("more_body", False)
            if body := message.get("body", b""):
                return bytes(body)
        await self._task
        raise StopAsyncIteration

    def close(self) -> None:
        """Called by Django, maybe in another thread, when the response has been sent, or its client has left."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _next(self) -> Message:
        while (message := self._message) is None:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the gateway ended without completing its answer")
            self._news.clear()
            await self._news.wait()
        self._message = None
        self._room.set()
        return message

    async def _send(self, message: Message) -> None:
        await self._room.wait()
        self._room.clear()
        self._message = message
        self._news.set()

    async def _receive(self) -> Message:
        """A client that leaves is a task that is cancelled."""
        if not self._arriving:
            await asyncio.Event().wait()
        return self._arriving.pop()


def _scope(request: HttpRequest) -> Scope:
    """As servers make it. Django's test client has the query as text, an empty cookie where there is none, and header
    names as WSGI has them: those it was made with stand in the scope as well, and older versions write all of them with
    underscores.
    """
    query = request.scope.get("query_string", b"")
    headers = [pair for pair in request.scope["headers"] if pair != (b"cookie", b"")]
    if hasattr(request, "_dont_enforce_csrf_checks"):  # which the test client alone sets
        named = [key.lower().replace("_", "-").encode() for key in request.scope if key.startswith("HTTP_")]
        headers = [(name.replace(b"_", b"-"), value) for name, value in headers]
        headers = [(name.removeprefix(b"http-") if name in named else name, value) for name, value in headers]
    return {
        **request.scope,
        "query_string": query.encode("latin-1") if isinstance(query, str) else query,
        "headers": headers,
    }
