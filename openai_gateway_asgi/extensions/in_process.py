"""Calls of the gateway from the same process: the OpenAI SDK's client, wired to the gateway without a socket.

What is called is the gateway's own ASGI application: the same access, limits, filters and records hold as over a
socket, streams come as they are made, and a client that leaves is noticed by the same watch.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import HostRefusal
from .inner_calls import OURS, Serve, StreamedCall, WholeCall, Within, scope_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BASE_URL = "http://gateway.invalid/v1"
"""Where the client believes the gateway to be (RFC 6761 keeps ``.invalid`` for names that are never found)."""

PASSED = ("retry-after", "x-should-retry")
"""Headers of a refusal of one of its parts that hold for a call."""


def openai_client(serve: Serve, within: Within) -> AsyncOpenAI:
    """The SDK's client, of whatever major version is installed. Raises ``RuntimeError`` where none is."""
    try:
        import openai
    except ImportError as error:
        raise RuntimeError("this takes the OpenAI SDK: pip install 'openai-gateway-asgi[openai]'") from error
    library = _library_of(openai.DefaultAsyncHttpxClient)
    client = client_of(library)(serve, within)
    made = openai.AsyncOpenAI(api_key="in-process", base_url=BASE_URL, http_client=client)
    # A part of a call is not tried again by itself: the gateway has done so, and the caller will, with all of it.
    return made if within.outer is None else made.with_options(max_retries=0)


def refusal_in(error: Exception, response: Any) -> HostRefusal | None:
    """What an error of the SDK's says that the gateway itself told; None where it is of another service."""
    told = getattr(error, "body", None)
    if OURS not in getattr(response, "extensions", {}) or not isinstance(told, Mapping):
        return None
    message, code, param = (told.get(name) for name in ("message", "code", "param"))
    headers = {name: value for name in PASSED if (value := response.headers.get(name)) is not None}
    return HostRefusal(
        response.status_code,
        message if isinstance(message, str) else "The model that this one asked refused the request.",
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) else None,
        headers=headers,
    )


def _library_of(client: type[Any]) -> Any:
    """httpx, or httpx2, of which a version of the SDK is made."""
    own = next(each for each in client.__mro__ if each.__name__ == "AsyncClient")
    return sys.modules[own.__module__.partition(".")[0]]


_classes: dict[str, type[Any]] = {}


def client_of(library: Any) -> type[Any]:
    """The class of clients of a gateway in this process, made of httpx or httpx2."""
    known = _classes.get(library.__name__)
    if known is None:
        known = _classes[library.__name__] = _made_of(library)
    return known


def _made_of(library: Any) -> type[Any]:
    class Stream(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, call: StreamedCall) -> None:
            self._call = call

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while (piece := await self._call.piece()) is not None:
                yield piece

        async def aclose(self) -> None:
            await self._call.leave()

    class InProcess(library.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, serve: Serve, within: Within) -> None:
            self._serve = serve
            self._within = within

        async def handle_async_request(self, request: Any) -> Any:
            call = StreamedCall(self._serve, self._within, request, library)
            status, headers = await call.head()
            return library.Response(status, headers=headers, stream=Stream(call), extensions={OURS: True})

    class Client(library.AsyncClient):  # type: ignore[misc]
        def __init__(self, serve: Serve, within: Within) -> None:
            super().__init__(transport=InProcess(serve, within), trust_env=False)
            self._serve = serve
            self._within = within

        async def send(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
            """What is wanted whole needs no task of its own, and nothing of what a client does for strange servers."""
            if stream or self.is_closed:
                return await super().send(request, stream=stream, **options)
            answer = WholeCall(request, library)
            scope = scope_of(request, self._within)
            user, outer = self._within.user, self._within.outer
            return await answer.taken(self._serve(scope, answer.receive, answer.send, user, outer))

    return Client
