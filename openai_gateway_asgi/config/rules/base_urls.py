"""Rules about what stands behind the host in an upstream's base URL."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...api.endpoints import ENDPOINTS, Kind
from ..findings import Finding
from ..upstream import Upstream
from .providers import ROOTS, WITHOUT_PATH, is_azure, root_of
from .setup import Setup

FIELD = "base_url"

_VERSION = re.compile(r"v\d+[a-z0-9]*")
_PATHS = frozenset(endpoint.template for endpoint in ENDPOINTS if endpoint.kind is not Kind.ADMIN)
BEGINNINGS = frozenset(path.split("/")[1] for path in _PATHS)
"""With which the API's paths begin."""
_OLLAMA = ":11434"


def endpoint(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    """``.../v1/chat/completions`` is where a call goes, and not what it is put behind."""
    segments = _segments(upstream)
    if upstream.is_azure or "deployments" in segments:
        return  # the rules of Azure look at these
    for place, name in enumerate(segments):
        if name in BEGINNINGS and place and _VERSION.fullmatch(segments[place - 1]):
            yield _endpoint("endpoint_in_base_url", upstream, segments, place)
            return
    for length in (3, 2):
        if len(segments) >= length and "/" + "/".join(segments[-length:]) in _PATHS:
            yield _endpoint("endpoint_in_base_url", upstream, segments, len(segments) - length)
            return
    if segments and "/" + segments[-1] in _PATHS and not _is_azure_inference(upstream):
        yield _endpoint("possible_endpoint_in_base_url", upstream, segments, len(segments) - 1)


def known_root(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    """A known provider's host with a part of its path, or none."""
    root, path = root_of(upstream.host), _path(upstream)
    if root is None or path == root or upstream.is_azure:
        return
    if root.startswith(path) or root.endswith(path):
        seen = f"has the path {path}" if path else "has no path"
        yield Finding("missing_api_path", FIELD, seen, f"write {_origin(upstream)}{root}")


def native(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    """Addresses that speak a provider's own API: Ollama's, Anthropic's, Gemini's."""
    path, origin = _path(upstream), _origin(upstream)
    if origin.endswith(_OLLAMA) and (path == "/api" or path.startswith("/api/")):
        yield Finding("native_api", FIELD, "is Ollama's own API", f"write {origin}/v1")
    elif upstream.host == "api.anthropic.com" and path.startswith("/v1/messages"):
        yield Finding("native_api", FIELD, "is Anthropic's own API", f"write {origin}{ROOTS[upstream.host]}")
    elif upstream.host == "generativelanguage.googleapis.com" and path == "/v1":
        yield Finding("native_api", FIELD, "is Gemini's own API", f"write {origin}{ROOTS[upstream.host]}")


def no_path(upstream: Upstream, _setup: Setup) -> Iterator[Finding]:
    host = upstream.host
    if _path(upstream) or upstream.is_azure or host in WITHOUT_PATH or root_of(host) is not None or is_azure(host):
        return
    yield Finding(
        "base_url_without_path", FIELD, "has no path, and most servers serve the API under /v1",
        f"write {_origin(upstream)}/v1, unless this one does not",
    )  # fmt: skip


def _endpoint(code: str, upstream: Upstream, segments: list[str], place: int) -> Finding:
    there = "/" + "/".join(segments[place:])
    root = "".join(f"/{segment}" for segment in segments[:place])
    verb = "goes on to" if place + 1 < len(segments) or code == "endpoint_in_base_url" else "ends in"
    unless = "" if code == "endpoint_in_base_url" else ", unless the API is below that path"
    return Finding(code, FIELD, f"{verb} {there}", f"write {_origin(upstream)}{root}{unless}")


def _is_azure_inference(upstream: Upstream) -> bool:
    """Azure AI's model inference API is served below ``/models``."""
    return is_azure(upstream.host) and _path(upstream) == "/models"


def _path(upstream: Upstream) -> str:
    slash = upstream.base_url.find("/", len("https://"))
    return "" if slash < 0 else upstream.base_url[slash:]


def _origin(upstream: Upstream) -> str:
    path = _path(upstream)
    return upstream.base_url[: len(upstream.base_url) - len(path)]


def _segments(upstream: Upstream) -> list[str]:
    return _path(upstream).split("/")[1:]
