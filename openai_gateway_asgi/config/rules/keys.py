"""Rules about an upstream's key. No finding shows any of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..findings import Finding
from ..header_rules import CREDENTIALS
from ..upstream import Upstream
from .providers import is_public, wants_key
from .setup import Setup

FIELD = "api_key"

_SCHEME = re.compile(r"(authorization|api-key|x-api-key)\s*[:=]|(bearer|basic|token)\s", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"(export\s+)?[A-Z][A-Z0-9_]*_(KEY|KEYS|TOKEN)\s*=")
_PLACEHOLDER = re.compile(
    r"\$\{?\w+\}?|%\w+%|\{\{.*\}\}|<.*>|[A-Z][A-Z0-9]*(_[A-Z0-9]+)*_(KEY|TOKEN)|.*(\.\.\.|your[-_ ]?(api[-_ ]?)?key).*",
    re.DOTALL,
)


def key(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    if upstream.auth_type == "bearer" and upstream.api_key:
        yield from _text(upstream.api_key.reveal())


def _text(text: str) -> Iterator[Finding]:
    if _SCHEME.match(text) or _ASSIGNMENT.match(text):
        name = re.split(r"[\s:=]", text, maxsplit=1)[0]
        yield Finding(
            "api_key_with_scheme", FIELD, f"begins with {name!r}", "write the key alone; `Bearer` is added to it"
        )
    elif len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        yield Finding("api_key_quoted", FIELD, "stands in quotes, which are sent too", "write it without them")
    elif _PLACEHOLDER.fullmatch(text):
        yield Finding("api_key_placeholder", FIELD, "looks like an example or a variable", "write the key itself")
    elif " " in text:
        yield Finding("api_key_with_spaces", FIELD, "has a space inside, as keys have not", "write the key alone")


def unused(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    if not upstream.api_key:
        return
    if upstream.auth_type != "bearer":
        yield Finding(
            "api_key_unused", FIELD, f'is never sent with auth_type="{upstream.auth_type}"', "leave one of them out"
        )
    elif (name := "api-key" if upstream.is_azure else "authorization") in _own_credentials(upstream):
        yield Finding("api_key_unused", FIELD, f"is never sent beside the header {name}", "leave one of them out")


def missing(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    if upstream.auth_type != "bearer" or upstream.api_key or _own_credentials(upstream) or upstream.query:
        return
    if wants_key(upstream.host):
        yield Finding(
            "api_key_missing", FIELD, f"is empty, and {upstream.host} needs one",
            "write it, or auth_type=\"none\" where something in between adds it",
        )  # fmt: skip


def over_http(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    sends = (
        bool(upstream.identity)
        or upstream.auth_type not in ("bearer", "none")
        or (upstream.auth_type == "bearer" and upstream.api_key)
    )
    if upstream.base_url.startswith("http:") and (sends or _own_credentials(upstream)) and is_public(upstream.host):
        yield Finding(
            "credential_over_http", "base_url", "is plain http: whoever is on the way reads the credential",
            "write https://...",
        )  # fmt: skip


def _own_credentials(upstream: Upstream) -> frozenset[str]:
    """Custom headers that carry a credential, in lower case."""
    return CREDENTIALS.intersection(map(str.lower, upstream.headers))
