"""The credentials that a request carried, to be cut out of whatever is told of it: some upstreams repeat them."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec

from ..config import Upstream
from ..config.query_rules import PLAIN_NAMES
from ..errors import UpstreamError
from ..hidden import HIDDEN, HiddenBytes
from ..http.asgi import RawHeaders
from ..http.headers import CREDENTIALS

LEAST = 4
"""Characters of the shortest value of a fixed header that is taken for a secret: ``1`` and ``on`` are none."""
SHORT = 8
"""Characters. A shorter secret is cut out only where it is a word of its own: it may be a syllable of many."""
PART = 16
"""So many first or last characters of a longer secret are as good as all of it: messages are cut short."""
MOST = 1000
"""Places from which one spelling is cut; what repeats it more often is no message."""

_SCHEMES = frozenset({b"basic", b"bearer", b"key", b"token"})
_TOKEN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-"
_REACH = 4096
"""Bytes on either side of a place that are looked at for the rest of a word."""
_RUN = re.compile(rb"[0-9A-Za-z._~-]{12,}")  # what no encoder changes (RFC 3986, 2.3), and long enough to be telling
_BASE64 = re.compile(rb"(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?")
_WORD = re.compile(rb"[0-9A-Za-z_]")


class _Needle(NamedTuple):
    """What is looked for, in lower case, and whether it is part of something longer that goes with it."""

    text: bytes
    part: bool


class Secrets:
    """What a request carried that no answer may repeat."""

    __slots__ = ("_texts",)

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._texts = tuple(dict.fromkeys(filter(None, texts)))

    @classmethod
    def sent(cls, upstream: Upstream, headers: RawHeaders) -> Secrets:
        """Those of a request to ``upstream`` with these headers: credentials, fixed values, the proxy's password."""
        varying = {name.lower().encode() for name in upstream.header_templates}
        fixed = {name.lower().encode() for name in upstream.headers} - varying
        if upstream.identity:
            fixed.add(upstream.identity_header.lower().encode())
        texts = [text for name, value in headers if name in CREDENTIALS for text in _of_credential(name, value)]
        written = [text for template in upstream.header_templates.values() for text in template.literals]
        texts += [text for literal in written for text in _of_fixed(literal.strip().encode())]
        texts += [text for name, value in headers if name in fixed - CREDENTIALS for text in _of_fixed(value)]
        asked = [value.encode() for name, value in upstream.query.items() if name.lower() not in PLAIN_NAMES]
        texts += [text for value in asked for text in _of_fixed(value)]
        return cls((*texts, *_of_proxy(upstream.proxy)))

    def cut_out_of(self, given: bytes) -> bytes | None:
        """``given`` with ``***`` in the place of each secret, however it is spelt; itself where it holds none.

        None where that would leave no whole JSON of what was some: then nothing of it is to be shown.
        """
        data, lowered = HiddenBytes(given), HiddenBytes(given.lower())
        places = sorted({place for text in self._texts for place in _places(data, lowered, text)})
        if not places:
            return given
        clean = _without(data, places)
        return clean if _is_json(clean) or not _is_json(data) else None

    def cut_out_of_cause(self, error: UpstreamError) -> None:
        """What operators are told of it repeats none: transports of hosts, and upstreams, say what they like."""
        if error.cause is not None and error.cause.message:
            message = self.cut_out_of(error.cause.message.encode())
            said = HIDDEN if message is None else message.decode("utf-8", "replace")
            error.cause = replace(error.cause, message=said)

    def __repr__(self) -> str:
        return f"<{len(self._texts)} secrets>"


def _of_credential(name: bytes, value: bytes) -> Iterator[bytes]:
    """Of a header its value without the scheme, and what that stands for; of cookies each value."""
    if name == b"cookie":
        yield from (pair.partition(b"=")[2].strip() for pair in value.split(b";"))
        return
    scheme, space, token = value.partition(b" ")
    yield token.strip() if space else value
    if scheme.lower() == b"basic":
        pair = _decoded(token)
        yield pair
        yield pair.partition(b":")[2]


def _of_fixed(value: bytes) -> Iterator[bytes]:
    if len(value) >= LEAST:
        yield value
        if value.partition(b" ")[0].lower() in _SCHEMES:
            yield from _of_credential(b"", value)


def _of_proxy(proxy: str | None) -> tuple[bytes, ...]:
    parts = urlsplit(proxy or "")
    if parts.password is None:
        return ()
    password = unquote(parts.password)
    pair = f"{unquote(parts.username or '')}:{password}".encode()
    return password.encode(), pair, base64.b64encode(pair)


def _decoded(token: bytes) -> bytes:
    return base64.b64decode(token) if _BASE64.fullmatch(token) else b""


def _places(data: bytes, lowered: bytes, secret: bytes) -> Iterator[tuple[int, int]]:
    for needle in dict.fromkeys(_needles(secret)):
        for start, end in _found(lowered, needle.text):
            if needle.part:
                before, after = data[max(0, start - _REACH) : start], data[end : end + _REACH]
                yield start - len(before) + len(before.rstrip(_TOKEN)), end + len(after) - len(after.lstrip(_TOKEN))
            elif len(needle.text) >= SHORT or _stands_alone(data, start, end):
                yield start, end


def _needles(secret: bytes) -> Iterator[_Needle]:
    for spelling in _spellings(secret):
        yield _Needle(spelling.lower(), part=False)
    if len(secret) <= PART:
        return
    yield _Needle(secret[:PART].lower(), part=True)
    yield _Needle(secret[-PART:].lower(), part=True)
    for run in _RUN.findall(secret):
        yield _Needle(run.lower(), part=False)
    for shift in range(3):
        # As base64 has it at each of the three places where a group may begin; its ends mix with what stands beside it.
        coded = base64.b64encode(b"\0" * shift + secret)[4 if shift else 0 : -4]
        yield _Needle(coded.lower(), part=True)
        yield _Needle(coded.translate(bytes.maketrans(b"+/", b"-_")).lower(), part=True)


def _spellings(secret: bytes) -> Iterator[bytes]:
    """As it is, and as messages, addresses and encoders write it."""
    text = secret.decode("latin-1")
    in_json = json.dumps(text)[1:-1]
    yield secret
    yield in_json.encode()
    yield in_json.replace("/", "\\/").encode()
    yield quote(secret).encode()
    yield quote(secret, safe="").encode()
    yield html.escape(text).encode()
    yield b"".join([b"%%%02x" % code for code in secret])
    yield b"".join([b"\\u00%02x" % code for code in secret])
    yield b"\0".join([bytes((code,)) for code in secret])  # two bytes a character


def _found(data: bytes, wanted: bytes) -> Iterator[tuple[int, int]]:
    start = data.find(wanted)
    for _ in range(MOST):
        if start < 0:
            return
        yield start, start + len(wanted)
        start = data.find(wanted, start + len(wanted))
    if start >= 0:
        yield start, len(data)


def _stands_alone(data: bytes, start: int, end: int) -> bool:
    return not (_WORD.match(data[max(0, start - 1) : start]) or _WORD.match(data[end : end + 1]))


def _without(data: bytes, places: Iterable[tuple[int, int]]) -> bytes:
    pieces: list[bytes] = []
    at = 0
    for start, end in places:
        if start >= at:
            pieces += (data[at:start], HIDDEN.encode())
        at = max(at, end)
    return b"".join((*pieces, data[at:]))


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
