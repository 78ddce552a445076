"""The transport that a host gives, as one of httpx."""

from __future__ import annotations

from typing import Any, Protocol

import httpx


class AsyncTransport(Protocol):
    """What ``httpx.AsyncBaseTransport`` and ``httpx2.AsyncBaseTransport`` both are."""

    async def handle_async_request(self, request: Any, /) -> Any: ...

    async def aclose(self) -> None: ...


def given_transport(given: Any) -> httpx.AsyncBaseTransport | None:
    """A host's ``transport`` as one of httpx; it was judged before."""
    if given is None or isinstance(given, httpx.AsyncBaseTransport):
        return given
    from .httpx2_transport import Httpx2Transport  # whoever gave this has httpx2; others may not

    return Httpx2Transport(given)
