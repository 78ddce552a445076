"""Which headers cross the gateway, each way. Both ways it is an allow-list; everything else stays behind."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from urllib.parse import quote, unquote_to_bytes

from ..errors import InvalidRequest
from ..hidden import HiddenBytes, HiddenDict
from .asgi import NamedHeaders, RawHeaders

RESPONSE_NAMES = frozenset(
    b"""accept-ranges apim-request-id cache-control content-encoding content-language content-range etag expires
    last-modified retry-after retry-after-ms x-ms-region x-request-id x-should-retry""".split()
)
"""Beside ``content-type`` and ``content-disposition``, which are looked into."""
FIGURES = b"x-ratelimit-"
"""How the names of OpenAI's headers of limits begin."""
OTHERS = (b"openai-",)
RESPONSE_PREFIXES = (*OTHERS, FIGURES)
OPERATORS = frozenset({b"openai-organization", b"openai-project"})
"""They name whose account is charged, which is no caller's business."""

PRIVATE = (b"cache-control", b"private")
VARY = (b"vary", b"authorization, cookie, api-key, x-api-key")
"""What an answer here depends on beside its address: who asks."""
_DIRECTIVE = re.compile(rb'(?:[^,"]|"[^"]*")+')
_SHARED = frozenset({b"public", b"s-maxage", b"proxy-revalidate", b"private"})

_ASKS_IN_BROWSERS = re.compile(rb"(?:^|,)\s*(?:basic|digest|negotiate|ntlm)\b", re.IGNORECASE)

SAFE_TYPES = frozenset(
    b"""application/json application/jsonl application/octet-stream application/sdp application/x-jsonlines
    application/x-ndjson application/x-subrip application/zip image/gif image/jpeg image/png image/webp
    text/csv text/event-stream text/plain text/vtt""".split()
)
EVENT_STREAM = b"text/event-stream"
_PLAIN_TYPES = frozenset({b"application/json", EVENT_STREAM})
_UTF_8 = (b"utf-8", b"utf8")
_READ_ALIKE = re.compile(rb"application/json(?:[ \t]*;[ \t]*charset=utf-8)?", re.IGNORECASE)
SAFE_FAMILIES = (b"audio/", b"video/")

_UNSAFE_IN_FILENAME = re.compile(r"[^\w .()\[\]+-]|\.\.")
_FILENAME = re.compile(rb'filename="([^"]*)"|filename=([^;\s"]+)', re.IGNORECASE)
_EXTENDED_FILENAME = re.compile(rb"filename\*=utf-8'[^';\s]*'([^;\s\"]+)", re.IGNORECASE)

LONGEST_VALUE = 4_096
"""Bytes of a header of an upstream's that is read, or passed on: a hundred longer ones would keep a server busy."""


class AllowList:
    """Names of request headers that may go upstream; a trailing ``*`` stands for a prefix."""

    def __init__(self, names: Iterable[str]) -> None:
        lowered = [name.lower().encode("ascii") for name in names]
        self._names = frozenset(name for name in lowered if not name.endswith(b"*"))
        self._prefixes = tuple(name[:-1] for name in lowered if name.endswith(b"*"))

    def select(self, headers: RawHeaders, named: NamedHeaders) -> RawHeaders:
        """The headers that may cross, without those the client's own ``Connection`` names (RFC 9110, 7.6.1)."""
        names, prefixes = self._names, self._prefixes
        chosen = [pair for pair in headers if pair[0] in names or pair[0].startswith(prefixes)]
        if b"connection" not in named:
            return chosen
        nominated = _nominated(headers)
        return [pair for pair in chosen if pair[0] not in nominated]


def _nominated(headers: RawHeaders) -> frozenset[bytes]:
    values = [value for name, value in headers if name == b"connection"]
    named = frozenset(token.strip().lower() for value in values for token in value.split(b","))
    return named - {b"content-type"}  # the type was checked, so it is sent: without it the upstream would have to guess


CREDENTIALS = frozenset({b"authorization", b"api-key", b"x-api-key", b"cookie", b"proxy-authorization"})
"""Headers that are secret whoever gave them: the gateway's key, a token of the host's, the caller's own."""


def named_headers(headers: RawHeaders) -> NamedHeaders:
    named = HiddenDict(reversed(headers))
    if not CREDENTIALS.isdisjoint(named):
        for name in named.keys() & CREDENTIALS:
            named[name] = HiddenBytes(named[name])
    return named


