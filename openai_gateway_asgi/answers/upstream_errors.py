"""One reader for every error that an upstream sends, in a body or in an event, whatever its status and spelling.

Spellings, each also as the whole of a body, as the data of an event, or behind the SSE field ``error:`` (llama.cpp):

    {"error": {...}}                 OpenAI, and nearly everybody; wherever the key stands, beside others or not
    {"error": "text", ...}           Ollama, LM Studio, TGI
    [{"error": {...}}]               Gemini
    {"object": "error", ...}         vLLM, Mistral
    {"type": "error", ...}           Responses, Anthropic
    {"type": "response.failed", "response": {"error": {...}}}
    {"message": ..., "code" | "status" | "status_code" | "statusCode": ...}
    {"detail": text | list | object} FastAPI, problem+json (RFC 9457)
    {"errors": [...]}                Cloudflare
    a page or XML, or plain text     proxies

What is not said is filled in; what is said too long is cut. Nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any

import msgspec

from ..causes import Failure
from . import error_names as names

LONGEST = 1024 * 1024
"""Bytes of an error that are read; what is longer is no error that anybody would read."""

LONGEST_MESSAGE = 16 * 1024
"""Characters; models repeat what they were asked."""

SEARCHED = 4096
"""Characters of a message in which phrases are looked for."""

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What an upstream's error says.

    ``status`` is the answer's own where it is one of 400 or more, else the one that the error names, else 502;
    ``named`` whether there was one at all. ``shaped`` is the error in OpenAI's shape, further fields included.
    """

    status: int
    named: bool
    kind: Failure
    message: str
    type: str | None
    param: str | None
    code: str | None
    shaped: bytes


def says_error(data: Any) -> bool:
    """Whether a decoded answer of status 200, or the decoded data of an event, is or carries an error."""
    return _error_in(data, False) is not None


def error_in_data(data: Any, *, named_error: bool = False) -> Said | None:
    """What the decoded data of an event, or a decoded answer of status 200, says of an error, if it is or carries one.

    ``named_error``: whether the event is called ``error``; then whatever it holds is one.
    """
    error = _error_in(data, named_error)
    return None if error is None else _said(*error, None)


def error_in_json(body: bytes) -> Said | None:
    """The same for what is still encoded. A plain answer is told by a search, without being decoded."""
    if _SAYS.search(body) is None and _ANSWERS_IN_BYTES.search(body) is not None:
        return None
    return error_in_data(decoded(body))


def error_in_events(events: bytes) -> Said | None:
    """The first error in whole or broken-off events; a body that is no event stream at all is read as JSON."""
    if _looks_like_json(events):
        return error_in_json(events)
    for fields in _events(events[:LONGEST]):
        if (said := _of_event(fields)) is not None:
            return said
    return None


def error_in_body(status: int, body: bytes) -> Said:
    """What the body of an answer of 400 or more says, whatever its type and whatever it holds."""
    body = body[:LONGEST]
    data = decoded(body)
    if data is None and not _looks_like_json(body):
        for fields in _events(body):
            data = decoded(fields.get("error") or fields.get("data") or b"")
            if data is not None:
                break
    if data is None:
        text = body.decode("utf-8", "replace")
        return _said({"message": _plain_text(text)}, {}, status)
    return _said(*(_error_in(data, True) or ({}, {})), status)


def decoded(data: bytes) -> Any:
    """JSON as plain values; None where it is none, or longer than an error is."""
    if len(data) > LONGEST:
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


# --- where the error stands ------------------------------------------------------------------------------------------

_ANSWERS = ("choices", "output", "data", "embeddings", "results", "delta", "text", "usage", "object")
"""Keys of answers: beside one that holds something, a flat ``message`` or ``detail`` is no error."""

_ANSWERS_IN_BYTES = re.compile(rb'"(?:%b)"\s*:' % "|".join(_ANSWERS).encode())
_SAYS = re.compile(rb'"errors?"\s*:\s*(?!null|false|\[\s*\]|\{\s*\})[^\s]|:\s*"(?:error|response\.failed)"')
_STATUS_KEYS = ("status", "status_code", "statusCode", "code", "http_status")
_MESSAGE_KEYS = (
    "message", "msg", "detail", "error_message", "errorMessage", "error_msg", "status_msg", "error_description",
    "Message", "title", "reason", "description", "faultstring",
)  # fmt: skip
_TYPE_KEYS = ("type", "error_type", "__type")
_CODE_KEYS = ("code", "error_code", "errorCode", "status_code", "statusCode")


