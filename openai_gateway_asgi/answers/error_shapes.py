"""Where an error stands in decoded JSON, and what its fields say; ``upstream_errors`` has the list of spellings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .error_names import GAVE_UP, STATUSES

LONGEST_FIELD = 4096
"""Characters of a code, a type or a param."""

ANSWERS = ("choices", "output", "data", "embeddings", "results", "delta", "text", "usage", "object")
"""Keys of answers: beside one that holds something, a flat ``message`` or ``detail`` is no error."""

WITH_ERRORS = frozenset({"eval.run", "fine_tuning.job", "video"})
"""Objects of the API whose ``error`` says what became of them later (OpenAI's description)."""

HALF = "The upstream gave up in the middle of its answer."

_STATUS_KEYS = ("status", "status_code", "statusCode", "code", "http_status", "http_code")
_MESSAGE_KEYS = (
    "message", "msg", "detail", "error_message", "errorMessage", "error_msg", "status_msg", "error_description",
    "Message", "title", "reason", "description", "faultstring",
)  # fmt: skip
_ERROR_KEYS = ("error_message", "errorMessage", "error_msg", "error_description")
"""Those of them that say by themselves that it is one."""
_WELL = frozenset({"0", "ok", "success", "succeeded"})
_ILL = frozenset({"error", "fail", "failed", "failure"})
_SUCCESS = re.compile("2[0-9][0-9]")
_TYPE_KEYS = ("type", "error_type", "__type")
_CODE_KEYS = ("code", "error_code", "errorCode", "status_code", "statusCode")

Object = Mapping[str, Any]
NONE: Object = {}


class Found(NamedTuple):
    error: Object
    around: Object = NONE
    """What it stood in, if it stood under a key."""


def find(data: Any, *, surely: bool) -> Found | None:
    """The error in decoded JSON; ``surely`` where there is one, however little looks like it."""
    if isinstance(data, list):
        first = data[0] if data else None
        return find(first, surely=surely) if isinstance(first, dict | str) else _nothing(surely)
    if isinstance(data, str):
        return Found({"message": data}) if surely else None
    if not isinstance(data, dict):
        return _nothing(surely)
    if data.get("error") and (surely or not _says_what_became(data)):
        return Found(_nested(data["error"], data), data)
    if data.get("type") == "error" or data.get("object") == "error":
        return Found(_unwrapped(data))
    if data.get("type") == "response.failed":
        response = data.get("response")
        return Found(_nested(response.get("error"), NONE) if isinstance(response, dict) else NONE)
    if data.get("errors") and (surely or not _answers(data)):
        return Found(_nested(data["errors"], NONE), data)
    if (told := _told_inside(data)) is not None:
        return Found(told, data)
    return Found(_unwrapped(data)) if surely or (not _answers(data) and _is_flat(data)) else None


def _told_inside(data: Object) -> Object | None:
    """What an answer of a model says that it has failed with: MiniMax beside its choices, OpenRouter in one of them."""
    base = data.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return {"message": base.get("status_msg"), "code": base["status_code"]}
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            reason, error = choice.get("finish_reason"), choice.get("error")
            if isinstance(error, dict) and error:
                return error
            if isinstance(reason, str) and reason in GAVE_UP:
                return {"message": HALF}
    return None


def _nothing(surely: bool) -> Found | None:
    return Found(NONE) if surely else None


def _nested(error: Any, around: Object) -> Object:
    """What stands under ``error`` or in ``errors``: an object, a text, or a list of either.

    A text beside a ``message`` is a name, as OAuth and Spring write it.
    """
    if isinstance(error, list):
        error = error[0] if error else NONE
    if isinstance(error, dict):
        inner = error.get("error")  # LiteLLM's proxy around another one
        return {**error, **inner} if isinstance(inner, dict) else _unwrapped(error)
    if not isinstance(error, str):
        return NONE
    return {"code": error} if message_of(around) else {"message": error}


def _unwrapped(error: Object) -> Object:
    """``message`` and ``detail`` hold another object in Mistral's, LiteLLM's and some FastAPI applications' errors."""
    for key in ("message", "detail"):
        inner = error.get(key)
        if isinstance(inner, dict):
            found = find(inner, surely=True)
            return {**error, key: None, **(found.error if found else NONE)}
    return error


def _answers(data: Object) -> bool:
    return any(data.get(key) for key in ANSWERS)


def _says_what_became(data: Object) -> bool:
    """Whether its ``error`` is a field of an object of the API, with an id, which the call did get.

    The failed response of a call is the call's failure, as ``response.failed`` is in a stream.
    """
    kind = data.get("object")
    gotten = kind in WITH_ERRORS or (kind == "response" and data.get("status") != "failed")
    return gotten and bool(data.get("id"))


def _is_flat(data: Object) -> bool:
    if isinstance(data.get("detail"), str | list | dict):
        return True
    if any(data.get(key) and isinstance(data[key], str) for key in _ERROR_KEYS):
        return True
    spoken = any(isinstance(data.get(key), str) for key in ("message", "msg", "title"))
    return spoken and (status_number(data) is not None or status_name(data) is not None or _names_a_fault(data))


def _names_a_fault(data: Object) -> bool:
    """Whether it says that it failed, or has a code of the upstream's own that does not say that all is well."""
    status, code = data.get("status"), data.get("code")
    if data.get("success") is False or (isinstance(status, str) and status.lower() in _ILL):
        return True
    if isinstance(code, bool) or not isinstance(code, str | int) or code == "":
        return False
    return str(code).lower() not in _WELL and not _SUCCESS.fullmatch(str(code))


def message_of(error: Object) -> str:
    for key in _MESSAGE_KEYS:
        value = error.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def faults_of(error: Object) -> tuple[str, str | None]:
    """FastAPI's list of faults, as one sentence and the place of the first."""
    detail = error.get("detail")
    told, param = [], None
    for each in detail[:8] if isinstance(detail, list) else ():
        place = each.get("loc") if isinstance(each, dict) else None
        where = ".".join(str(part) for part in place if part != "body") if isinstance(place, list) else ""
        text = message_of(each) if isinstance(each, dict) else str(each)
        told.append(f"{where}: {text}" if where else text)
        param = param or where or None
    return "; ".join(told), param


def type_of(found: Found) -> str | None:
    """Google's status in words is one too."""
    status = found.error.get("status")
    in_words = status[:LONGEST_FIELD] if isinstance(status, str) and not status.isdecimal() else None
    return _first_text(found.error, _TYPE_KEYS) or in_words or _first_text(found.around, ("error_type",))


def code_of(found: Found) -> str | None:
    return _first_text(found.error, _CODE_KEYS)


def param_of(found: Found) -> str | None:
    return _text(found.error.get("param"))


def status_number(error: Object) -> int | None:
    """The status of 400 to 599 that it gives as a number, or as a number in text."""
    for key in _STATUS_KEYS:
        value = error.get(key)
        if isinstance(value, str) and value.isdecimal() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
            return value
    return None


def status_name(error: Object) -> int | None:
    """The status that its code, type or status in words stands for."""
    return next((STATUSES[name] for name in names_of(error) if name in STATUSES), None)


_INNER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\s.-]+")


