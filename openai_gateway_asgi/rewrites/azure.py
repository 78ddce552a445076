"""Azure OpenAI: its two kinds of URL, and the fields that it refuses.

Classic: ``{resource}/openai/deployments/{deployment}/chat/completions?api-version=...``; the deployment in the path
decides. Since 2025: ``{resource}/openai/v1/...`` as at OpenAI, the deployment being the body's ``model``.
Source: learn.microsoft.com/azure/ai-foundry/openai, "reference" and "api-version-lifecycle".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from ..bodies.payload import Payload
from ..config.upstream import Upstream
from ..errors import InvalidRequest
from .reasoning import is_reasoning_model

# The list of the OpenAI SDK's AzureOpenAI client; every other path is the resource's, not a deployment's.
_DEPLOYMENT_ENDPOINTS = {
    "/completions": "createCompletion",
    "/chat/completions": "createChatCompletion",
    "/embeddings": "createEmbedding",
    "/audio/transcriptions": "createTranscription",
    "/audio/translations": "createTranslation",
    "/audio/speech": "createSpeech",
    "/images/generations": "createImage",
    "/images/edits": "createImageEdit",
}

DEPLOYMENT_OPERATIONS = frozenset(_DEPLOYMENT_ENDPOINTS.values())

_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f-\x9f\ud800-\udfff]|\.\.")


def azure_path(upstream: Upstream, path: str, upstream_model: str) -> str:
    """What follows the upstream's base URL for ``path`` (``/chat/completions``), quoted.

    ``upstream_model`` is read for deployment endpoints only. Raises ``InvalidRequest`` where it cannot be the one
    path segment that a deployment's name is.
    """
    if upstream.is_azure_v1:
        return path
    root = "" if upstream.base_url.endswith("/openai") else "/openai"
    deployment = f"/deployments/{_segment(upstream_model)}" if path in _DEPLOYMENT_ENDPOINTS else ""
    return f"{root}{deployment}{path}"


def azure_headers(upstream: Upstream) -> Sequence[tuple[bytes, bytes]]:
    """Classic upstreams get their api-version as a header too; gateways in front of Azure (APIM) route by it."""
    return [(b"api-version", upstream.effective_api_version.encode("ascii"))] if _is_classic(upstream) else []


def is_older(upstream: Upstream, date: str) -> bool:
    """Whether a classic upstream's api-version is from before ``date``; undated ones ("preview") are not."""
    version = upstream.effective_api_version
    return version[:4].isdigit() and version < date and not upstream.is_azure_v1


def azure_temperature(payload: Payload, upstream: Upstream, model: str) -> Payload:
    """Reasoning models refuse a temperature other than 1, so Azure's deployments of them do not get it."""
    if "temperature" not in payload or not upstream.is_azure:
        return payload
    if not is_reasoning_model(model, upstream.reasoning_models):
        return payload
    refused = payload.read("temperature", float) not in (None, 1)
    return payload.edited(without=("temperature",)) if refused else payload


def azure_stream_options(payload: Payload, upstream: Upstream, _model: str) -> Payload:
    """Versions before 2024-09-01 refuse ``stream_options``.

    The one newer field that is left out for them: without it an answer lacks its usage and nothing else. Others
    change the answer, so there the client should see the upstream's refusal.
    """
    if "stream_options" not in payload or not upstream.is_azure or not is_older(upstream, "2024-09-01"):
        return payload
    return payload.edited(without=("stream_options",))


def azure_model(payload: Payload, upstream: Upstream, _model: str) -> Payload:
    """Where the path names the deployment, the body names no model."""
    return payload.edited(without=("model",)) if _is_classic(upstream) and "model" in payload else payload


def _is_classic(upstream: Upstream) -> bool:
    return upstream.is_azure and not upstream.is_azure_v1


def _segment(name: str) -> str:
    if name in ("", ".") or _UNSAFE.search(name):
        raise InvalidRequest("The model's id cannot name an Azure deployment.", param="model", code="invalid_value")
    return quote(name, safe="")