def _error_in(data: Any, surely: bool) -> tuple[Object, Object] | None:
    """The error, and what stands around it; ``surely`` where there is one, however little looks like it."""
    if isinstance(data, list):
        first = data[0] if data else None
        return _error_in(first, surely) if isinstance(first, dict | str) else ({}, {}) if surely else None
    if isinstance(data, str):
        return ({"message": data}, {}) if surely else None
    if not isinstance(data, dict):
        return ({}, {}) if surely else None
    if data.get("error"):
        return _nested(data["error"], data), data
    if data.get("type") == "error" or data.get("object") == "error":
        return _unwrapped(data), {}
    if data.get("type") == "response.failed":
        response = data.get("response")
        return _nested(response.get("error") or {}, {}) if isinstance(response, dict) else {}, {}
    if data.get("errors"):
        return (_nested(data["errors"], {}), data) if surely or not _answers(data) else None
    if surely or (not _answers(data) and _is_flat(data)):
        return _unwrapped(data), {}
    return None


def _nested(error: Any, around: Object) -> Object:
    """What stands under ``error`` or in ``errors``: an object, a text, or a list of either.

    A text beside a ``message`` is a name, as OAuth and Spring write it.
    """
    if isinstance(error, list):
        error = error[0] if error else {}
    if isinstance(error, dict):
        inner = error.get("error")  # LiteLLM's proxy around another one
        return {**error, **inner} if isinstance(inner, dict) else _unwrapped(error)
    if not isinstance(error, str):
        return {}
    return {"code": error} if _message(around) else {"message": error}


def _unwrapped(error: Object) -> Object:
    """``message`` and ``detail`` hold another object in Mistral's, LiteLLM's and some FastAPI applications' errors."""
    for key in ("message", "detail"):
        inner = error.get(key)
        if isinstance(inner, dict):
            found = _error_in(inner, True)
            return {**error, key: None, **(found[0] if found else {})}
    return error


def _answers(data: Object) -> bool:
    return any(data.get(key) for key in _ANSWERS)


def _is_flat(data: Object) -> bool:
    if isinstance(data.get("detail"), str | list | dict):
        return True
    spoken = any(isinstance(data.get(key), str) for key in ("message", "msg", "title"))
    return spoken and (_status_of(data) is not None or _named_status(data) is not None)


# --- what it says ----------------------------------------------------------------------------------------------------


def _said(error: Object, around: Object, status: int | None) -> Said:
    message, param = _message(error) or _message(around), _text(error.get("param"))
    if not message:
        message, param = _validation(error.get("detail"), param)
    type = _first_text(error, _TYPE_KEYS) or _word(error.get("status")) or _first_text(around, ("error_type",))
    code = _first_text(error, _CODE_KEYS)
    own = status or _status_of(error) or _status_of(around) or _named_status(error) or _named_status(around)
    status = own or 502
    message = (message or f"The upstream answered {status} and said no more.")[:LONGEST_MESSAGE]
    kind = _kind(status, own is not None, error, around, message)
    shown = {"message": message, "type": type or "upstream_error", "param": param, "code": code}
    more = error if "error" in around else {}
    return Said(status, own is not None, kind, message, type, param, code, _encoded(shown, more))


def _message(error: Object) -> str:
    for key in _MESSAGE_KEYS:
        value = error.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _validation(detail: Any, param: str | None) -> tuple[str, str | None]:
    """FastAPI's list of faults, as one sentence and the place of the first."""
    told = []
    for each in detail[:8] if isinstance(detail, list) else ():
        place = each.get("loc") if isinstance(each, dict) else None
        where = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else ""
        text = _message(each) if isinstance(each, dict) else str(each)
        told.append(f"{where}: {text}" if where else text)
        param = param or where or None
    return "; ".join(told), param


def _first_text(error: Object, keys: tuple[str, ...]) -> str | None:
    return next((found for key in keys if (found := _text(error.get(key))) is not None), None)


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value)[:SEARCHED]


def _word(value: Any) -> str | None:
    """Google's status in words."""
    return value[:SEARCHED] if isinstance(value, str) and not value.isdecimal() else None


def _status_of(error: Object) -> int | None:
    for key in _STATUS_KEYS:
        value = error.get(key)
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            return value
    return None


def _named_status(error: Object) -> int | None:
    return next((names.STATUSES[name] for name in _names(error) if name in names.STATUSES), None)


_INNER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s.-]+")


def _names(error: Object) -> Iterator[str]:
    """Code, type and status in words, and Azure's inner code, the most telling first."""
    inner = error.get("innererror")
    metadata = error.get("metadata")
    for value in (
        inner.get("code") if isinstance(inner, dict) else None,
        *(error.get(key) for key in (*_CODE_KEYS, *_TYPE_KEYS, "status")),
        metadata.get("error_type") if isinstance(metadata, dict) else None,
    ):
        text = _text(value)
        if text is not None:
            yield _INNER.sub("_", text[:128].rpartition("#")[2]).lower()  # AWS puts a namespace before its names


