"""Whether an answer in JSON that has come to its end is one, and tells of no failure."""

from __future__ import annotations

import re

import msgspec

from ..errors import UpstreamError, UpstreamUnavailable
from ..exchange import Exchange
from ..http.asgi import JSON
from ..upstream.inflate import inflated
from .endings import CHAT
from .plain_answer import plain_answer
from .refusal import refused_inside
from .upstream_errors import error_in_json

HELD = 1024 * 1024
"""Bytes of JSON that are held: a chat has some kilobytes, and some hundred embeddings fit as well."""
JUDGED = 4 * 1024 * 1024
"""Bytes of JSON that are read to see whether it is whole; of what is longer only the end is looked at."""
_ENDS = 64
"""Bytes of it."""

_OTHER = re.compile(rb"\s*+(?:\xef\xbb\xbf)?\s*+(?:(<(?:!doctype\s|html))|(?:data|event|error)?:)", re.IGNORECASE)
_HALF_NUMBER = re.compile(rb"(?:-|[0-9](?:\.|[eE][+-]?))\Z")

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def empty() -> UpstreamUnavailable:
    return UpstreamUnavailable("The upstream's answer was empty.")


def cut_short() -> UpstreamUnavailable:
    return UpstreamUnavailable("The upstream's answer was cut short.")


def is_json(kind: bytes) -> bool:
    return kind == JSON or kind.endswith(b"+json") or kind == b"text/json"


def judge(exchange: Exchange, body: bytes, *, coding: bytes | None, is_named_json: bool) -> bytes | None:
    """Raises where the answer is a failure, or none. Gives what it holds where it came in a ``coding``: None of one
    that cannot be read here, or came in none."""
    opened = None
    if coding is not None:
        if (opened := inflated(body, coding, HELD)) is None:
            return None
        if not opened:
            raise cut_short()
        body = opened
    if (plain := plain_answer(body)) is not None:
        exchange.usage_told = plain.usage
        return opened
    has_choices = exchange.upstream_match.endpoint.operation in CHAT
    if (said := error_in_json(body, has_choices=has_choices)) is not None:
        exchange.unsent = body
        raise refused_inside(said, exchange.upstream)
    if is_named_json:
        judge_syntax(body)
    return opened


def refuse_page(body: bytes) -> None:
    """Raises for a body that begins as a page does, whatever it is called."""
    if (other := _OTHER.match(body)) is not None and other[1]:
        raise UpstreamError("The upstream answered with a page instead of what was asked for.")


def refuse_stored(exchange: Exchange, body: bytes) -> None:
    """Raises for an error in place of a stored object, or a list of them. What has an id may have an error as well."""
    if b'"id"' in body or plain_answer(body) is not None:
        return
    if (said := error_in_json(body, has_choices=False)) is not None:
        raise refused_inside(said, exchange.upstream)


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
        if "truncated" in str(error) or _HALF_NUMBER.search(body, max(0, len(body) - _ENDS)) is not None:
            raise cut_short() from None
        if (other := _OTHER.match(body)) is not None:
            instead = "a page" if other[1] else "a stream"
            raise UpstreamError(f"The upstream answered with {instead} instead of JSON.") from None
    except RecursionError:
        return
