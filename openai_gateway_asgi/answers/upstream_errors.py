"""One reader for every error that an upstream sends, in a body or in an event, whatever its status and spelling.

Spellings, each also as the whole of a body, as the data of an event, or behind the SSE field ``error:`` (llama.cpp):

    {"error": {...}}                 OpenAI, and nearly everybody; wherever the key stands, beside others or not
    {"error": "text", ...}           Ollama, LM Studio, TGI
    [{"error": {...}}]               Gemini
    {"object": "error", ...}         vLLM, Mistral
    {"type": "error", ...}           Responses, Anthropic
    {"type": "response.failed", "response": {"error": {...}}}
    {"message": ..., "code" | "status" | "status_code" | "statusCode": ...}
    {"error_message" | "errorMessage" | "error_msg": ..., ...}    AWS Lambda, Baidu
    {"detail": text | list | object} FastAPI, problem+json (RFC 9457)
    {"errors": [...]}                Cloudflare
    {"base_resp": {...}, ...}        MiniMax
    {"choices": [{"error": {...}}]}  OpenRouter; also a choice that is finished by a reason which is none (``GAVE_UP``)
    a page or XML, or plain text     proxies

What is not said is filled in; what is said too long is cut. Nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import unescape
from typing import Any

import msgspec

from ..causes import Failure
from .error_kinds import SEARCHED, kind_of
from .error_names import GAVE_UP
from .error_shapes import (
    ANSWERS,
    NONE,
    Found,
    Object,
    code_of,
    delay_in_words,
    faults_of,
    find,
    message_of,
    names_of,
    param_of,
    raw_of,
    retry_delay,
    status_name,
    status_number,
    type_of,
)

LONGEST = 1024 * 1024
"""Bytes of an error that are read; what is longer is no error that anybody would read."""

MOST_PARTS = 20_000
"""Brackets and braces of an error that is read: reading what has more would keep all other calls waiting."""

LONGEST_MESSAGE = 16 * 1024
"""Characters; models repeat what they were asked."""

MOST_LINES = 1024
"""Of events; what comes after them is no error that anybody would put there."""

PAGE = 8 * 1024
"""Bytes of a page that are looked at."""

_ANSWERS = re.compile(rb'"(?:%b)"\s*:\s*+(?!null)' % "|".join(ANSWERS).encode())
_SAYS = re.compile(rb'"error(?:s?"\s*:\s*(?!null|false|\[\s*\]|\{\s*\})\S|"\s*[,}])')
"""An error under that key, or a ``type`` or ``object`` of that name."""
_OBJECT = b'"object"'
_REASON = b'"finish_reason"'
_GAVE_UP = re.compile(rb'"finish_reason"\s*:\s*"(?:%b)"' % "|".join(sorted(GAVE_UP)).encode())
_BASE = b'"base_resp"'
_LAST = 512
"""Bytes at the end of an answer of MiniMax's in which that stands."""
_FAILED = b'"response.failed"'


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
    is_shaped: bool = False
    """Whether what was read is JSON of that shape already."""
    retry_after: float | None = None
    """The seconds after which the error itself, not a header, asks to be tried again."""


def error_in_data(data: Any, *, named_error: bool = False) -> Said | None:
    """What the decoded data of an event, or a decoded answer of status 200, says of an error, if it is or carries one.

    ``named_error``: whether the event is called ``error``; then whatever it holds is one.
    """
    found = find(data, surely=named_error)
    return None if found is None else _said(found)


def error_in_json(body: bytes, *, has_choices: bool = True) -> Said | None:
    """The same for what is still encoded. A plain answer is told by a search, without being decoded.

    ``has_choices`` is whether it may be an answer with choices, one of which says that it failed.
    """
    if len(body) > LONGEST or (_is_plainly_none(body) and not (has_choices and _tells_inside(body))):
        return None
    return error_in_data(decoded(body))


def _is_plainly_none(body: bytes) -> bool:
    """Looking for a word costs much less than a pattern, and nearly all answers do not have it."""
    if body.rfind(b'"error') >= 0 and _SAYS.search(body) is not None:
        return False
    return _OBJECT in body or _ANSWERS.search(body) is not None


def _tells_inside(body: bytes) -> bool:
    """Whether it may tell of a failure in a choice, or beside its choices."""
    last = body.rfind(_REASON)
    if last >= 0 and _GAVE_UP.match(body, last) is not None:
        return True
    if body.rfind(_REASON, 0, max(last, 0)) >= 0 and _GAVE_UP.search(body, 0, last) is not None:
        return True
    return body.rfind(_BASE, -_LAST) >= 0


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
    if data is None:
        data = _first_in_events(body)
        found = find(data, surely=True) if data is not None else Found({"message": _plain_text(body)})
        return _said(found or Found(NONE), status)
    said = _said(find(data, surely=True) or Found(NONE), status)
    error = data.get("error") if isinstance(data, dict) else None
    return replace(said, is_shaped=isinstance(error, dict) and error.keys() >= {"message", "type", "param", "code"})


