"""The fake upstream whose every byte is scripted, with the tests' own certificate where it serves https."""

from __future__ import annotations

from openai_gateway_asgi.testing.fake_upstream import FakeUpstream
from openai_gateway_asgi.testing.requests import FakeRequest as Received
from openai_gateway_asgi.testing.wire import (
    EVENTS,
    JSON,
    Call,
    Connection,
    OnConnect,
    answer,
    bad_chunk,
    by_path,
    chunked,
    close_before_headers,
    conflicting_lengths,
    drip,
    early_answer,
    endless_103,
    flood_of_103,
    garbage,
    gzip_sse,
    hang,
    head,
    huge_headers,
    length_and_chunked,
    raw,
    refusing_url,
    reset,
    short_body,
    sse,
    trailing_bytes,
    truncated_chunk,
)
from openai_gateway_asgi.testing.wire import WireScript as Script

from .certificates import server_tls

__all__ = [
    "EVENTS",
    "JSON",
    "Call",
    "Connection",
    "Received",
    "Script",
    "ScriptedUpstream",
    "answer",
    "bad_chunk",
    "by_path",
    "chunked",
    "close_before_headers",
    "conflicting_lengths",
    "drip",
    "early_answer",
    "endless_103",
    "flood_of_103",
    "garbage",
    "gzip_sse",
    "hang",
    "head",
    "huge_headers",
    "length_and_chunked",
    "raw",
    "refusing_url",
    "reset",
    "short_body",
    "sse",
    "trailing_bytes",
    "truncated_chunk",
]


class ScriptedUpstream(FakeUpstream):
    def __init__(self, *scripts: Script, tls: bool = False, on_connect: OnConnect | None = None, port: int = 0) -> None:
        wire = scripts or (answer(),)
        super().__init__(wire=wire, tls=server_tls() if tls else None, on_connect=on_connect, port=port)
