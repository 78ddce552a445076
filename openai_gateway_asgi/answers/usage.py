"""Token counts, as the upstream sent them: looked for once, at the end of the answer."""

from __future__ import annotations

import json
from typing import Any

_KEY = b'"usage"'
_decoder = json.JSONDecoder()


def read_usage(tail: bytes) -> dict[str, Any] | None:
    """The last ``usage`` object in the last bytes of an answer, be it JSON or events.

    Inside a JSON string the key's quotes would be escaped, so a text that talks about usage is never taken for it.
    """
    end = len(tail)
    while (end := tail.rfind(_KEY, 0, end)) >= 0:
        value = tail[end + len(_KEY) :].lstrip()
        if value.startswith(b":") and (usage := _object(value[1:].lstrip())) is not None:
            return usage
    return None


def _object(value: bytes) -> dict[str, Any] | None:
    if not value.startswith(b"{"):
        return None
    try:
        usage, _ = _decoder.raw_decode(value.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return usage if isinstance(usage, dict) else None
