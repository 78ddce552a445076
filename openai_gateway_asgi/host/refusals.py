"""What an exception of the host's own says to the client: a status, a text, and headers.

Starlette's and FastAPI's ``HTTPException`` is one, and so is whatever else has an integer ``status_code``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import Headers, HostRefusal, raw_headers

UNSAID = "The application refused this request."

OURS = frozenset(
    b"""connection content-encoding content-language content-length content-location content-range content-type date
    keep-alive proxy-connection server set-cookie te trailer transfer-encoding upgrade""".split()
)
"""What describes the body or the connection is the gateway's to say, and its answers set no cookies."""

logger = logging.getLogger("openai_gateway_asgi")


def refusal_of(error: Exception) -> HostRefusal | None:
    """The refusal that the exception stands for; None where it has no ``status_code`` from 400 to 599.

    ``detail`` may be a text, or a mapping with ``message`` (and ``code``, ``param``), by itself or under ``error``; any
    other is told as JSON.
    """
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or not 400 <= status <= 599:
        return None
    detail: Any = getattr(error, "detail", None)
    told = _told(detail)
    message = told.get("message") or _text(detail)
    code, param = _text(told.get("code")), _text(told.get("param"))
    return HostRefusal(status, message or UNSAID, param=param or None, code=code or None, headers=_headers(error))


def _told(detail: Any) -> Mapping[str, Any]:
    """The mapping that has a message of its own; empty where there is none."""
    inner = detail.get("error") if isinstance(detail, Mapping) else None
    for told in (inner, detail):
        if isinstance(told, Mapping) and isinstance(told.get("message"), str):
            return told
    return {}


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):  # nothing that JSON can say
        return ""


def _headers(error: Exception) -> Headers:
    given: Any = getattr(error, "headers", None)
    kept: Headers = ()
    for name, value in given.items() if isinstance(given, Mapping) else ():
        try:
            ((raw, sendable),) = raw_headers({name: value})
        except ValueError as fault:
            logger.error("%s: %s", type(error).__name__, fault)
        else:
            kept += () if raw in OURS else ((raw, sendable),)
    return kept
