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
"""Names of headers that are remembered."""
_LARGE = 1024 * 1024  # bytes of a body that is written as the upstream takes it: asyncio would copy all of it, twice
_known_names: set[bytes] = set()
"""Lower-case names that have been looked at."""


class Outgoing(NamedTuple):
    """A request ready for the wire."""

    head: bytes
    body: Sequence[bytes] | None
    """The whole body, in pieces, or None for one that is streamed."""
    length: int | None
    """Of a streamed body, in bytes; None means chunked."""

    def __repr__(self) -> str:
        return f"<a head of {len(self.head)} bytes and its body>"


def outgoing(request: httpx.Request, *, origin: bytes = b"", extra: Fields = ()) -> Outgoing:
    """Serialise ``request``: its target from ``extensions["target"]``, else from its URL, and its headers as given.

    ``origin`` goes before the target (a plain proxy wants the absolute form) and ``extra`` fields after the headers.
    Raises ``httpx.LocalProtocolError`` for a method, target or field that would not arrive as one, and for framing
    headers that contradict the body.
    """
    made = _made(request, origin, extra)
    if isinstance(made, str):
        # Raised here and nowhere below: there the local variables hold the credential.
        raise httpx.LocalProtocolError(made)
    return made


def _made(request: httpx.Request, origin: bytes, extra: Fields) -> Outgoing | str:
    """The request, or what is wrong with it."""
    target = request.extensions.get("target") or request.url.raw_path
    if _NOT_IN_TARGET.search(target):
        return "The request target holds a space or a control character."
    method = _method(request.method)
    if not method:
        return "The request method is not a token."
    fields = [*request.headers.raw, *extra]
    named = _by_name(fields)
    if isinstance(named, str):
        return named
    framed = _framing(request, named)
    if isinstance(framed, str):
        return framed
    body, length, framing = framed
    lines = [b"%b %b%b HTTP/1.1" % (method, origin, target)]
    if b"host" not in named:
        lines.append(b"Host: " + request.url.netloc)
    lines += map(_as_line, fields)
    if framing:
        lines.append(framing)
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\r") != breaks or head.count(b"\n") != breaks or b"\0" in head:
        return "A request header holds a line break or a NUL."
    return Outgoing(head + b"\r\n\r\n", body, length)


def _by_name(fields: Fields) -> dict[bytes, bytes] | str:
    """The fields by their lower-case names, each of which is a token; those that govern the framing stand once."""
    named = dict(fields)
    if len(named) == len(fields) and _known_names.issuperset(named):
        return named
    names = [name.lower() for name, _ in fields]
    for name in names:
        if not name or name.translate(None, _TOKEN):
            return "A request header has a name that is not a token."
        if len(name) <= _USUAL:
            _known_names.add(name)
    if len(_known_names) > _MOST_KNOWN:  # whoever sends ever new ones does not keep out those of others
        _known_names.clear()
    if any(names.count(name) > 1 for name in _GOVERNED):
        return "A header that may stand once stands twice."
    return dict(zip(names, [value for _, value in fields], strict=True))


Framed = tuple[Sequence[bytes] | None, int | None, bytes]
"""The whole body, or the length of a streamed one, and the framing field that is missing."""


def _framing(request: httpx.Request, named: dict[bytes, bytes]) -> Framed | str:
    declared = named.get(b"content-length")
    coding = named.get(b"transfer-encoding")
    if declared is not None and (coding is not None or not declared.isdigit()):
        return "The framing headers of the request contradict each other."
    if isinstance(request.stream, httpx.ByteStream | Body):
        body = list(request.stream)
        size = sum(map(len, body))
        if coding is not None or (declared is not None and int(declared) != size):
            return "The framing headers of the request contradict its body."
        needed = declared is None and (size or request.method in _SENDS_CONTENT)
        framing = b"Content-Length: %d" % size if needed else b""
        return (None, size, framing) if size > _LARGE else (body, None, framing)
    if declared is not None:
        return None, int(declared), b""
    if coding is not None and coding.lower() != b"chunked":
        return "The only transfer coding of a request is chunked."
    return None, None, b"" if coding else b"Transfer-Encoding: chunked"


@functools.lru_cache(maxsize=32)
def _method(method: str) -> bytes:
    """Empty where it is no token."""
    encoded = method.encode()
    return b"" if encoded.translate(None, _TOKEN) else encoded
