"""One canonical path per request, which feeds routing, access and the upstream URL alike.

A path is accepted only where every decoder an upstream may use reads the same segments from it (RFC 3986, 3.3); what
could be read in two ways is refused, never repaired. A trailing slash is an unknown path, as at OpenAI: with an empty
object id, ``/files/{id}`` must not become the list of all files.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from ..errors import InvalidRequest, NotFound
from .asgi import Scope

SAFE = "!$&'()*+,=:@"
"""``pchar`` of RFC 3986 beyond the unreserved characters; without ``;``, which some servers cut a segment at."""

MAX_LENGTH = 4096
"""Characters of a path, decoded; beyond any id, and decoding costs time before anyone has been authenticated."""

USUAL = 256
"""Bytes of a path that is worth remembering; longer ones only fill the memory."""

# The usual case, told in one pass: segments that decode and quote to themselves and, without a dot in front, are no
# dot segments. Not possessive (CPython before 3.11.5 then takes what does not match), nor need it be.
_PLAIN = re.compile(r"(?:/(?!\.)[A-Za-z0-9\-._~!$&'()*+,=:@]+)+")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# ? and # end the path, ; and \ and % are read again by lenient decoders, U+FFFD is what invalid UTF-8 leaves behind.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\;%?#\ufffd]")


@dataclass(frozen=True, slots=True)
class RoutePath:
    """The path below the mount, without a leading ``v1``: decoded segments.

    A segment holds ``/`` only where the client sent ``%2F``; its parts are as clean as segments are.
    """

    segments: tuple[str, ...]


def route_path(scope: Scope) -> RoutePath:
    """The canonical path of a request, from the path fields of its ASGI scope alone; ``Host`` has no say.

    Raises ``InvalidRequest`` (``invalid_path``) for a path that is too long or can be read in two ways, ``NotFound``
    for a trailing slash.
    """
    path: str = scope["path"]
    if len(path) > MAX_LENGTH:
        raise _invalid(f"it is longer than {MAX_LENGTH} characters")
    raw: bytes | None = scope.get("raw_path")
    read = _known_path if raw is None or len(raw) <= USUAL else _route_path
    return read(path, raw, scope.get("root_path", ""), scope.get("app_root_path", ""))


def _route_path(path: str, raw: bytes | None, root: str, proxy: str) -> RoutePath:
    mount = _mount(path, root.rstrip("/"), proxy.rstrip("/"))
    below = path[len(mount) :]
    if (raw is None or b"%" not in raw) and _PLAIN.fullmatch(below):
        return RoutePath(without_version(tuple(below[1:].split("/"))))
    return RoutePath(without_version(_decode_below(_encoded(path, raw), mount)))


_known_path = functools.lru_cache(maxsize=256)(_route_path)


def segments_as_sent(scope: Scope) -> list[bytes]:
    """The encoded segments below the mount, as they came: for what the gateway looks up itself and never forwards.

    There are none in a path that is too long, or not below the mount.
    """
    path: str = scope["path"]
    if len(path) > MAX_LENGTH:
        return []
    mount = _mount(path, scope.get("root_path", "").rstrip("/"), scope.get("app_root_path", "").rstrip("/"))
    return _below(_encoded(path, scope.get("raw_path")), mount) or []


def without_version(segments: tuple[str, ...]) -> tuple[str, ...]:
    """The segments after one leading ``v1``, where there is one."""
    return segments[1:] if segments and segments[0] == "v1" else segments


def quote_segment(value: str) -> str:
    """A decoded value as one segment of an upstream path; a slash in it becomes ``%2F``."""
    return quote(value, safe=SAFE)


def _mount(path: str, root: str, proxy: str) -> str:
    """Where the gateway is mounted, as a prefix of ``path``; empty where the path comes without it.

    Behind a proxy that strips its own prefix, ``root_path`` names that prefix and ``path`` does not; Starlette keeps
    it in ``app_root_path``.
    """
    if _is_below(path, root):
        return root
    inner = root[len(proxy) :] if _is_below(root, proxy) else ""
    return inner if _is_below(path, inner) else ""


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


def _encoded(path: str, raw: bytes | None) -> bytes:
    """The path in its encoded form.

    ``raw_path`` counts only while it says the same as ``path``: a middleware that rewrites one and forgets the other
    means what it wrote, and the host's own guards have looked at ``path``.
    """
    if raw is not None:
        encoded = raw.partition(b"?")[0]
        if _read(encoded) == path:
            return encoded
    try:
        return quote(path).encode()
    except UnicodeEncodeError as error:
        raise _invalid("it is not valid UTF-8") from error


def _read(encoded: bytes) -> str:
    """What servers put into ``path`` for these bytes."""
    return unquote_to_bytes(encoded).decode(errors="replace")


def _decode_below(encoded: bytes, mount: str) -> tuple[str, ...]:
    """The decoded segments after the mount."""
    below = _below(encoded, mount)
    if below is None:
        raise _invalid("it must start with a single slash, below the mount")
    if below in ([], [b""]):
        return ()
    trailing = below[-1] == b""
    decoded = tuple(_decode(segment) for segment in (below[:-1] if trailing else below))
    if trailing:
        raise NotFound("The paths of the OpenAI API do not end in a slash.")
    return decoded


def _below(encoded: bytes, mount: str) -> list[bytes] | None:
    """The segments after the mount, None where it is not there. It is cut off by segments: escapes change lengths."""
    segments = encoded.split(b"/")
    depth = mount.count("/") + 1
    return segments[depth:] if _read(b"/".join(segments[:depth])) == mount else None


def _decode(segment: bytes) -> str:
    if _BROKEN_ESCAPE.search(segment):
        raise _invalid("a percent sign must be followed by two hexadecimal digits")
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError as error:
        raise _invalid("it is not valid UTF-8") from error
    if _FORBIDDEN.search(text):
        raise _invalid("control characters, backslashes and encoded delimiters have no place in it")
    for part in text.split("/"):
        if part in ("", ".", ".."):
            raise _invalid("empty segments and dot segments have no place in it")
        if part != part.strip():
            raise _invalid("a segment must not start or end with white space")
    return text


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The path of this request is not valid: {reason}.", code="invalid_path")
