"""Rules about Azure OpenAI: its two kinds of address, and its deployments, which cannot be listed."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from ..findings import Finding
from ..query_rules import API_VERSION
from ..upstream import Upstream
from .base_urls import BEGINNINGS
from .providers import is_azure
from .setup import Setup

V1 = "/openai/v1"


def provider(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    """An address of Azure's without the provider is called as OpenAI's own would be."""
    if upstream.is_azure:
        return
    if "azure" in upstream.provider:
        yield Finding("provider_like_azure", "provider", f"is {upstream.provider!r}", 'write provider="azure"')
    path = urlsplit(upstream.base_url).path
    if "/deployments/" in path and not _has_version(upstream):
        yield Finding(
            "azure_without_provider", "provider", "is not set for a deployment of Azure OpenAI",
            f"write {_root(upstream)} with provider=\"azure\" and model_ids=[{_deployment(path)!r}]",
        )  # fmt: skip
    elif not is_azure(upstream.host):
        return
    elif upstream.is_azure_v1:
        yield Finding(
            "azure_v1_without_provider", "provider", "is not set for an address of Azure OpenAI",
            'write provider="azure", so that bodies are fitted to it',
        )  # fmt: skip
    elif path in ("", "/openai", "/v1"):
        yield Finding(
            "azure_without_provider", "provider", "is not set for an address of Azure OpenAI",
            f'write {_root(upstream)} with provider="azure" and model_ids=[...], the names of your deployments',
        )  # fmt: skip


def path(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    """Classic calls go to ``/openai/deployments/...`` below the resource; v1 calls to ``/openai/v1/...``."""
    if not upstream.is_azure:
        return
    where = urlsplit(upstream.base_url).path
    if "/deployments/" in f"{where}/":
        root = _root(upstream) + where.partition("/deployments")[0].removesuffix("/openai")
        write = f"write {root} with model_ids=[{_deployment(where)!r}]"
        yield Finding("azure_path", "base_url", "goes on to /deployments", write)
    elif (rest := where.partition(f"{V1}/")[2]).split("/")[0] in BEGINNINGS:
        root = upstream.base_url.removesuffix(f"/{rest}")
        yield Finding("azure_path", "base_url", f"goes on to /{rest}", f"write {root}")
    elif where == "/v1" and is_azure(upstream.host):
        yield Finding("azure_path", "base_url", "has the path /v1", f"write {_root(upstream)}{V1}")
    elif "/openai/" in where and not upstream.is_azure_v1:
        root = _root(upstream) + where.partition("/openai/")[0]
        yield Finding("azure_path", "base_url", "goes on behind /openai", f"write {root}")


def models(upstream: Upstream, setup: Setup) -> Iterator[Finding]:
    """Azure lists the models that could be deployed, and classic addresses are not asked for these either."""
    if not upstream.is_azure or upstream.model_ids:
        return
    write = "write model_ids=[...], the names of your deployments"
    if upstream.is_azure_v1:
        yield Finding(
            "azure_v1_without_models", "model_ids", "is empty: models that are not deployed are listed too", write
        )
    elif setup.settings.stored_upstream != upstream.name:
        yield Finding("azure_without_models", "model_ids", "is empty, and deployments cannot be listed", write)


def _has_version(upstream: Upstream) -> bool:
    return any(name.lower() == API_VERSION for name in upstream.query)


def _deployment(path: str) -> str:
    """The name behind ``/deployments/``."""
    return unquote(path.partition("/deployments/")[2].split("/")[0]) or "..."


def _root(upstream: Upstream) -> str:
    parts = urlsplit(upstream.base_url)
    return f"{parts.scheme}://{parts.netloc}"
