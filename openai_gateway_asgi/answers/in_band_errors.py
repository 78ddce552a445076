"""Errors that an upstream puts into an answer that says 200: what they would have been with a status of their own."""

from __future__ import annotations

from typing import Any

import msgspec

from ..errors import UpstreamCredentialError, UpstreamError, UpstreamRefused
from ..http.asgi import JSON
from ..http.sse import first_data

STATUSES = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "content_policy_violation": 400,
    "invalid_prompt": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "overloaded_error": 503,
}
"""By ``code`` or ``type``, as OpenAI and those who imitate it name them. Any other is the upstream's own fault."""


def refuse_error_in_events(events: bytes) -> None:
    """Raises what the first event with data says, if it is an error: ``{"error": ...}``, or the flat form of Responses.

    An ``UpstreamError``, with the status that it would have had.
    """
    data = first_data(events)
    if b'"error"' in data:
        refuse_error_in_json(data)


def refuse_error_in_json(body: bytes) -> None:
    """The same for an answer that is no stream."""
    data = _decoded(body)
    if says_error(data):
        raise _error_of(data)


def says_error(data: Any) -> bool:
    """Whether a decoded event or answer is, or carries, an error."""
    return isinstance(data, dict) and bool(data.get("error") or data.get("type") == "error")


def _error_of(data: dict[str, Any]) -> UpstreamError:
    error: Any = data.get("error") or data
    error = error if isinstance(error, dict) else {"message": str(error)}
    status = _status(error)
    if status == 401:
        return UpstreamCredentialError("The upstream refused the gateway's credential.")
    shaped = {key: error.get(key) for key in ("message", "type", "param", "code")} | error
    return UpstreamRefused(status, (), msgspec.json.encode({"error": shaped}), content_type=JSON)


def _status(error: dict[str, Any]) -> int:
    code = error.get("code")
    if isinstance(code, int) and 400 <= code <= 599:
        return code
    named = [STATUSES[name] for name in (code, error.get("type")) if isinstance(name, str) and name in STATUSES]
    return named[0] if named else 502


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
