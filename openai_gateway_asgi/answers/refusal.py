"""What an upstream's own error is to the call, and what of it the client gets."""

from __future__ import annotations

import math
from urllib.parse import urlsplit, urlunsplit

from ..causes import Cause, Failure, one_line
from ..config import Upstream
from ..errors import GatewayError, UpstreamAccountError, UpstreamCredentialError, UpstreamError, UpstreamRefused
from ..http.asgi import JSON, NamedHeaders, RawHeaders
from ..http.headers import EVENT_STREAM, media_type
from ..upstream.inflate import inflated
from ..upstream.response_reads import Reads
from .upstream_errors import Said, error_in_body

HELD = 1024 * 1024
"""The longest error answer that is held and passed on, in bytes."""

_RETRY = frozenset({b"retry-after", b"retry-after-ms"})

UNREAD = b"The upstream refused this call."
"""In place of an error answer that cannot be read, or is longer than anybody would."""

AS_CALLER = "session"
IN_THE_NAME_OF_CALLER = (AS_CALLER, "system_oauth")
"""How an upstream is asked with what is the caller's own, so that what it refuses is the caller's to know. A token that
the host gave is not the caller's to renew, though."""


async def refusal(
    status: int, headers: RawHeaders, reads: Reads, upstream: Upstream, *, head: bool = False
) -> UpstreamError:
    """What an answer of 400 or more is; ``headers`` are those that may reach the client. ``head``: it has no body."""
    kept = dict(headers)
    content_type = kept.pop(b"content-type", b"")
    coding = kept.pop(b"content-encoding", None)
    body = await _whole(reads)
    if body is not None and coding is not None:
        body = inflated(body, coding, HELD)
    said = error_in_body(status, UNREAD if body is None else body)
    if ours := _ours(said, upstream, "status"):
        return ours
    if not body and not head:
        return _refused(said, "status", tuple(kept.items()), said.shaped, JSON)
    if media_type(content_type) == EVENT_STREAM:
        content_type, body = JSON, body if said.is_shaped else said.shaped
    return _refused(said, "status", tuple(kept.items()), body or b"", content_type)


def refused_inside(said: Said, upstream: Upstream) -> UpstreamError:
    """What an error is that an upstream put into an answer of status 200: what it would have been with its own."""
    return _ours(said, upstream, "in_band") or _refused(said, "in_band", (), said.shaped, JSON)


def detail_of(error: GatewayError) -> dict[str, str | None]:
    """What an event tells of an error; of an upstream's own what its body says, however that is spelt."""
    if not isinstance(error, UpstreamRefused):
        return error.detail()
    said = error_in_body(error.status, error.body())
    return {"message": said.message, "type": said.type or error.type, "param": said.param, "code": said.code}


def redirected(status: int, headers: NamedHeaders) -> UpstreamError:
    """A redirect is not followed: what the call carries, its credential first of all, is for this upstream alone."""
    error = UpstreamError("The upstream answered with a redirect, which is not followed.")
    return error.because(
        Cause("redirect", status=status, location=_place(headers.get(b"location", b""))), Failure.REDIRECT
    )


def _place(location: bytes) -> str:
    """An address without what may be secret in it: user, query and fragment."""
    try:
        target = urlsplit(location.decode("latin-1"))
    except ValueError:
        return "an address that cannot be read"
    return one_line(urlunsplit((target.scheme, target.netloc.rpartition("@")[2], target.path, "", "")))


def _ours(said: Said, upstream: Upstream, what: str) -> UpstreamError | None:
    """In our words, what the operator has to settle with the upstream: our credential, or our account."""
    error: UpstreamError
    fixed = "authorization" in map(str.lower, upstream.headers)  # then it is the operator's, whatever the kind
    if said.kind is Failure.CREDENTIAL and (fixed or upstream.auth_type != AS_CALLER):
        error = UpstreamCredentialError("The upstream refused the gateway's credential.")
    elif said.kind is Failure.ACCOUNT and (fixed or upstream.auth_type not in IN_THE_NAME_OF_CALLER):
        error = UpstreamAccountError("The upstream does not serve the gateway's account at the moment.")
    else:
        return None
    return error.because(_cause(said, what), said.kind)


def _refused(
    said: Said, what: str, headers: tuple[tuple[bytes, bytes], ...], body: bytes, content_type: bytes
) -> UpstreamRefused:
    if said.retry_after is not None and said.status in (429, 503) and _RETRY.isdisjoint(name for name, _ in headers):
        headers = (*headers, (b"retry-after", b"%d" % math.ceil(said.retry_after)))
    error = UpstreamRefused(said.status, headers, body, content_type=content_type)
    error.because(_cause(said, what), said.kind)
    return error


def _cause(said: Said, what: str) -> Cause:
    return Cause(
        what, status=said.status, type=said.type, param=said.param, code=said.code, message=one_line(said.message)
    )


async def _whole(reads: Reads) -> bytes | None:
    """None where it is longer than anybody would read."""
    pieces, size = [], 0
    while (chunk := await reads.next()) is not None:
        pieces.append(chunk)
        if (size := size + len(chunk)) > HELD:
            return None
    return b"".join(pieces)
