"""Base URLs, proxies and origins, read one way: what was checked is what is dialled."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from ..errors import ConfigError
from ..hidden import HiddenText, hidden

_LEGAL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")  # RFC 3986, 2
_QUOTES = ('"', "'")
_SEVERAL = re.compile(r"\S[,;|\s]\s*https?://", re.IGNORECASE)
_PARTS = re.compile(r"(https?)://([^/?#]*)([^?#]*)(.*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:([^@]*)@)?(\[[0-9a-f:.]*\]|[^:@\[\]]*)(?::(.*))?", re.IGNORECASE)
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    scheme: str
    userinfo: str
    host: str
    port: str
    """``:8080``, or empty where it is the scheme's own."""
    path: str

    def __repr__(self) -> str:
        return f"Address({self.origin}{self.path})"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}{self.port}"


def base_url(field: str, value: Any) -> str:
    """An upstream's root in one canonical spelling: lower-case host, no default port, no slash at the end."""
    address = _read(field, value, "https://api.example.com/v1")
    if address.userinfo:
        raise ConfigError(field, "must not contain a user name or password; write the key into api_key")
    _refuse_climbing(field, address.path)
    return address.origin + address.path.rstrip("/")


def proxy(field: str, value: Any) -> str:
    """``http(s)://[user:password@]host[:port]``."""
    address = _read(field, value, "http://proxy.example.com:3128")
    if address.path.strip("/"):
        raise ConfigError(field, "must not have a path; write it as http://proxy.example.com:3128")
    return f"{address.scheme}://{address.userinfo}{address.host}{address.port}"


def origin(field: str, value: Any) -> str:
    """A web page's origin as browsers write it (RFC 6454, 6.2)."""
    address = _read(field, value, "https://app.example.com")
    if address.userinfo or address.path:
        raise ConfigError(field, "must be scheme, host and port alone; write it as https://app.example.com")
    return address.origin


def scope(field: str, value: Any) -> str:
    """A scope of Entra ID, kept as it is written."""
    if _read(field, value, "https://cognitiveservices.azure.com/.default").scheme != "https":
        raise ConfigError(field, "must begin with https://")
    return str(value)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _read(field: str, value: Any, example: str) -> Address:
    """An absolute http(s) URL without query and fragment. Errors repeat nothing of it: it may hold a password."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(field, f"must not be blank; write an absolute URL such as {example}")
    if value[:1] in _QUOTES and value[-1:] == value[:1]:
        raise ConfigError(field, "stands in quotes, which are part of it; write it without them")
    if _SEVERAL.search(value):
        raise ConfigError(field, "has several URLs in it; write one each, in variables with ; between them")
    if not _LEGAL.fullmatch(value):
        raise ConfigError(field, "must not contain spaces, backslashes, control or non-ASCII characters; quote them")
    parts = _groups(_PARTS, value)
    if not parts:
        scheme = "" if "://" in value else "; write http:// or https:// before it"
        raise ConfigError(field, f"must be an absolute http or https URL such as {example}{scheme}")
    scheme, authority, path, rest = parts
    if rest:
        raise ConfigError(field, "must not have a query or a fragment; leave out everything from ? or # on")
    return _address(field, scheme.lower(), authority, path)


def _address(field: str, scheme: str, authority: str, path: str) -> Address:
    parts = _groups(_AUTHORITY, authority)
    if not parts:
        raise ConfigError(field, "must have one host name or address behind ://")
    userinfo, host, port = parts
    credentials = HiddenText("" if userinfo is None else f"{userinfo}@")
    return Address(scheme, credentials, _host(field, host.lower()), _port(field, port, scheme), str(path))


def _groups(pattern: re.Pattern[str], text: str) -> Sequence[Any] | None:
    """What the groups of a match hold, which may be a password; a match itself shows what it matched."""
    found = pattern.fullmatch(text)
    return found and hidden(found.groups())


def _host(field: str, host: str) -> str:
    if host.startswith("["):
        return f"[{_ip(field, host[1:-1], ipaddress.IPv6Address)}]"
    if not host or len(host) > 253 or not all(map(_LABEL.fullmatch, host.split("."))):
        raise ConfigError(field, "must name a host, such as api.example.com, 10.0.0.7 or [::1]")
    # What ends in a number is an IPv4 address to resolvers (WHATWG URL, 3.5): 127.1 and 0x7f000001 both mean 127.0.0.1.
    if re.fullmatch(r"\d+|0x[0-9a-f]*", host.rpartition(".")[2]):
        return _ip(field, host, ipaddress.IPv4Address)
    return host


def _ip(field: str, text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> str:
    try:
        return str(kind(text))
    except ValueError as error:
        raise ConfigError(field, "must name a host by a full IP address, such as 10.0.0.7 or [::1]") from error


def _port(field: str, text: str | None, scheme: str) -> str:
    if text is None:
        return ""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ConfigError(field, "must have a port from 1 to 65535 behind the colon, or no colon")
    return "" if int(text) == _DEFAULT_PORTS[scheme] else f":{int(text)}"


def _refuse_climbing(field: str, path: str) -> None:
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise ConfigError(field, "must not have a % that begins no escape")
    if re.search(r"%(2f|5c|25|0|1|7f)", path, re.IGNORECASE):
        raise ConfigError(field, "must not hide slashes, backslashes, percent signs or control characters behind %")
    if any(unquote(segment) in (".", "..") for segment in path.split("/")):
        raise ConfigError(field, "must not have . or .. in its path")
