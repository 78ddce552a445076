"""What a body must and must not say, whichever endpoint it is for."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from urllib.parse import quote, unquote_to_bytes

from ..api.route_fields import KNOWN, Routes
from ..errors import InvalidRequest, UnsupportedMediaType
from ..http.asgi import JSON, NamedHeaders
from ..http.headers import is_utf_8, media_type
from .findings import check_model_id
from .nested_fields import Path, text_at
from .payload import Payload
from .spelling import stem

_CREDENTIALS = frozenset(
    b"""access_token api-key api_key apikey auth authorization bearer client_secret id_token jwt key
    ocp-apim-subscription-key password refresh_token secret sig signature subscription-key token x-api-key""".split()
)
TRANSCRIBING = ("session", "audio", "input", "transcription", "model")
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


def model_id(payload: Payload, deployment: str | None = None) -> str:
    """The model the body asks for, as the one string every reader of it will see; empty where it names none.

    ``deployment`` is the one that an Azure client named in the path; the body may then leave it out, or agree.
    """
    id = payload.read("model", str)
    if deployment is not None and id not in (None, deployment):
        raise InvalidRequest("`$.model` is not the model that the path names.", param="model", code="invalid_value")
    id = deployment if id is None else id
    if id is not None:
        check_model_id(id)
    return id or ""


def session_model(payload: Payload, model_at: str) -> tuple[Path, str]:
    """Where a realtime session names the model that answers, and which: what speaks, or what transcribes where nothing
    speaks. Empty where it names none."""
    path = tuple(model_at.split("."))
    id = text_at(payload, path)
    if id is None and only_transcribes(payload):
        path, id = TRANSCRIBING, text_at(payload, TRANSCRIBING)
    if id is None:
        return (), ""
    check_model_id(id)
    return path, id


def only_transcribes(payload: Payload) -> bool:
    """Whether a session is of the type in which nothing speaks."""
    return text_at(payload, ("session", "type")) == "transcription"


def lacking_model(where: str, param: str) -> InvalidRequest:
    """What a caller is told who names no model where something must."""
    return InvalidRequest(
        f"The {where} is missing; name one of the models that GET /models lists.", param=param, code="missing_field"
    )


def refuse_ambiguous_query(query: bytes) -> None:
    """A query is forwarded as it is, so it must be one already (RFC 3986, 3.4)."""
    if not _QUERY.fullmatch(query):
        raise InvalidRequest("The query must be printable ASCII, percent-encoded.", code="invalid_query")


def routes_in_query(query: bytes, more: Iterable[str], *, but: Container[str] = ()) -> tuple[str, ...]:
    """Names in a query that could choose another route. LiteLLM lays a query below the body, and takes its ``model``
    before the one that was checked: so none may be named there, ``but`` what lists are searched by."""
    found, added = [], Routes(more)
    for written in query_names(query):
        name = stem(written.decode("utf-8", "replace"))
        if name in but or written in _CREDENTIALS:
            continue
        if name in ("model", "models", "extra_body") or name.endswith(("_model", "_models")):
            raise refused_in_query(name)
        if name in KNOWN or name in added:
            found.append(name)
    return tuple(found)


def refused_in_query(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"The query parameter `{name}` is not taken; name the model in the body.", param=name, code="invalid_field"
    )


def refused_route(name: str, where: str) -> InvalidRequest:
    return InvalidRequest(
        f"The field `{where}` is not taken: the gateway decides where a call goes.", param=where, code="invalid_field"
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
