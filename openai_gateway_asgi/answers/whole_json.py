"""Whether an answer that has come to its end is a whole one, where it calls itself JSON."""

from __future__ import annotations

import re

import msgspec

from ..errors import UpstreamError, UpstreamUnavailable
from ..http.asgi import JSON

JUDGED = 4 * 1024 * 1024
"""Bytes of JSON that are read to see whether it is whole; of what is longer only the end is looked at."""
_ENDS = 64
"""Bytes of it."""

_OTHER = re.compile(rb"\s*+(?:\xef\xbb\xbf)?\s*+(?:(<(?:!doctype\s|html))|(?:data|event|error)?:)", re.IGNORECASE)

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def empty() -> UpstreamUnavailable:
    return UpstreamUnavailable("The upstream's answer was empty.")


def cut_short() -> UpstreamUnavailable:
    return UpstreamUnavailable("The upstream's answer was cut short.")


def is_json(kind: bytes) -> bool:
    return kind == JSON or kind.endswith(b"+json") or kind == b"text/json"


def judge_syntax(body: bytes) -> None:
    """Raises for JSON that ends in its middle, although its framing is in order, and for a page or a stream of events
    under its name. What else is no JSON is not ours to mend."""
    if len(body) > JUDGED:
        if body[:1] in (b"{", b"[") and body[-_ENDS:].rstrip()[-1:] not in (b"}", b"]"):
            raise cut_short()
        return
    try:
        _decode_raw(body)
    except msgspec.DecodeError as error:
        if "truncated" in str(error):
            raise cut_short() from None
        if (other := _OTHER.match(body)) is not None:
            instead = "a page" if other[1] else "a stream"
            raise UpstreamError(f"The upstream answered with {instead} instead of JSON.") from None
    except RecursionError:
        return
