"""An upstream's own error answer, as the client gets it."""

from __future__ import annotations

import msgspec

from ..errors import UpstreamCredentialError, UpstreamError, UpstreamRefused
from ..http.asgi import JSON, RawHeaders
from ..http.headers import EVENT_STREAM, media_type
from ..upstream.inflate import inflater
from ..upstream.response_reads import Reads

HELD = 1024 * 1024
"""The longest error answer that is held and passed on, in bytes."""


async def refusal(status: int, headers: RawHeaders, reads: Reads, *, own_credential: bool) -> UpstreamError:
    """What an answer of 400 or more is; ``headers`` are those that may reach the client.

    ``own_credential``: whether the upstream was asked with the gateway's credential, so that a 401 is not the caller's.
    """
    if status == 401 and own_credential:
        return UpstreamCredentialError("The upstream refused the gateway's credential.")
    body = b""
    while (chunk := await reads.next()) is not None:
        body += chunk
        if len(body) > HELD:
            return _in_our_words(status)
    kept = dict(headers)
    content_type = kept.pop(b"content-type", b"text/plain")
    if coding := kept.pop(b"content-encoding", None):
        inflated = _inflated(body, coding)
        if inflated is None:
            return _in_our_words(status)
        body = inflated
    if media_type(content_type) == EVENT_STREAM:
        content_type = JSON
        body = body if _is_object(body) else _plain(status, body.decode("utf-8", "replace"))
    return UpstreamRefused(status, tuple(kept.items()), body, content_type=content_type)


def _in_our_words(status: int) -> UpstreamRefused:
    return UpstreamRefused(status, (), _plain(status, "The upstream refused this call."), content_type=JSON)


def _inflated(body: bytes, coding: bytes) -> bytes | None:
    """What was compressed although nobody asked for it, to be read for what it repeats; None where it cannot be."""
    pieces, size = [], 0
    try:
        for piece in inflater(coding.decode("latin-1"))(body):
            pieces.append(piece)
            if (size := size + len(piece)) > HELD:
                return None
    except UpstreamError:
        return None
    return b"".join(pieces)


def _plain(status: int, message: str) -> bytes:
    detail = {"message": message, "type": "upstream_error", "param": None, "code": f"upstream_{status}"}
    return msgspec.json.encode({"error": detail})


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
