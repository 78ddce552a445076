"""What a body must and must not say, whichever endpoint it is for."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from ..config.model_ids import MAX_ID
from ..errors import InvalidRequest, UnsupportedMediaType
from ..http.asgi import JSON, NamedHeaders
from ..http.headers import is_utf_8, media_type
from .nested_fields import Pairs, Path, keys_within, pairs_of, refuse_other_case, text_at
from .payload import Payload

OTHER_ROUTES = frozenset(
    # LiteLLM reads these of a body when the upstream is one: an address, a key, a provider, other models.
    """api_base api_key api_version azure_ad_token azure_endpoint base_url content_policy_fallbacks
    context_window_fallbacks custom_llm_provider extra_body extra_headers fallbacks litellm_params model_list
    organization user_config""".split()
)
"""Fields by which a body could choose another route or credential than the gateway's. Refused."""

_CREDENTIALS = frozenset(
    b"""access_token api-key api_key apikey auth authorization bearer client_secret id_token jwt key
    ocp-apim-subscription-key password refresh_token secret sig signature subscription-key token x-api-key""".split()
)
_IN_QUERY = frozenset(name.encode() for name in OTHER_ROUTES | {"model", "models"}) - _CREDENTIALS
TRANSCRIBING = ("session", "audio", "input", "transcription", "model")
_MAY_NAME_MODEL = re.compile(rb"model|\\u", re.IGNORECASE)
_QUERY = re.compile(rb"[!\"$-~]*")


def require_json(headers: NamedHeaders) -> None:
    """Any other type would let a page of another site post without the browser asking first (CORS preflight).

    JSON is UTF-8 (RFC 8259, 8.1), and read as such here; some upstreams would go by another ``charset``.
    """
    require_uncompressed(headers)
    value = headers.get(b"content-type", b"")
    if media_type(value) != JSON:
        raise UnsupportedMediaType("Send the request body as `Content-Type: application/json`.", param="content-type")
    if value != JSON and not is_utf_8(value):
        raise UnsupportedMediaType(
            "Send the request body in UTF-8, as `Content-Type: application/json` without another charset.",
            param="content-type",
        )


def require_uncompressed(headers: NamedHeaders) -> None:
    """What cannot be read cannot be checked."""
    if headers.get(b"content-encoding") not in (None, b"identity"):
        raise UnsupportedMediaType(
            "Compressed request bodies are not taken; send it uncompressed, without `Content-Encoding`.",
            param="content-encoding",
        )


def content_kind(headers: NamedHeaders) -> bytes:
    """The media type of the body, empty where none is named."""
    return media_type(headers.get(b"content-type", b""))


def refuse_body(headers: NamedHeaders) -> None:
    """A body on a GET means nothing (RFC 9110, 9.3.1), so it would be dropped in silence."""
    if headers.get(b"content-length") not in (None, b"0") or b"transfer-encoding" in headers:
        raise InvalidRequest("This operation takes no request body; leave it out.", code="invalid_body")


def model_id(payload: Payload, telling: Iterable[str], deployment: str | None = None) -> str:
    """The model the body asks for, as the one string every reader of it will see; empty where it names none.

    ``telling`` are the payload's ``telling`` names. ``deployment`` is the one that an Azure client named in the path;
    the body may then leave it out, or agree.
    """
    refuse_other_case(telling, "model")
    id = payload.read("model", str)
    if deployment is not None and id not in (None, deployment):
        raise InvalidRequest("`$.model` is not the model that the path names.", param="model", code="invalid_value")
    id = deployment if id is None else id
    if id is not None:
        check_model_id(id)
    return id or ""


def session_model(payload: Payload, model_at: str) -> tuple[Path, str]:
    """Where a realtime session names its model, and which: what speaks, or else what only transcribes; empty where it
    names none."""
    for path in (tuple(model_at.split(".")), TRANSCRIBING):
        id = text_at(payload, path)
        if id is not None:
            check_model_id(id)
            return path, id
    return (), ""


def lacking_model(where: str, param: str) -> InvalidRequest:
    """What a caller is told who names no model where something must."""
    return InvalidRequest(
        f"The {where} is missing; name one of the models that GET /models lists.", param=param, code="missing_field"
    )


