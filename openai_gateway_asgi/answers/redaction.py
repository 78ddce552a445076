"""What an upstream says when it fails, without the credentials that it was sent: some repeat them."""

from __future__ import annotations

import re

from ..errors import UpstreamError, UpstreamRefused
from ..http.asgi import JSON
from ..http.sse import first_data
from ..upstream.sent_secrets import Secrets

_BOUNDARY = re.compile(rb"(\r\n\r\n|\n\n|\r\r)")
_ERROR = re.compile(rb"^(?:event: ?error\r?$|error:)|\"error\"|\"response\.failed\"", re.MULTILINE)

_REPLACED = UpstreamError("The upstream refused this call.")


def without_secrets(error: UpstreamError, secrets: Secrets) -> UpstreamError:
    """What an upstream failed with, as clients and operators may have it: the same one where it repeats nothing."""
    secrets.cut_out_of_cause(error)
    return _clean(error, secrets) if isinstance(error, UpstreamRefused) else error


def _clean(refused: UpstreamRefused, secrets: Secrets) -> UpstreamRefused:
    body = refused.body()
    clean = secrets.cut_out_of(body)
    headers = tuple([pair for pair in refused.headers if secrets.cut_out_of(pair[1]) is pair[1]])
    if clean is body and len(headers) == len(refused.headers):
        return refused
    if clean is None:
        return refused.with_body(headers, _REPLACED.body(), content_type=JSON)
    return refused.with_body(headers, clean, content_type=refused.content_type)


def events_without_secrets(events: bytes, secrets: Secrets) -> bytes:
    """Whole events, those that tell of an error cut clean. What a model writes stays as it is."""
    if secrets.cut_out_of(events) is events:
        return events
    return b"".join([_clean_event(piece, secrets) for piece in _BOUNDARY.split(events)])


def _clean_event(event: bytes, secrets: Secrets) -> bytes:
    if not _ERROR.search(event):
        return event
    clean = secrets.cut_out_of(event)
    if clean is None or secrets.cut_out_of(first_data(event)) is None:
        return b"event: error\ndata: " + _REPLACED.body()
    return clean