def _first_in_events(body: bytes) -> Any:
    """The first data that is an error, or else the first that is there at all; None in what is no event stream."""
    found = None
    for fields in () if _looks_like_json(body) else _events(body):
        text = fields.get("error") or fields.get("data") or b""
        data = decoded(text)
        if find(data, surely=False) is not None:
            return data
        found = found or (text.decode("utf-8", "replace") if data is None else data)
    return found


def decoded(data: bytes) -> Any:
    """JSON as plain values; None where it is none, or more than an error is."""
    if len(data) > LONGEST or data.count(b"[") + data.count(b"{") > MOST_PARTS:
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _said(found: Found, status: int | None = None) -> Said:
    """``status`` is the answer's own where that is an error's."""
    error, around = found
    faults, place = faults_of(error)
    type, code, param = type_of(found), code_of(found), param_of(found) or place
    given = status or status_number(error) or status_number(around) or status_name(error) or status_name(around)
    status = given or 502
    message = message_of(error) or message_of(around) or faults or f"The upstream answered {status} and said no more."
    called = {*names_of(error), *names_of(around)}
    kind = kind_of(status, given is not None, called, f"{message[:SEARCHED]}\n{raw_of(error)}".strip())
    shown = {
        "message": message[:LONGEST_MESSAGE],
        "type": type or "upstream_error",
        "param": param,
        "code": code,
    }
    more = error if "error" in around else NONE
    encoded, delay = _encoded(shown, more), retry_delay(error)
    if delay is None and kind is Failure.RATE_LIMITED:
        delay = delay_in_words(message[:SEARCHED])
    return Said(
        status, given is not None, kind, message[:LONGEST_MESSAGE], type, param, code, encoded, retry_after=delay
    )


def _looks_like_json(data: bytes) -> bool:
    return data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")


def _events(data: bytes) -> Iterator[dict[str, bytes]]:
    """The fields of each event, also of one that lacks the blank line at its end; lines of data joined."""
    fields: dict[str, list[bytes]] = {}
    for line in (*data.removeprefix(b"\xef\xbb\xbf").splitlines()[:MOST_LINES], b""):
        name, colon, value = line.partition(b":")
        if colon and name in (b"data", b"event", b"error"):
            fields.setdefault(name.decode(), []).append(value.removeprefix(b" "))
        elif not line and fields:
            yield {name: b"\n".join(lines) for name, lines in fields.items()}
            fields = {}


def _of_event(fields: dict[str, bytes]) -> Said | None:
    if "error" in fields:
        data = decoded(fields["error"])
        return error_in_data(data if data is not None else fields["error"].decode("utf-8", "replace"), named_error=True)
    data = fields.get("data", b"")
    if fields.get("event") != b"error":
        return error_in_data(decoded(data)) if _FAILED in data else error_in_json(data)
    value = decoded(data)
    return error_in_data(data.decode("utf-8", "replace") if value is None else value, named_error=True)


def _plain_text(body: bytes) -> str:
    """What a page, an XML document or a plain text says, on one line."""
    text = body[:PAGE].decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        said = next((said for tag in ("message", "faultstring", "title") if (said := _inside(text, tag))), text)
        text = unescape(_without_tags(said))
    return " ".join(text.split())


def _inside(text: str, tag: str) -> str:
    """What stands in the first element of that name. No patterns: a page can be made to keep one busy."""
    lowered = text.lower()
    start = lowered.find(f"<{tag}")
    begin = lowered.find(">", start)
    end = lowered.find(f"</{tag}", begin)
    return text[begin + 1 : end].strip() if 0 <= start < begin < end else ""


def _without_tags(text: str) -> str:
    first, *parts = text.split("<")
    kept, skipped = [first], ""
    for part in parts:
        tag, _, rest = part.partition(">")
        name = tag[:7].lower()
        if not skipped:
            skipped = next((each for each in ("script", "style") if name.startswith(each)), "")
        elif name.startswith("/" + skipped):
            skipped = ""
        if not skipped:
            kept.append(rest)
    return " ".join(kept)


def _encoded(shown: dict[str, str | None], more: Object) -> bytes:
    """In OpenAI's shape, with what else the upstream said beside it."""
    try:
        return msgspec.json.encode({"error": {**more, **shown}})
    except (TypeError, ValueError, RecursionError):  # nested deeper than is written
        return msgspec.json.encode({"error": shown})
