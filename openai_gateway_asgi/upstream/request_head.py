"""The bytes of an HTTP/1.1 request head, exactly as the caller spelt it (RFC 9112 sections 2 to 6).

Nothing is added but ``Host`` and the framing where they are missing, nothing is encoded again, and whatever could be
read as more than one request is refused before anything is sent.
"""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Sequence
from typing import NamedTuple

import httpx

from .request_body import Body

_TOKEN = b"!#$%&'*+-.^_`|~" + (string.digits + string.ascii_letters).encode()  # RFC 9110, 5.6.2
_NOT_IN_TARGET = re.compile(rb"[\x00-\x20\x7f]")
_SENDS_CONTENT = frozenset({"POST", "PUT", "PATCH"})
_GOVERNED = frozenset({b"host", b"content-length", b"transfer-encoding"})

Fields = Sequence[tuple[bytes, bytes]]

_as_line = b": ".join

_USUAL = 64  # bytes of a name that is worth remembering: clients choose some of them
_MOST_KNOWN = 512
_known_names: set[bytes] = set()
"""Lower-case names that have been looked at."""


class Outgoing(NamedTuple):
    """A request ready for the wire."""

    head: bytes
    body: Sequence[bytes] | None
    """The whole body, in pieces, or None for one that is streamed."""
    length: int | None
    """Of a streamed body, in bytes; None means chunked."""


def outgoing(request: httpx.Request, *, origin: bytes = b"", extra: Fields = ()) -> Outgoing:
    """Serialise ``request``: its target from ``extensions["target"]``, else from its URL, and its headers as given.

    ``origin`` goes before the target (a plain proxy wants the absolute form) and ``extra`` fields after the headers.
    Raises ``httpx.LocalProtocolError`` for a method, target or field that would not arrive as one, and for framing
    headers that contradict the body.
    """
    target = request.extensions.get("target") or request.url.raw_path
    if _NOT_IN_TARGET.search(target):
        raise httpx.LocalProtocolError("The request target holds a space or a control character.")
    fields = [*request.headers.raw, *extra]
    named = _by_name(fields)
    lines = [b"%b %b%b HTTP/1.1" % (_method(request.method), origin, target)]
    if b"host" not in named:
        lines.append(b"Host: " + request.url.netloc)
    lines += map(_as_line, fields)
    body, length, framing = _framing(request, named)
    if framing:
        lines.append(framing)
    return Outgoing(_joined(lines), body, length)


def _by_name(fields: Fields) -> dict[bytes, bytes]:
    """The fields by their lower-case names, each of which is a token; those that govern the framing stand once."""
    named = dict(fields)
    if len(named) == len(fields) and _known_names.issuperset(named):
        return named
    names = [name.lower() for name, _ in fields]
    for name in names:
        if not name or name.translate(None, _TOKEN):
            raise httpx.LocalProtocolError("A request header has a name that is not a token.")
        if len(name) <= _USUAL:
            _known_names.add(name)
    if len(_known_names) > _MOST_KNOWN:  # whoever sends ever new ones does not keep out those of others
        _known_names.clear()
    if any(names.count(name) > 1 for name in _GOVERNED):
        raise httpx.LocalProtocolError("A header that may stand once stands twice.")
    return dict(zip(names, [value for _, value in fields], strict=True))


def _framing(request: httpx.Request, named: dict[bytes, bytes]) -> tuple[Sequence[bytes] | None, int | None, bytes]:
    """The whole body, or the length of a streamed one, and the framing field that is missing."""
    declared = named.get(b"content-length")
    coding = named.get(b"transfer-encoding")
    if declared is not None and (coding is not None or not declared.isdigit()):
        raise httpx.LocalProtocolError("The framing headers of the request contradict each other.")
    if isinstance(request.stream, httpx.ByteStream | Body):
        body = list(request.stream)
        size = sum(map(len, body))
        if coding is not None or (declared is not None and int(declared) != size):
            raise httpx.LocalProtocolError("The framing headers of the request contradict its body.")
        needed = declared is None and (size or request.method in _SENDS_CONTENT)
        return body, None, b"Content-Length: %d" % size if needed else b""
    if declared is not None:
        return None, int(declared), b""
    if coding is not None and coding.lower() != b"chunked":
        raise httpx.LocalProtocolError("The only transfer coding of a request is chunked.")
    return None, None, b"" if coding else b"Transfer-Encoding: chunked"


def _joined(lines: list[bytes]) -> bytes:
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\r") != breaks or head.count(b"\n") != breaks or b"\0" in head:
        raise httpx.LocalProtocolError("A request header holds a line break or a NUL.")
    return head + b"\r\n\r\n"


@functools.lru_cache(maxsize=32)
def _method(method: str) -> bytes:
    encoded = method.encode()
    if not encoded or encoded.translate(None, _TOKEN):
        raise httpx.LocalProtocolError("The request method is not a token.")
    return encoded