def refuse_ambiguous(headers: RawHeaders, named: NamedHeaders) -> None:
    """Framing and type must have one reading. Servers let the pairs below through; upstreams differ on them."""
    if len(named) == len(headers) and not (b"content-length" in named and b"transfer-encoding" in named):
        return
    names = [name for name, _ in headers]
    if names.count(b"content-length") + names.count(b"transfer-encoding") > 1:
        raise InvalidRequest(
            "The request has more than one framing header; send one `Content-Length` or `Transfer-Encoding`.",
            param="content-length",
            code="ambiguous_framing",
        )
    if names.count(b"content-type") > 1:
        raise InvalidRequest(
            "The request has more than one Content-Type; send one.", param="content-type", code="invalid_header"
        )


def response_headers(
    headers: RawHeaders, named: NamedHeaders, *, prefixes: tuple[bytes, ...] = RESPONSE_PREFIXES
) -> RawHeaders:
    """What of an upstream's headers reaches the client, with risky content made harmless; names are lower-case.

    Framing is ours to set; ``x-content-type-options: nosniff`` is always added. Of several content types the first
    counts, for it is what was acted on; browsers would take the last.
    """
    kept: RawHeaders = [(b"x-content-type-options", b"nosniff")]
    kept += [pair for pair in headers if pair[0] in RESPONSE_NAMES or pair[0].startswith(prefixes)]
    if not OPERATORS.isdisjoint(named):
        kept = [pair for pair in kept if pair[0] not in OPERATORS]
    if b"cache-control" in named:
        kept = [pair for pair in kept if pair[0] != b"cache-control"]
        kept.append((b"cache-control", _for_one_user([value for name, value in headers if name == b"cache-control"])))
    disposition = named.get(b"content-disposition")
    if disposition is not None:
        disposition = _harmless_disposition(disposition)
    kind = named.get(b"content-type")
    if kind is not None:
        if not is_safe_type(kind):
            kind, disposition = b"application/octet-stream", disposition or b"attachment"
        kept.append((b"content-type", kind))
    if disposition is not None:
        kept.append((b"content-disposition", disposition))
    return kept


def challenges(headers: RawHeaders) -> RawHeaders:
    """An upstream's own challenge to the caller's own credential (RFC 9110, 11.6.1), as one header.

    None of those that make a browser ask for a password: on the host's origin that is not the upstream's to do.
    """
    values = [value for name, value in headers if name == b"www-authenticate" and not _ASKS_IN_BROWSERS.search(value)]
    return [(b"www-authenticate", b", ".join(values))] if values else []


def for_one_user(names: Container[bytes]) -> RawHeaders:
    """What keeps an answer with headers of these names from another user: caches that many share must not have it."""
    missing = [VARY] if b"vary" not in names else []
    return missing if b"cache-control" in names else [*missing, PRIVATE]


def _for_one_user(values: Iterable[bytes]) -> bytes:
    """Directives (RFC 9111, 5.2.2) but for those that open an answer to caches that many share."""
    given = [part.strip() for value in values for part in _DIRECTIVE.findall(value)]
    kept = [part for part in given if part and part.partition(b"=")[0].strip().lower() not in _SHARED]
    return b", ".join([b"private", *kept])


def media_type(value: bytes) -> bytes:
    return value if value in _PLAIN_TYPES else value.partition(b";")[0].strip().lower()


def is_utf_8(value: bytes) -> bool:
    """Whether a content type names no character set but UTF-8, however its parameters are written."""
    for parameter in value.split(b";")[1:]:
        name, _, charset = parameter.partition(b"=")
        if name.strip().lower().startswith(b"charset") and charset.strip().strip(b"\"'").lower() not in _UTF_8:
            return False
    return True


def as_checked(value: bytes, kind: bytes) -> bytes:
    """A content type of this kind as it may go on: as it was sent where all read it alike, else the kind alone."""
    return value if value == kind or _READ_ALIKE.fullmatch(value) else kind


def is_safe_type(value: bytes) -> bool:
    """Whether a browser may be handed this content type as it is, on the host's own origin."""
    kind = media_type(value)
    return kind in SAFE_TYPES or kind.startswith(SAFE_FAMILIES)


def _harmless_disposition(value: bytes) -> bytes:
    """Always a download, under a name without path, quotes or controls (RFC 6266; in other letters, RFC 8187)."""
    if (found := _EXTENDED_FILENAME.search(value)) is not None:
        given = unquote_to_bytes(found[1])
    elif (found := _FILENAME.search(value)) is not None:
        given = found[1] or found[2] or b""
    else:
        return b"attachment"
    name = given.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
    name = _UNSAFE_IN_FILENAME.sub("_", name).strip(" .")
    if not name:
        return b"attachment"
    plain = b'attachment; filename="%b"' % name.encode("ascii", "replace").replace(b"?", b"_")
    return plain if name.isascii() else plain + b"; filename*=UTF-8''" + quote(name, safe="").encode()