def names_of(error: Object) -> Iterator[str]:
    """Code, type and status in words, and Azure's inner code, the most telling first, spelt as in ``error_names``."""
    inner, metadata = error.get("innererror"), error.get("metadata")
    for value in (
        inner.get("code") if isinstance(inner, dict) else None,
        *(error.get(key) for key in (*_CODE_KEYS, *_TYPE_KEYS, "status")),
        metadata.get("error_type") if isinstance(metadata, dict) else None,
    ):
        text = _text(value)
        if text is not None:
            yield _INNER.sub("_", text[:128].rpartition("#")[2]).lower()  # AWS puts a namespace before its names


_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s?")


def retry_delay(error: Object) -> float | None:
    """The seconds after which it asks to be tried again."""
    for value in _delays(error):
        found = _SECONDS.fullmatch(str(value)) if isinstance(value, str | int | float) else None
        if found is not None:
            return float(found[1])
    return None


_AGAIN = re.compile(
    r"(?:try again in|retry (?:in|after)) (?=\d)"
    r"(?:(\d{1,3}) ?h(?:ours?)?(?![a-z]) ?)?(?:(\d{1,4}) ?m(?:in(?:ute)?s?)?(?![a-z]) ?)?"
    r"(?:(\d{1,6}(?:\.\d{1,9})?) ?(m?)s(?:ec(?:ond)?s?)?(?![a-z]))?"
)


def delay_in_words(message: str) -> float | None:
    """The same in a message, as OpenAI's "Please try again in 1m12.5s.", Azure's "Please retry after 6 seconds."."""
    found = _AGAIN.search(message.lower())
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, thousandth = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0) / (1000 if thousandth else 1)


def _delays(error: Object) -> Iterator[Any]:
    details, metadata = error.get("details"), error.get("metadata")
    for each in details[:8] if isinstance(details, list) else ():  # google.rpc.RetryInfo, error_details.proto
        if isinstance(each, dict):
            yield each.get("retryDelay")
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    for name, value in headers.items() if isinstance(headers, dict) else ():  # of OpenRouter's provider
        if name.lower() == "retry-after":
            yield value
    yield error.get("retry_after")


def raw_of(error: Object) -> str:
    """What OpenRouter's provider said itself; OpenRouter's own message is "Provider returned error"."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return raw if isinstance(raw, str) else ""


def _first_text(error: Object, keys: tuple[str, ...]) -> str | None:
    return next((found for key in keys if (found := _text(error.get(key))) is not None), None)


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value[:LONGEST_FIELD] or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return str(value)
    return None
