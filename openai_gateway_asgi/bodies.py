"""What a body must and must not say, whichever endpoint it is for."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from .asgi import RawHeaders
from .errors import InvalidRequest, UnsupportedMediaType
from .headers import header, media_type
from .models.listing import MAX_ID
from .payload import Payload, decode_field

OTHER_ROUTES = frozenset(
    # LiteLLM reads these of a body when the upstream is one: an address, a key, a provider, other models.
    """api_base api_key api_version azure_ad_token azure_endpoint base_url content_policy_fallbacks
    context_window_fallbacks custom_llm_provider extra_body extra_headers fallbacks litellm_params model_list
    organization user_config""".split()
)
"""Fields by which a body could choose another route or credential than the gateway's. Refused."""

_IN_QUERY = frozenset(name.encode() for name in OTHER_ROUTES | {"model", "models"})
_QUERY = re.compile(rb"[!\"$-~]*")


def require_json(headers: RawHeaders) -> None:
    """Any other type would let a page of another site post without the browser asking first (CORS preflight)."""
    if header(headers, b"content-encoding") not in (None, b"identity"):
        raise UnsupportedMediaType("Compressed request bodies are not taken; send it uncompressed.")
    value = header(headers, b"content-type")
    if value is None or media_type(value) != b"application/json":
        raise UnsupportedMediaType("Send the request body as `Content-Type: application/json`.", param="content-type")


def model_id(payload: Payload, deployment: str | None = None) -> str:
    """The model the body asks for, as the one string every reader of it will see.

    ``deployment`` is the one that an Azure client named in the path; the body may then leave it out, or agree.
    """
    for name in payload.fields:
        if name != "model" and name.lower() == "model":
            raise InvalidRequest(f"The field `{name}` must be written `model`.", param=name, code="invalid_field")
    id = payload.read("model", str)
    if deployment is not None and id not in (None, deployment):
        raise InvalidRequest("`$.model` is not the model that the path names.", param="model", code="invalid_value")
    id = deployment if id is None else id
    if id is None:
        raise InvalidRequest("The field `$.model` is missing.", param="model", code="missing_field")
    check_model_id(id)
    return id


def check_model_id(id: str) -> None:
    if not id or len(id) > MAX_ID or id != id.strip() or not id.isprintable():
        raise InvalidRequest(
            f"`$.model` must be 1 to {MAX_ID} printable characters without space around them.",
            param="model",
            code="invalid_value",
        )


def refuse_other_routes(payload: Payload) -> None:
    for name in OTHER_ROUTES.intersection(payload.fields):
        raise InvalidRequest(
            f"The field `{name}` is not taken: the gateway decides where a call goes.", param=name, code="invalid_field"
        )


def refuse_ambiguous_query(query: bytes) -> None:
    """A query is forwarded as it is, so it must be one already (RFC 3986, 3.4)."""
    if not _QUERY.fullmatch(query):
        raise InvalidRequest("The query must be printable ASCII, percent-encoded.", code="invalid_query")


def refuse_routes_in_query(query: bytes) -> None:
    """LiteLLM takes the ``model`` of a query before the body's, which is the one that was checked."""
    for pair in query.split(b"&"):
        name = unquote_to_bytes(pair.partition(b"=")[0]).strip().lower()
        if name in _IN_QUERY:
            raise InvalidRequest(
                f"The query parameter `{name.decode()}` is not taken; name the model in the body.",
                param=name.decode(),
                code="invalid_field",
            )


def other_models(payload: Payload, operation: str) -> tuple[str, ...]:
    """Models that the body names besides ``model``; the caller must be allowed each of them.

    OpenRouter's ``models`` (tried in turn), and the image model of a Responses tool.
    """
    named: list[str] = []
    if "models" in payload:
        named += payload.read("models", list[str]) or []
    tools = payload.fields.get("tools") if operation == "createResponse" else None
    if tools is not None and b'"model"' in bytes(tools):
        listed: list[Any] = decode_field("tools", tools, list[Any]) or []
        named += [tool["model"] for tool in listed if isinstance(tool, dict) and isinstance(tool.get("model"), str)]
    return tuple(named)
