"""The request that is asked about, as a server would give it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from ..errors import InvalidRequest
from ..hidden import HiddenList
from ..http.asgi import JSON, Message, PrivateScope, RawHeaders, Receive

GivenHeaders = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]


@dataclass(frozen=True, slots=True)
class Asked:
    """``path`` is without the query. A body without a type is taken for JSON, and without a length for whole."""

    method: str
    path: str
    query: bytes = field(repr=False)
    headers: RawHeaders = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, method: str, path: str, headers: GivenHeaders, body: bytes) -> Asked:
        """Raises ``InvalidRequest`` for what no request could be."""
        given: Any = headers.items() if isinstance(headers, Mapping) else headers
        raw: RawHeaders = HiddenList([(_bytes(name).lower(), _bytes(value)) for name, value in given])
        names = {name for name, _ in raw}
        if body and b"content-type" not in names:
            raw.append((b"content-type", JSON))
        if body and not names & {b"content-length", b"transfer-encoding"}:
            raw.append((b"content-length", b"%d" % len(body)))
        if b"host" not in names:
            raw.append((b"host", b"localhost"))
        if not method.isalpha():
            raise InvalidRequest("`method` must be one, as POST.", param="method", code="invalid_value")
        if not path.startswith("/") or not path.isprintable() or " " in path:
            raise InvalidRequest(
                "`path` must begin with a slash and be written as in a URL, as /v1/chat/completions.",
                param="path",
                code="invalid_value",
            )
        path, _, query = path.partition("#")[0].partition("?")
        return cls(method.upper(), path, query.encode(), raw, body)

    def scope(self) -> PrivateScope:
        raw = self.path.encode()
        return PrivateScope(
            type="http",
            asgi={"version": "3.0", "spec_version": "2.3"},
            http_version="1.1",
            server=("localhost", 80),
            client=None,
            scheme="http",
            method=self.method,
            root_path="",
            path=unquote_to_bytes(raw).decode("utf-8", "replace"),
            raw_path=raw,
            query_string=self.query,
            headers=self.headers,
            state={},
        )

    def receive(self) -> Receive:
        """The body whole, and a client who stays."""
        left: list[Message] = [{"type": "http.request", "body": self.body, "more_body": False}]

        async def receive() -> Message:
            if left:
                return left.pop()
            never: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            return await never

        return receive


def _bytes(text: str | bytes) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        pass
    raise InvalidRequest("A header is not of Latin-1 text.", param="headers", code="invalid_value")
