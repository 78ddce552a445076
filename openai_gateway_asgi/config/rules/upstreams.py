"""Rules about one upstream, in the light of what the host gave."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from ..findings import Finding
from ..header_rules import PRIVATE_COOKIES
from ..query_rules import is_dated
from ..upstream import Upstream
from ..upstream_fields import ENTRA
from . import azure, base_urls, identity, keys
from .setup import Setup

UpstreamRule = Callable[[Upstream, Setup], Iterator[Finding]]

_TEMPLATE = re.compile(r"\{\{\s*\w+\s*\}\}")
_ONLY_WITH_REWRITES = ("reasoning_models", "drop_fields", "drop_nulls", "flatten_tool_content")
_OF_CONNECTIONS = ("verify_tls", "proxy", "keepalive")
_DEFAULT = Upstream("http://localhost")


def oauth(upstream: Upstream, setup: Setup) -> Iterator[Finding]:
    if upstream.auth_type == "system_oauth" and not setup.has_oauth_token:
        yield Finding(
            "no_oauth_token", "auth_type", 'is "system_oauth", and nobody gives users\' tokens',
            "give the gateway an oauth_token callable",
        )  # fmt: skip


def entra(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    if upstream.auth_type == ENTRA and not _has_azure_identity():
        yield Finding(
            "azure_identity_missing", "auth_type", "needs azure-identity for Entra ID, and it is not installed",
            'pip install "openai-gateway-asgi[azure]"',
        )  # fmt: skip


def cookies(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    for name in PRIVATE_COOKIES.intersection(upstream.forward_cookies):
        yield Finding("private_cookie", "forward_cookies", f"lists {name}, the host's own session", "leave it out")


def prefix(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    given = upstream.prefix_id
    if given.endswith("."):
        yield Finding(
            "prefix_with_dot", "prefix_id", f"is {given!r}, and a dot is put behind it", f"write {given.rstrip('.')!r}"
        )
    elif given and (doubled := next((id for id in upstream.model_ids if id.startswith(f"{given}.")), None)):
        yield Finding(
            "prefixed_model_ids", "model_ids", f"has {doubled!r}, which users will see as {f'{given}.{doubled}'!r}",
            "write the ids as the upstream knows them",
        )  # fmt: skip


def unused_fields(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    if upstream.api_version and not upstream.is_azure:
        yield Finding(
            "unused_field", "api_version", 'has no effect without provider="azure"',
            "write query={'api-version': ...} where another provider wants one",
        )  # fmt: skip
    if upstream.is_azure and upstream.is_azure_v1 and is_dated(upstream.api_version):
        yield Finding("unused_field", "api_version", "is a date, which v1 does not know", 'write "preview", or none')
    if upstream.token_scope and upstream.auth_type != ENTRA:
        yield Finding("unused_field", "token_scope", f'has no effect without auth_type="{ENTRA}"', "leave it out")
    if upstream.repair_responses and upstream.api == "chat":
        yield Finding("unused_field", "repair_responses", 'has no effect with api="chat"', "leave one of them out")
    for name in ("drop_hosted_tools", "images_in_tools") if upstream.api in ("responses", "both") else ():
        if _is_set(upstream, name):
            yield Finding("unused_field", name, f'has no effect with api="{upstream.api}"', "leave one of them out")
    if upstream.rewrites == "off":
        for name in _ONLY_WITH_REWRITES:
            if _is_set(upstream, name):
                yield Finding("unused_field", name, 'has no effect with rewrites="off"', "leave one of them out")


def own_transport(upstream: Upstream, setup: Setup) -> Iterator[Finding]:
    if setup.transport is None:
        return
    for name in _OF_CONNECTIONS:
        if _is_set(upstream, name):
            yield Finding(
                "unused_with_transport", name, "says how to connect, and your own `transport` does that",
                "leave it out, and tell the transport",
            )  # fmt: skip


def templates(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    for name, value in upstream.headers.items():
        if _TEMPLATE.search(value):
            yield Finding(
                "header_template", f"headers.{name}", "holds {{...}}, which is sent as it stands",
                "write {user.id} and the like, with one brace",
            )  # fmt: skip


def trust(upstream: Upstream, setup: Setup) -> Iterator[Finding]:
    if upstream.verify_tls is False and setup.transport is None and upstream.base_url.startswith("https:"):
        yield Finding(
            "tls_not_verified", "verify_tls", "is off: anybody can answer in the upstream's place",
            "name a file of CA certificates, which is added to the system's",
        )  # fmt: skip


def _is_set(upstream: Upstream, name: str) -> bool:
    return bool(getattr(upstream, name) != getattr(_DEFAULT, name))


def _has_azure_identity() -> bool:
    try:
        return find_spec("azure.identity") is not None
    except ModuleNotFoundError:
        return False


REACH_RULES: tuple[UpstreamRule, ...] = (
    base_urls.endpoint,
    base_urls.known_root,
    base_urls.native,
    azure.provider,
    azure.path,
    keys.key,
    oauth,
    entra,
    cookies,
    identity.library,
    identity.private_key,
)
"""Whether it can be asked anything at all."""

UPSTREAM_RULES: tuple[UpstreamRule, ...] = (
    *REACH_RULES,
    base_urls.no_path,
    azure.models,
    keys.unused,
    keys.missing,
    keys.over_http,
    prefix,
    unused_fields,
    own_transport,
    templates,
    trust,
    identity.lists,
)
