"""Why a request to an upstream failed, in the words of whoever can mend it, and what to try."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from ..causes import Cause, one_line
from ..config import Upstream

SAID_AT = frozenset({401, 402, 403, 404, 408, 429})
"""Statuses, beside 5xx, whose messages are about the account, the address or the load. Others repeat prompts."""

SELF_SIGNED = ("self-signed", "self signed")
_NAME = re.compile(r"[A-Za-z0-9_.:\[\]/-]{1,64}")
_FRAGMENT = re.compile(r"\S*(?:\*\*|\.\.\.|…)\S*|(?<![\w/.-])(?=[\w-]*\d)[\w-]{6,}(?![\w-]|\.\w)")
"""What may be part of a credential: words with a gap in them, and those with digits."""
_VERSIONED = re.compile(r"/v\d")


class Words(NamedTuple):
    said: str
    """What failed, on one line."""
    advice: str = ""
    """What to try, where there is something."""

    def __str__(self) -> str:
        return f"{self.said} ({self.advice})" if self.advice else self.said


def kept(cause: Cause, *, all_messages: bool = False) -> Cause:
    """What may be kept of it: an upstream's message of most 4xx repeats what it was asked, that of a 401 keys."""
    message = cause.message
    status = cause.status
    if status is not None and not all_messages and 400 <= status < 500 and status not in SAID_AT:
        message = ""
    if status in (401, 403):
        message = _FRAGMENT.sub("***", message)
    return replace(cause, message=message, type=_name(cause.type), param=_name(cause.param), code=_name(cause.code))


def no_list(upstream: Upstream, path: str) -> Words:
    """Of an answer that is none of what was asked for, as the page of a website."""
    return Words(f"200 at {upstream.base_url}{path}, but with no list of models: {_hint(upstream)}")


def in_words(cause: Cause, upstream: Upstream, path: str = "") -> Words:
    """``path`` is what was asked for below the base URL."""
    return _BY_KIND.get(cause.what, _otherwise)(cause, upstream, path)


def _name(given: str | None) -> str | None:
    """What looks like a name; an upstream may put anything there."""
    return given if given and _NAME.fullmatch(given) else None


def _host(upstream: Upstream) -> str:
    return urlsplit(upstream.base_url).hostname or upstream.base_url


def _address(upstream: Upstream) -> str:
    parts = urlsplit(upstream.base_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _dialled(upstream: Upstream) -> str:
    """Who is connected to: the proxy, where there is one."""
    if upstream.proxy is None:
        return _address(upstream)
    return f"the proxy {urlsplit(upstream.proxy).netloc.rpartition('@')[2]}"


def _dns(cause: Cause, upstream: Upstream, path: str) -> Words:
    name = _host(upstream) if upstream.proxy is None else _dialled(upstream)
    return Words(
        f"the name {name} cannot be resolved: {cause.message}",
        "see whether the base URL is spelt right, and whether this machine's resolver knows the name",
    )


def _tls(cause: Cause, upstream: Upstream, path: str) -> Words:
    host, said = _host(upstream), cause.message
    lowered = said.lower()
    if cause.error == "SSLCertVerificationError" or "certificate" in lowered:
        why = "is self-signed" if any(word in lowered for word in SELF_SIGNED) else f"is not accepted: {said}"
        return Words(f"certificate of {host} {why}", "verify_tls can name a file of the authorities to trust")
    if "WRONG_VERSION_NUMBER" in said or "RECORD_LAYER" in said:
        return Words(f"{_address(upstream)} does not speak TLS: {said}", "is it http:// instead of https://?")
    return Words(f"no TLS with {host}: {said}")


def _connect(cause: Cause, upstream: Upstream, path: str) -> Words:
    who = _dialled(upstream)
    if cause.errno == errno.ECONNREFUSED:
        return Words(f"connection refused by {who}", "see whether it runs, and listens on that port")
    return Words(f"no connection to {who}: {cause.message or cause.error}", "see whether address and port are right")


def _connect_timeout(cause: Cause, upstream: Upstream, path: str) -> Words:
    return Words(f"no connection to {_dialled(upstream)} in time", "see whether a firewall is between")


def _timeout(cause: Cause, upstream: Upstream, path: str) -> Words:
    said = cause.message or "did not answer in time"
    return Words(f"{_address(upstream)} {said}", "see whether it is overloaded, or raise its timeouts")


def _network(cause: Cause, upstream: Upstream, path: str) -> Words:
    return Words(f"the connection to {_dialled(upstream)} broke: {cause.message or cause.error}")


def _http(cause: Cause, upstream: Upstream, path: str) -> Words:
    said = cause.message or cause.error
    doubtful = upstream.base_url.startswith("http:") and any(word in said for word in _NO_HTTP)
    return Words(
        f"{_address(upstream)}: {said}", "see whether it speaks HTTP there, or wants https://" if doubtful else ""
    )


_NO_HTTP = ("without sending a response", "not HTTP")


def _redirect(cause: Cause, upstream: Upstream, path: str) -> Words:
    where = f" to {cause.location}" if cause.location else ""
    return Words(
        f"{cause.status}: redirected{where}", "redirects are never followed; where it is right, make it the base URL"
    )


def _hint(upstream: Upstream) -> str:
    if _VERSIONED.search(urlsplit(upstream.base_url).path):
        return "does the base URL end where the API's paths begin?"
    return "does the base URL lack /v1?"


_BY_STATUS = {
    401: "the upstream refuses the gateway's credential: see whether it is the right one, and valid",
    402: "see to the account's plan and credit",
    403: "see to the permissions of the gateway's key",
    429: "the account is at its limit there",
}


def _status(cause: Cause, upstream: Upstream, path: str) -> Words:
    detail = cause.message or ", ".join(
        [f"{name} {value}" for name, value in (("code", cause.code), ("param", cause.param)) if value]
    )
    if cause.status == 404 and cause.code not in ("model_not_found", "DeploymentNotFound"):
        url = upstream.base_url + path
        return Words(f"404 at {url}: {_hint(upstream)}", f"it said: {detail}" if detail else "")
    advice = _BY_STATUS.get(cause.status or 0, "")
    if cause.status == 400 and upstream.base_url.startswith("http:") and "HTTPS" in cause.message:
        advice = "it wants https://"
    return Words(f"{cause.status}: {detail}" if detail else f"{cause.status}", advice)


def _in_band(cause: Cause, upstream: Upstream, path: str) -> Words:
    said = cause.message or cause.code or cause.type
    where = "an error inside a successful answer"
    return Words(f"{where}: {said}" if said else where, _BY_STATUS.get(cause.status or 0, ""))


def _otherwise(cause: Cause, upstream: Upstream, path: str) -> Words:
    return Words(one_line(cause.message or cause.error or cause.what))


_BY_KIND: dict[str, Callable[[Cause, Upstream, str], Words]] = {
    "dns": _dns,
    "tls": _tls,
    "connect": _connect,
    "connect_timeout": _connect_timeout,
    "timeout": _timeout,
    "network": _network,
    "http": _http,
    "redirect": _redirect,
    "status": _status,
    "in_band": _in_band,
}