def check_model_id(id: str) -> None:
    if not id or len(id) > MAX_ID or id != id.strip() or not id.isprintable():
        raise InvalidRequest(
            f"`$.model` must be 1 to {MAX_ID} printable characters without space around them.",
            param="model",
            code="invalid_value",
        )


def refuse_other_routes(names: Iterable[str]) -> None:
    for name in OTHER_ROUTES.intersection(names):
        raise InvalidRequest(
            f"The field `{name}` is not taken: the gateway decides where a call goes.", param=name, code="invalid_field"
        )


def refuse_ambiguous_query(query: bytes) -> None:
    """A query is forwarded as it is, so it must be one already (RFC 3986, 3.4)."""
    if not _QUERY.fullmatch(query):
        raise InvalidRequest("The query must be printable ASCII, percent-encoded.", code="invalid_query")


def refuse_routes_in_query(query: bytes, *, but: Container[bytes] = ()) -> None:
    """LiteLLM takes the ``model`` of a query before the body's, which is the one that was checked."""
    for name in query_names(query):
        if name in _IN_QUERY and name not in but:
            raise InvalidRequest(
                f"The query parameter `{name.decode()}` is not taken; name the model in the body.",
                param=name.decode(),
                code="invalid_field",
            )


def query_names(query: bytes) -> Iterator[bytes]:
    """The names of a query's parameters, as the most lenient reader may find them."""
    for pair in re.split(rb"[&;]", query):
        yield unquote_to_bytes(pair.partition(b"=")[0].replace(b"+", b" ")).strip().lower()


def without_credentials(query: bytes) -> bytes:
    """What of a query may go on: a key or token in it was meant for this gateway. The rest stays as it was sent."""
    if _CREDENTIALS.isdisjoint(query_names(query)):
        return query
    return b"&".join([pair for pair in query.split(b"&") if _CREDENTIALS.isdisjoint(query_names(pair))])


def wants_stream(query: bytes) -> bool:
    return any(pair.lower() in (b"stream=true", b"stream=1") for pair in query.split(b"&"))


def model_in_query(query: bytes) -> str:
    """The one model that a query names, for bodies that cannot name any; empty where it names none."""
    if b"model" not in query_names(query):
        return ""
    values = [value for name, _, value in _raw_pairs(query) if name == b"model"]
    if len(values) != 1 or list(query_names(query)).count(b"model") != 1:
        raise InvalidRequest("Name one `model` in the query.", param="model", code="missing_field")
    try:
        id = unquote_to_bytes(values[0].replace(b"+", b" ")).decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The query is not valid UTF-8.", param="model", code="invalid_query") from error
    check_model_id(id)
    return id


def with_model_in_query(query: bytes, model: str) -> bytes:
    """The query with another model in the place of the one that ``model_in_query`` found."""
    named = b"model=" + quote(model, safe="").encode()
    return b"&".join([named if name == b"model" else name + sign + value for name, sign, value in _raw_pairs(query)])


def _raw_pairs(query: bytes) -> list[tuple[bytes, bytes, bytes]]:
    return [pair.partition(b"=") for pair in query.split(b"&")]


def models_within(payload: Payload) -> tuple[str, ...]:
    """Models that a body names anywhere below its top level, as graders and realtime sessions do."""
    named: list[str] = []
    for field, raw in payload.outline.items():
        if _MAY_NAME_MODEL.search(raw):
            within = keys_within(pairs_of(payload, field), field)
            named += [value for _, name, value in within if name.lower() == "model" and isinstance(value, str)]
    return tuple(dict.fromkeys(_checked(named)))


def other_models(payload: Payload, operation: str) -> tuple[str, ...]:
    """Models that the body names besides ``model``; the caller must be allowed each of them.

    OpenRouter's ``models`` (tried in turn), and the image model of a Responses tool.
    """
    named: list[str] = []
    if "models" in payload:
        named += payload.read("models", list[str]) or []
    tools = payload.outline.get("tools") if operation == "createResponse" else None
    if tools is not None and _MAY_NAME_MODEL.search(tools):
        named += _models_of_tools(pairs_of(payload, "tools"))
    return tuple(_checked(named))


def _checked(named: list[str]) -> list[str]:
    for id in named:
        check_model_id(id)
    return named


def _models_of_tools(tools: Any) -> Iterator[str]:
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, Pairs):
            yield from (value for name, value in tool if name.lower() == "model" and isinstance(value, str))
