"""What the header lines say: the boundary of a body, and the name, file name and type of a part."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from ...errors import InvalidRequest, UnsupportedMediaType

MAX_HEADERS = 16
"""Header lines of one part."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Beyond a token, an unquoted value may hold what boundaries and file names have had unquoted for decades.
_VALUE = r"[!#$%&'()*+./:=?^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'[ \t]*;[ \t]*({_WORD})=(?:"((?:[^"\\]|\\.)*)"|({_VALUE}))')
_LINE = re.compile(rf"({_WORD}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_TYPE = re.compile(rf"{_WORD}/{_WORD}")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_EXTENDED = re.compile(r"utf-8'[A-Za-z0-9-]*'((?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*)", re.IGNORECASE)
_NAME = re.compile(r'[^";\\]{1,256}')
_CLEAN = re.compile(r"[^\x00-\x1f\x7f]*")
_ESCAPED = re.compile(r"\\([\"\\])")

_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii"})
# A field was read as UTF-8, so that is what its type may say; of any other parameters readers make what they like.
_READ_ALIKE = re.compile(rf"{_WORD}/{_WORD}(?:[ \t]*;[ \t]*charset=(?:utf-8|\"utf-8\"))?", re.IGNORECASE)
_IDENTITY_ENCODINGS = ("7bit", "8bit", "binary")


@dataclass(frozen=True, slots=True)
class Part:
    """The head of one part. ``content_type`` is empty where the part had none that could be passed on."""

    name: str
    filename: str | None = None
    content_type: str = ""

    @property
    def is_file(self) -> bool:
        """An empty file name makes a file as well: it is what a browser sends where none was chosen."""
        return self.filename is not None


def malformed(problem: str) -> InvalidRequest:
    return InvalidRequest(f"The multipart body cannot be read: {problem}.", code="invalid_multipart")


def boundary_of(content_type: bytes) -> bytes:
    """The boundary that the request's ``Content-Type`` names (RFC 2046, 5.1.1).

    Raises ``UnsupportedMediaType`` for another type and ``InvalidRequest`` for a boundary that is missing or wrong.
    """
    kind, _, _ = content_type.partition(b";")
    if kind.strip().lower() != b"multipart/form-data":
        raise UnsupportedMediaType(
            "Send the request body as `Content-Type: multipart/form-data`.", param="content-type"
        )
    parameters = _parameters(content_type.decode("latin-1").rstrip(), len(kind))
    boundary = parameters.get("boundary")
    if boundary is None or any("*" in name for name in parameters):
        raise malformed("its Content-Type must name one boundary, plainly")
    if not _BOUNDARY.fullmatch(boundary):
        raise malformed("its boundary must be 1 to 70 of the characters that RFC 2046 allows")
    return boundary.encode("ascii")


def parse_part(block: bytes) -> Part:
    """The head of a part from its header lines, without the empty line after them.

    Headers other than the three that RFC 7578 knows are read and left behind. Raises ``InvalidRequest``.
    """
    headers = _headers(block)
    disposition = headers.get("content-disposition")
    if disposition is None:
        raise malformed("a part has no Content-Disposition")
    encoding = headers.get("content-transfer-encoding", "binary")
    if encoding.lower() not in _IDENTITY_ENCODINGS:
        raise malformed("a part has a Content-Transfer-Encoding other than binary, 8bit or 7bit")
    name, filename = _names(disposition)
    return Part(name, filename, _content_type(headers.get("content-type", ""), is_file=filename is not None))


def _headers(block: bytes) -> dict[str, str]:
    try:
        lines = block.decode().split("\r\n")
    except UnicodeDecodeError as error:
        raise malformed("a part's headers are not UTF-8") from error
    if len(lines) > MAX_HEADERS:
        raise malformed(f"a part has more than {MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        matched = _LINE.fullmatch(line)
        if matched is None:
            folded = line.startswith((" ", "\t"))
            raise malformed("a part has a folded header line" if folded else "a part has a bad header line")
        name = matched[1].lower()
        if name in headers:
            raise malformed("a part has the same header twice")
        headers[name] = matched[2].strip()
    return headers


def _names(disposition: str) -> tuple[str, str | None]:
    kind, _, _ = disposition.partition(";")
    if kind.strip().lower() != "form-data":
        raise malformed("a part's Content-Disposition is not form-data")
    parameters = _parameters(disposition, len(kind))
    # .NET's client sends ``filename*`` beside a mangled ``filename``, though RFC 7578, 4.2 forbids it.
    extended = parameters.pop("filename*", None)
    if any("*" in name for name in parameters):
        raise malformed("a part's Content-Disposition has an extended parameter other than filename*")
    name, filename = parameters.get("name", ""), parameters.get("filename")
    if extended is not None:
        filename = _extended(extended)
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise malformed(
            "a part's name must be 1 to 256 printable characters without quotes, semicolons and backslashes"
        )
    if filename is not None and not _CLEAN.fullmatch(filename):
        raise malformed("a part's file name has control characters")
    return name, filename


def _extended(value: str) -> str:
    """A value in the coding of RFC 8187."""
    matched = _EXTENDED.fullmatch(value)
    if matched is not None:
        with contextlib.suppress(UnicodeDecodeError):
            return unquote_to_bytes(matched[1]).decode()
    raise malformed("a part's filename* is not UTF-8 in the coding of RFC 8187")


def _content_type(value: str, *, is_file: bool) -> str:
    matched = _TYPE.match(value) if value.isascii() else None
    if matched is None:
        return ""
    if matched[0].lower().startswith(("multipart/", "message/")):
        raise malformed("a part holds parts of its own")
    try:
        parameters = _parameters(value, matched.end())
    except InvalidRequest:
        return ""
    if is_file:
        return value
    extended = any(name.startswith("charset*") for name in parameters)
    if extended or parameters.get("charset", "utf-8").lower() not in _UTF_8:
        raise malformed("a field is in a character set other than UTF-8")
    return value if _READ_ALIKE.fullmatch(value) else matched[0]


def _parameters(value: str, start: int) -> dict[str, str]:
    """What stands behind the semicolons from ``start`` on, by lower-case name; quotes are taken off."""
    parameters: dict[str, str] = {}
    while start < len(value):
        matched = _PARAMETER.match(value, start)
        if matched is None:
            raise malformed('a header has a parameter that is not of the form name=value or name="value"')
        name, quoted, plain = matched[1].lower(), matched[2], matched[3]
        if name in parameters:
            raise malformed("a header has the same parameter twice")
        parameters[name] = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        start = matched.end()
    return parameters