# --- of what kind it is ----------------------------------------------------------------------------------------------

_MODEL_MISSING = re.compile(names.MODEL_PHRASE, re.IGNORECASE | re.DOTALL)
_PER_MINUTE = re.compile(names.TOO_LARGE_PER_MINUTE, re.IGNORECASE)

_BY_STATUS = {
    401: Failure.CREDENTIAL,
    402: Failure.ACCOUNT,
    403: Failure.ACCOUNT,
    408: Failure.UNABLE,
    424: Failure.UNABLE,
    429: Failure.RATE_LIMITED,
    498: Failure.UNABLE,
    499: Failure.UNABLE,
    502: Failure.OVERLOADED,
    503: Failure.OVERLOADED,
    504: Failure.OVERLOADED,
    529: Failure.OVERLOADED,
}


def _kind(status: int, named: bool, error: Object, around: Object, message: str) -> Failure:
    """Names tell more than phrases, and phrases more than the status. A 5xx is believed by its names alone."""
    called = {*_names(error), *_names(around)}
    words = f"{message[:SEARCHED]}\n{_raw(error)}".lower()
    believed = status < 500 or not named
    too_large = "too large" in words and _PER_MINUTE.search(words) is not None
    if called & names.CONTENT_NAMES or (believed and _has(words, names.CONTENT_PHRASES)):
        return Failure.CONTENT
    if called & names.ACCOUNT_NAMES or (believed and _has(words, names.ACCOUNT_PHRASES)):
        return Failure.ACCOUNT
    if too_large:
        return Failure.UNABLE
    if called & names.CONTEXT_LENGTH_NAMES or (
        (believed or status == 500) and status not in (401, 402, 403, 429) and _has(words, names.CONTEXT_LENGTH_PHRASES)
    ):
        return Failure.CONTEXT_LENGTH
    if status in (400, 404) and (called & names.MODEL_NAMES or (status == 404 and _MODEL_MISSING.search(words))):
        return Failure.UNABLE
    if not named:
        return Failure.SERVER_ERROR
    return _BY_STATUS.get(status) or (Failure.SERVER_ERROR if status >= 500 else Failure.CALLER)


def _has(words: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase in words for phrase in phrases)


def _raw(error: Object) -> str:
    """What OpenRouter's provider said itself; OpenRouter's own message is "Provider returned error"."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return raw[:SEARCHED] if isinstance(raw, str) else ""


# --- bytes -----------------------------------------------------------------------------------------------------------

_TAGS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)\s*>|<[^>]{0,1000}>", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]{0,200}>(.*?)</title", re.IGNORECASE | re.DOTALL)
_XML_MESSAGE = re.compile(r"<(message|faultstring)\b[^>]{0,200}>(.*?)</\1", re.IGNORECASE | re.DOTALL)
PAGE = 64 * 1024
"""Characters of a page that are looked at."""


def _looks_like_json(data: bytes) -> bool:
    return data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def _events(data: bytes) -> Iterator[dict[str, bytes]]:
    """The fields of each event, also of one that lacks the blank line at its end; lines of data joined."""
    fields: dict[str, bytes] = {}
    for line in data.removeprefix(b"\xef\xbb\xbf").splitlines():
        name, colon, value = line.partition(b":")
        if not line:
            if fields:
                yield fields
            fields = {}
        elif colon and name in (b"data", b"event", b"error"):
            key = name.decode()
            value = value.removeprefix(b" ")
            fields[key] = fields[key] + b"\n" + value if key in fields else value
    if fields:
        yield fields


def _of_event(fields: dict[str, bytes]) -> Said | None:
    if "error" in fields:
        data = decoded(fields["error"])
        return error_in_data(data if data is not None else fields["error"].decode("utf-8", "replace"), named_error=True)
    data = fields.get("data", b"")
    if fields.get("event") != b"error":
        return error_in_json(data)
    value = decoded(data)
    return error_in_data(data.decode("utf-8", "replace") if value is None else value, named_error=True)


def _plain_text(text: str) -> str:
    """What a page, an XML document or a plain text says, on one line."""
    text = text[:PAGE]
    if text.lstrip()[:1] == "<":
        found = _XML_MESSAGE.search(text)
        title = found[2] if found else (title[1] if (title := _TITLE.search(text)) else "")
        text = unescape(_TAGS.sub(" ", title if title.strip() else text))
    return " ".join(text.split())


def _encoded(shown: dict[str, str | None], more: Object) -> bytes:
    """In OpenAI's shape, with what else the upstream said beside it."""
    try:
        return msgspec.json.encode({"error": {**more, **shown}})
    except (TypeError, ValueError, RecursionError):  # nested deeper than is written
        return msgspec.json.encode({"error": shown})
